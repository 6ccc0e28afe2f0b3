/**
 * Accepting (S0 → S1, S2). Messages gather into batches, each one statement and one commit. A message with an Idempotency-Key has a transaction of its own: the key is inserted first,
 * so that of many that come at once, to whichever nodes, one is accepted and the others wait for what becomes of it.
 */
import type { GrantUse } from '#store/grant-store.ts';
import { type AcceptMessage, type AcceptResult, StoreError, type Ungranted } from '#store/store.ts';
import { AcceptBatch, type Accepted, type AcceptTools } from './accept-batch.ts';
import type { Database, Link, Queries } from './database.ts';
import { retryingClashes } from './database.ts';
import { Gather, type Outcome } from './gather.ts';
import { dayOf } from './ids.ts';
import type { Leases } from './leases.ts';
import { putOutbox } from './outbox-put.ts';
import type { Partitions } from './partitions.ts';
import { isUniqueViolation } from './trouble.ts';
import { untilSure } from './unsure.ts';

export interface AcceptorOptions extends AcceptTools {
  readonly db: Database;
  /** The channel's own connection. */
  readonly link: Link;
  readonly leases: Leases;
  readonly partitions: Partitions;
  readonly lingerMs: number;
  /** Something waits that other nodes may take. */
  ring(): void;
  /** Takes from grants, in the transaction of the message; false: they do not suffice. */
  useGrants(queries: Queries, uses: readonly GrantUse[]): Promise<boolean>;
}

