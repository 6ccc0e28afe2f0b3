/**
 * What the sink does, as data: the mailbox of a recipient (or of the sender, for stage `mail`) names a behaviour, and so may the
 * options for what has no mailbox (greeting, EHLO, STARTTLS …). Mailboxes understood, each may be followed by "-anything":
 *
 *   450@ 550@ …            that code in answer to RCPT
 *   450-at-mail@ (sender), 452-at-data@, 554-at-dot@
 *   reject-552@ defer-451@ that code in answer to the end of the data
 *   452-after-3@           that code for every recipient after the third of a transaction
 *   drop-after-data@       closes when the first octet of the body has come; drop-after-dot@ when all of it has
 *   ACTION-at-STAGE@       with an action of `ACTIONS` and a stage of mail, rcpt, data, dot: hang-at-rcpt@, reset-at-dot@ …
 *
 * "-times-2" inside the mailbox: only the first two times, then it behaves well. "-once": the first time.
 */
export type Stage = 'greeting' | 'ehlo' | 'starttls' | 'auth' | 'mail' | 'rcpt' | 'data' | 'dot' | 'rset' | 'quit';

/**
 * hang: no answer ever. drop: FIN. reset: RST. half: a part of a reply, then FIN. malformed: a line that is no reply.
 * endless-line, endless-lines: a reply that never ends. mixed: lines with different codes. eight-bit: a refusal with Latin-1, escape
 * sequences, NUL and bidirectional controls. double: the proper reply twice. early: the proper reply and the next stage's at once.
 * split: octet by octet. late: after 100 ms. bare-lf: lines that end with LF. long: a refusal of 150 lines. close-421: 421, then FIN.
 * odd-code: 250's place is taken by a code that means nothing there.
 */
export const ACTIONS = [
  'hang',
  'drop',
  'reset',
  'half',
  'malformed',
  'endless-line',
  'endless-lines',
  'mixed',
  'eight-bit',
  'double',
  'early',
  'split',
  'late',
  'bare-lf',
  'long',
  'close-421',
  'odd-code',
] as const;
export type Action = (typeof ACTIONS)[number];

/** An action, or a complete reply ("554 5.7.1 no"). */
export type Behaviour = Action | `${number} ${string}` | `${number}-${string}`;

export interface Plan {
  readonly stage: Stage;
  readonly behaviour: Behaviour;
  /** rcpt: recipients of the transaction that are accepted first. */
  readonly after?: number;
}

const REPLIES: Readonly<Record<number, string>> = {
  421: '4.3.2 Service shutting down',
  450: '4.2.0 Mailbox busy, try again in 300 seconds',
  451: '4.3.0 Local error in processing',
  452: '4.5.3 Too many recipients',
  550: '5.1.1 User unknown in virtual mailbox table',
  552: '5.2.2 Mailbox is full',
  553: '5.1.3 Mailbox name not allowed',
  554: '5.7.1 Message rejected as spam by content scanning',
};

export function replyFor(code: number): Behaviour {
  return `${code} ${REPLIES[code] ?? `${String(code)[0]}.0.0 As the mailbox asks`}`;
}

const AT_STAGE = new RegExp(`^(${ACTIONS.join('|')}|\\d{3})-at-(mail|rcpt|data|dot)(?=-|$)`);

/** The plan that a mailbox's local part names; undefined: behaves well. */
export function planOf(local: string): Plan | undefined {
  const after = /^(\d{3})-after-(\d+)/.exec(local);
  if (after !== null) {
    const code = Number(after[1]);
    return { stage: 'rcpt', behaviour: code === 552 ? '552 5.5.3 Too many recipients' : replyFor(code), after: Number(after[2]) };
  }
  const staged = AT_STAGE.exec(local);
  if (staged !== null) {
    const what = staged[1] as string;
    return { stage: staged[2] as Stage, behaviour: /^\d/.test(what) ? replyFor(Number(what)) : (what as Action) };
  }
  const atDot = /^(?:reject|defer)-(\d{3})(?=-|$)/.exec(local);
  if (atDot !== null) return { stage: 'dot', behaviour: replyFor(Number(atDot[1])) };
  const code = /^(\d{3})(?=-|$)/.exec(local);
  if (code !== null) return { stage: 'rcpt', behaviour: replyFor(Number(code[1])) };
  if (/^drop-after-data(?=-|$)/.test(local)) return { stage: 'data', behaviour: 'drop' };
  if (/^drop-after-dot(?=-|$)/.test(local)) return { stage: 'dot', behaviour: 'drop' };
  return undefined;
}

/** How often the mailbox misbehaves before it behaves well. */
export function timesOf(local: string): number {
  const times = /-times-(\d+)/.exec(local);
  if (times !== null) return Number(times[1]);
  return /-once(?=-|$)/.test(local) ? 1 : Number.POSITIVE_INFINITY;
}
