/**
 * How the sandbox's mailboxes behave, so that an application's handling of failures can be tried on a laptop: `bounce@anything` bounces,
 * `defer-2@anything` is put off twice, and so on; every other mailbox accepts. A mailbox may carry a suffix (`bounce+order-17@`), so that a test
 * can use addresses of its own. This is the table, and who finds the row for an address; capture-server.ts does what the row says.
 */
import type { ServerReply } from '#smtp/server-hooks.ts';

/**
 * at `rcpt`: the reply to RCPT, for this recipient alone. at `end`: the reply to the end of the message, and so for every recipient of the transaction.
 * `defer`: refused with `reply` the first `times` times, then accepted. `wait`: refused until `waitMs` have passed since the first try, then accepted.
 * `delay`: accepted after `delayMs`. `drop`: the connection is cut after the message, without a reply.
 * `later-bounce`, `complain`, `reply`: accepted; then mail comes back that says it could not be delivered, or that its recipient calls it spam, or that answers it.
 */
export type Behaviour =
  | { readonly kind: 'refuse'; readonly at: 'rcpt' | 'end'; readonly reply: ServerReply }
  | { readonly kind: 'defer'; readonly reply: ServerReply; readonly times: number }
  | { readonly kind: 'wait'; readonly reply: ServerReply; readonly waitMs: number }
  | { readonly kind: 'delay'; readonly delayMs: number }
  | { readonly kind: 'drop' }
  | { readonly kind: 'accept' | 'later-bounce' | 'complain' | 'reply' };

export interface MailboxRow {
  /** As it is shown: "defer-N". N is a number from 1 to `numberMax`. */
  readonly mailbox: string;
  readonly sentence: string;
  readonly numberMax?: number;
  /** `number` is 0 where the name has none. */
  readonly behaviour: (number: number) => Behaviour;
}

const DEFERS_MAX = 100;
const DELAY_SECONDS_MAX = 60;
const DELAY_SECONDS = 5;
const GREYLIST_SECONDS = 5;

const NOT_NOW: ServerReply = { code: 451, enhanced: '4.3.0', text: 'The sandbox defers mail for this mailbox' };

export const MAILBOXES: readonly MailboxRow[] = [
  {
    mailbox: 'bounce',
    sentence: 'Refused for good: there is no such mailbox (550 5.1.1).',
    behaviour: () => refusal('rcpt', 550, '5.1.1', 'The email account that you tried to reach does not exist'),
  },
  {
    mailbox: 'full',
    sentence: 'Refused for good: the mailbox is full (552 5.2.2).',
    behaviour: () => refusal('rcpt', 552, '5.2.2', 'The mailbox is over its quota'),
  },
  {
    mailbox: 'blocked',
    sentence: 'Refused for good because of the sender’s reputation (554 5.7.1).',
    behaviour: () => refusal('rcpt', 554, '5.7.1', 'Mail from your address is blocked for its poor reputation'),
  },
  {
    mailbox: 'reject-data',
    sentence: 'Refused for good once the message was seen (554 5.7.1).',
    behaviour: () => refusal('end', 554, '5.7.1', 'The content of this message looks like spam'),
  },
  {
    mailbox: 'defer',
    sentence: 'Put off at every attempt (451 4.3.0), until the message expires.',
    behaviour: () => ({ kind: 'defer', reply: NOT_NOW, times: Number.POSITIVE_INFINITY }),
  },
  {
    mailbox: 'defer-N',
    numberMax: DEFERS_MAX,
    sentence: 'Put off N times (451 4.3.0), then accepted.',
    behaviour: (times) => ({ kind: 'defer', reply: NOT_NOW, times }),
  },
  {
    mailbox: 'greylist',
    sentence: `Put off at first with “try again in ${GREYLIST_SECONDS} seconds” (451 4.7.1), accepted after that time.`,
    behaviour: () => ({
      kind: 'wait',
      reply: { code: 451, enhanced: '4.7.1', text: `Greylisted, try again in ${GREYLIST_SECONDS} seconds` },
      waitMs: GREYLIST_SECONDS * 1000,
    }),
  },
  {
    mailbox: 'slow',
    sentence: `Accepted after ${DELAY_SECONDS} seconds.`,
    behaviour: () => ({ kind: 'delay', delayMs: DELAY_SECONDS * 1000 }),
  },
  {
    mailbox: 'slow-N',
    numberMax: DELAY_SECONDS_MAX,
    sentence: 'Accepted after N seconds.',
    behaviour: (seconds) => ({ kind: 'delay', delayMs: seconds * 1000 }),
  },
  {
    mailbox: 'drop',
    sentence: 'The connection is cut after the message, without a reply: what becomes of it is unclear, so it is tried again.',
    behaviour: () => ({ kind: 'drop' }),
  },
  {
    mailbox: 'later-bounce',
    sentence: 'Accepted, and bounced by mail a second later: there was no such mailbox after all (550 5.1.1).',
    behaviour: () => ({ kind: 'later-bounce' }),
  },
  {
    mailbox: 'complain',
    sentence: 'Accepted, and reported as spam a second later: the address is suppressed for the domain then.',
    behaviour: () => ({ kind: 'complain' }),
  },
  {
    mailbox: 'reply',
    sentence: 'Accepted, and answered a second later, as a person does: the answer comes in by your routes.',
    behaviour: () => ({ kind: 'reply' }),
  },
];

function refusal(at: 'rcpt' | 'end', code: number, enhanced: string, text: string): Behaviour {
  return { kind: 'refuse', at, reply: { code, enhanced, text } };
}

export interface Mailbox {
  readonly row: MailboxRow;
  readonly behaviour: Behaviour;
}

/** The row for an address's local part; undefined: an ordinary mailbox, which accepts. A number out of range makes it an ordinary one too. */
export function mailboxOf(local: string): Mailbox | undefined {
  const name = (local.split('+', 1)[0] as string).toLowerCase();
  const numbered = /^(.+)-(\d{1,3})$/.exec(name);
  for (const row of MAILBOXES) {
    if (row.mailbox === name && row.numberMax === undefined) return { row, behaviour: row.behaviour(0) };
    if (row.numberMax === undefined || numbered === null || row.mailbox !== `${numbered[1]}-N`) continue;
    const number = Number(numbered[2]);
    if (number >= 1 && number <= row.numberMax) return { row, behaviour: row.behaviour(number) };
  }
  return undefined;
}
