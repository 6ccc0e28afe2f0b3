/** Hands mail of the sandbox to a door of this program, as any server would bring it: over SMTP, with the null sender. */
import { octetFacts } from '#mail/octets.ts';
import type { Clock } from '#base/clock.ts';
import { clientTrust } from '#smtp/client-connect.ts';
import { openClient } from '#smtp/client-session.ts';
import type { PostResult } from './reports.ts';

export interface DoorAddress {
  readonly address: string;
  readonly port: number;
}

const STEP_MS = 10_000;
const TIMEOUTS = { connectMs: STEP_MS, greetingMs: STEP_MS * 7, commandMs: STEP_MS, dataMs: STEP_MS, dotMs: STEP_MS * 6 };

/** `door`: where mail from elsewhere is taken; undefined: nowhere yet. `sender`: for mail that is answered, as of a person; '' for reports. */
export function createPostIn(door: () => DoorAddress | undefined, hostname: string, clock: Clock) {
  const context = clientTrust([]);
  return async (recipient: string, bytes: Buffer, sender = ''): Promise<PostResult> => {
    const to = door();
    if (to === undefined) return { kind: 'later', trouble: 'no door for mail from elsewhere is open' };
    const opened = await openClient({
      address: to.address,
      port: to.port,
      host: to.address,
      ehlo: `sandbox.${hostname}`,
      tls: 'none',
      verify: false,
      context,
      timeouts: TIMEOUTS,
      clock,
    });
    if (opened.kind === 'failed') return { kind: 'later', trouble: opened.trouble };
    const { client } = opened;
    try {
      const { hasEightBitBody, hasEightBitHeader } = octetFacts(bytes);
      const composed = {
        chunks: [bytes],
        sizeBytes: bytes.length,
        body: hasEightBitBody || hasEightBitHeader ? ('8BITMIME' as const) : ('7BIT' as const),
        smtputf8: hasEightBitHeader || /[^\0-\x7f]/.test(recipient),
      };
      const job = { sender, recipients: [{ address: recipient }], tls: 'opportunistic' as const, compose: async () => composed };
      const [result] = (await client.transact(job, composed)).results;
      if (result?.kind !== 'reply') return { kind: 'later', trouble: result?.trouble ?? 'no reply came' };
      const { code, text } = result.reply;
      if (result.stage === 'dot' && code < 300) return { kind: 'taken' };
      return { kind: code >= 500 ? 'refused' : 'later', trouble: `${code} ${text}` };
    } finally {
      await client.close();
    }
  };
}
