/** Whether our API tells, for a recipient that got a message twice, that this may have happened. */
import type { Postrider } from '../../bench/postrider.ts';
import type { Timeline } from '#events/timeline.ts';
import type { Delivery } from './ledger.ts';

export async function isMarked({ api }: Postrider, { messageId, recipient }: Delivery): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${api.port}/v1/messages/${encodeURIComponent(messageId)}`, {
    headers: { authorization: `Basic ${Buffer.from(`api:${api.key}`).toString('base64')}` },
    signal: AbortSignal.timeout(30_000),
  });
  if (response.status !== 200) throw new Error(`GET /v1/messages/${messageId}: ${response.status} ${await response.text()}`);
  const { recipients } = (await response.json()) as Timeline;
  const its = recipients.find(({ address }) => address === recipient);
  return its?.entries.some((entry) => entry.kind === 'attempt' && entry.possibleDuplicate === true) ?? false;
}