type Answer = AcceptResult | Ungranted;

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly gather: Gather<AcceptMessage, Answer>;
  /** What has a transaction of its own and is on its way. */
  readonly #single = new Set<Promise<unknown>>();

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.gather = new Gather<AcceptMessage, Answer>({
      lingerMs: options.lingerMs,
      bytesOf: ({ content }) => content.byteLength,
      write: (batch) => this.#writeBatch(batch),
    });
  }

  accept(message: AcceptMessage): Promise<Answer> {
    if (message.idempotency === undefined) return this.gather.call(message);
    const single = this.#acceptAlone(message);
    const forget = (): void => {
      this.#single.delete(done);
    };
    const done: Promise<void> = single.then(forget, forget);
    this.#single.add(done);
    return single;
  }

  async close(): Promise<void> {
    await this.gather.close();
    await Promise.all(this.#single);
  }

  async #writeBatch(messages: readonly AcceptMessage[]): Promise<Outcome<Answer>[]> {
    try {
      return (await this.#write(messages)).map((value) => ({ value }));
    } catch (error) {
      if (error instanceof Refused && messages.length === 1) return [{ value: { kind: 'ungranted' } }];
      if (messages.length === 1 || isOfTheEnvironment(error)) return messages.map(() => ({ error }));
    }
    // One message is at fault: the others are not to suffer for it.
    const outcomes: Outcome<Answer>[] = [];
    for (const message of messages) outcomes.push(...(await this.#writeBatch([message])));
    return outcomes;
  }

  async #write(messages: readonly AcceptMessage[]): Promise<Accepted[]> {
    const { link } = this.#options;
    const batch = await AcceptBatch.prepare(link, this.#options, messages);
    const uses = summed(messages);
    const told = batch.tellings();
    const isOne = uses.length === 0 && told.length === 0;
    const send = (): Promise<Accepted[]> =>
      isOne
        ? retryingClashes(() => batch.write(link))
        : link.transaction(async (queries) => {
            await this.#use(queries, uses);
            const accepted = await batch.write(queries);
            await putOutbox(queries, told);
            return accepted;
          });
    const answers = await holding(this.#options.leases, batch, async (mayStand) => {
      try {
        if (mayStand && !isOne && (await batch.stands(link))) return await batch.answers(link);
        return await this.#options.partitions.having(daysOf(messages), send);
      } catch (error) {
        // Its ids are nobody else's.
        if (mayStand && isUniqueViolation(error)) return batch.answers(link);
        throw error;
      }
    });
    if (batch.isSooner) this.#options.ring();
    return answers;
  }

  async #use(queries: Queries, uses: readonly GrantUse[]): Promise<void> {
    if (uses.length > 0 && !(await this.#options.useGrants(queries, uses))) throw new Refused();
  }

  async #acceptAlone(message: AcceptMessage): Promise<Answer> {
    const { db } = this.#options;
    const batch = await AcceptBatch.prepare(db, this.#options, [message]);
    const answer = await holding(this.#options.leases, batch, () =>
      this.#options.partitions.having(daysOf([message]), () =>
        db.transaction(async (queries) => {
          const before = await this.#claimKey(queries, message, batch.ids[0] as number);
          if (before === 'ours') return (await batch.answers(queries))[0] as Accepted;
          if (before !== undefined) return before;
          await this.#use(queries, summed([message]));
          const [accepted] = await batch.write(queries);
          await putOutbox(queries, batch.tellings());
          return accepted as Accepted;
        }),
      ),
    ).catch((error: unknown): Answer => {
      if (error instanceof Refused) return { kind: 'ungranted' };
      throw error;
    });
    if (answer.kind === 'accepted' && batch.isSooner) this.#options.ring();
    if (answer.kind !== 'accepted') for (const recipient of batch.leased()) this.#options.leases.remove(recipient, 1);
    return answer;
  }

  /** undefined: the key is this message's now. 'ours': it was before, by a transaction whose answer never came. */
  async #claimKey(queries: Queries, message: AcceptMessage, id: number): Promise<AcceptResult | 'ours' | undefined> {
    const { accountId, createdMs, idempotency } = message;
    if (idempotency === undefined) return undefined;
    const { key, fingerprint, untilMs } = idempotency;
    const claimed = await queries.run(
      `INSERT INTO idempotency AS i (account_id, key, fingerprint, message, until_ms) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (account_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, message = excluded.message, until_ms = excluded.until_ms
       WHERE i.until_ms <= $6`,
      accountId,
      key,
      fingerprint,
      id,
      untilMs,
      createdMs,
    );
    if (claimed > 0) return undefined;
    // In a statement of its own: it sees what the transaction that was waited for has done.
    const row = await queries.get(
      `SELECT i.fingerprint, i.message, m.message_id, m.recipient_count FROM idempotency i LEFT JOIN message m ON m.id = i.message
       WHERE i.account_id = $1 AND i.key = $2 FOR UPDATE OF i`,
      accountId,
      key,
    );
    if (row === undefined) return this.#claimKey(queries, message, id);
    if (row['message'] === id) return 'ours';
    if (row['message_id'] === null) {
      // Retention took the message: the key stands for nothing.
      const taken = 'UPDATE idempotency SET fingerprint = $3, message = $4, until_ms = $5 WHERE account_id = $1 AND key = $2';
      await queries.run(taken, accountId, key, fingerprint, id, untilMs);
      return undefined;
    }
    if (row['fingerprint'] !== fingerprint) return { kind: 'conflict' };
    return {
      kind: 'repeat',
      id: Number(row['message']),
      messageId: String(row['message_id']),
      recipientCount: Number(row['recipient_count']),
    };
  }
}

/** What it leases is ours from before it is sent, so that nobody takes it for lost while its answer is on its way. */
export async function holding<T>(leases: Leases, batch: AcceptBatch, write: (mayStand: boolean) => Promise<T>): Promise<T> {
  for (const recipient of batch.leased()) leases.add(recipient, 1);
  try {
    return await untilSure(write);
  } catch (error) {
    for (const recipient of batch.leased()) leases.remove(recipient, 1);
    throw error;
  }
}

export function daysOf(messages: readonly AcceptMessage[]): number[] {
  return messages.map(({ createdMs }) => dayOf(createdMs));
}

/** What messages use of grants, each grant once. */
export function summed(messages: readonly AcceptMessage[]): GrantUse[] {
  const sums = new Map<string, GrantUse>();
  for (const { uses } of messages) {
    for (const use of uses ?? []) {
      const key = `${use.holder} ${use.startMs} ${use.name}`;
      sums.set(key, { ...use, count: use.count + (sums.get(key)?.count ?? 0) });
    }
  }
  return [...sums.values()];
}

/** Ends the transaction, and with it what was written before. */
export class Refused extends Error {}

export function isOfTheEnvironment(error: unknown): boolean {
  return error instanceof StoreError && error.kind !== 'full';
}
