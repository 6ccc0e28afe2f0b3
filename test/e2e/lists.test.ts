/** Mail to a mailing list in the running program: its members get it, filled in for each, and events tell whose list it came by. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const LIST = `news@${DOMAIN}`;
const home = await Installation.make({ after }, { 'sandbox.capture': 'true' });
const server = await home.start();

interface Captured {
  readonly recipients: readonly string[];
  readonly id: number;
}
interface Event {
  readonly event: string;
  readonly recipient: string;
  readonly reason?: string;
  readonly 'mailing-list'?: { readonly address: string; readonly 'list-id': string; readonly sid: string };
}

async function captured(): Promise<readonly Captured[]> {
  return (await server.mustCall('GET', '/v1/sandbox/messages?limit=100')).body['items'] as Captured[];
}

async function eventsOf(messageId: string): Promise<readonly Event[]> {
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?limit=300&message-id=${encodeURIComponent(messageId)}`);
  return body['items'] as Event[];
}

async function addMember(list: string, address: string, fields: Record<string, string> = {}): Promise<void> {
  await server.mustCall('POST', `/v3/lists/${list}/members`, { address, ...fields });
}

test('members who are subscribed get the message with their own values, and those who are suppressed do not', async () => {
  await server.mustCall('POST', '/v3/lists', { address: LIST });
  await addMember(LIST, 'ann@example.net', { name: 'Ann', vars: '{"city": "Bern"}' });
  await addMember(LIST, 'bob@example.com', { vars: '{"city": "Oslo"}' });
  await addMember(LIST, 'left@example.com', { subscribed: 'no' });
  await addMember(LIST, 'tired@example.com');
  await server.mustCall('POST', `/v3/${DOMAIN}/unsubscribes`, { address: 'tired@example.com', tag: 'weekly' });
  const messageId = await server.send(LIST, { subject: 'News for %recipient.city%', text: 'Dear %recipient_name%', 'o:tag': 'weekly' });

  const told = await until(async () => {
    const events = await eventsOf(messageId);
    return events.filter(({ event }) => event === 'delivered').length === 3 && events.some(({ event }) => event === 'failed') && events;
  }, 'the list and its members to be done with');
  const about = (name: string): string[] => told.filter(({ event }) => event === name).map(({ recipient }) => recipient);
  assert.deepEqual(about('delivered').sort(), ['ann@example.net', 'bob@example.com', LIST]);
  assert.deepEqual(about('failed'), ['tired@example.com']);
  assert.ok(told.every(({ recipient }) => recipient !== 'left@example.com'));
  for (const event of told) {
    const { address, 'list-id': listId } = event['mailing-list'] ?? {};
    assert.deepEqual([address, listId], event.recipient === LIST ? [undefined, undefined] : [LIST, `news.${DOMAIN}`]);
  }
  const mine = (await captured()).find(({ recipients }) => recipients.includes('ann@example.net'));
  const { body } = await server.mustCall('GET', `/v1/sandbox/messages/${mine?.id}`);
  const shown = JSON.stringify(body);
  assert.match(shown, /News for Bern/);
  assert.match(shown, /Dear Ann/);
  const { text: raw } = await server.mustCall('GET', `/v1/sandbox/messages/${mine?.id}/raw`);
  assert.match(raw, new RegExp(`^List-Id: <news\\.${DOMAIN.replaceAll('.', '\\.')}>`, 'm'));
  assert.match(raw, new RegExp(`^Reply-To: <${LIST.replaceAll('.', '\\.')}>`, 'm'));
});

test('a list on a list is not expanded, so that no two lists send to each other for ever', async () => {
  const [one, two] = [`one@${DOMAIN}`, `two@${DOMAIN}`];
  for (const [list, member] of [
    [one, two],
    [two, one],
  ] as const) {
    await server.mustCall('POST', '/v3/lists', { address: list });
    await addMember(list, member);
  }
  const messageId = await server.send(one);
  const failed = await until(async () => (await eventsOf(messageId)).find(({ event }) => event === 'failed'), 'the second list to fail');
  assert.equal(failed.recipient, two);
});
