/**
 * What the clients of a crash test know: every message they tried to hand in, and whether they were told that it was taken. At the end the ledger is
 * compared with what the sink received.
 */
export interface Entry {
  readonly id: string;
  readonly door: 'smtp' | 'api';
  readonly recipients: readonly string[];
  /** The client got its 250 or 200: from here on the message must not be lost (P1). */
  isAccepted: boolean;
}

export class Ledger {
  readonly entries = new Map<string, Entry>();
  /** Temporary refusals: allowed at any time. */
  putOff = 0;
  /** Connections that were refused or ended: what SIGKILL does. */
  cut = 0;
  /** Permanent refusals of good mail: never allowed (P5). The first few, in words. */
  readonly wrongs: string[] = [];
  #next = 0;

  open(door: Entry['door'], recipients: readonly string[]): Entry {
    const entry: Entry = { id: `${door}-${this.#next++}`, door, recipients, isAccepted: false };
    this.entries.set(entry.id, entry);
    return entry;
  }

  wrong(text: string): void {
    if (this.wrongs.length < 20) this.wrongs.push(text);
  }

  accepted(): Entry[] {
    return [...this.entries.values()].filter(({ isAccepted }) => isAccepted);
  }
}

/** One message for one recipient, as the sink saw it. */
export interface Delivery {
  readonly id: string;
  readonly recipient: string;
  readonly messageId: string;
  readonly times: number;
}

export interface Verdict {
  /** Accepted and not delivered: "id recipient". */
  readonly lost: string[];
  /** Delivered though nobody sent it, or to somebody it was not for. */
  readonly unknown: string[];
  /** Delivered more than once. */
  readonly repeated: Delivery[];
  /** Delivered though the client was never told that it was taken: allowed, and expected of a crash before the reply. */
  readonly untold: number;
}

export function judge(ledger: Ledger, deliveries: readonly Delivery[]): Verdict {
  const seen = new Set(deliveries.map(({ id, recipient }) => `${id} ${recipient}`));
  const lost = ledger
    .accepted()
    .flatMap(({ id, recipients }) => recipients.map((recipient) => `${id} ${recipient}`))
    .filter((key) => !seen.has(key));
  const unknown = deliveries
    .filter(({ id, recipient }) => ledger.entries.get(id)?.recipients.includes(recipient) !== true)
    .map(({ id, recipient }) => `${id} ${recipient}`);
  const repeated = oncePerRecipient(deliveries).filter(({ times }) => times > 1);
  const untold = deliveries.filter(({ id }) => ledger.entries.get(id)?.isAccepted === false).length;
  return { lost, unknown, repeated, untold };
}

/** A message that came under two Message-IDs was taken in twice: that is a repetition too. */
function oncePerRecipient(deliveries: readonly Delivery[]): Delivery[] {
  const sums = new Map<string, Delivery>();
  for (const delivery of deliveries) {
    const key = `${delivery.id} ${delivery.recipient}`;
    const before = sums.get(key);
    sums.set(key, before === undefined ? delivery : { ...before, times: before.times + delivery.times });
  }
  return [...sums.values()];
}
