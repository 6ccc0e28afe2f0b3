/**
 * Settlements and releases (S2 → S3, S2 → S1), gathered into batches. A return under a lease that is not held any more is refused and nothing of it is written (fencing). When the
 * answer to a batch never came, the lease that looks as if it were not held may have been returned by that very batch: the event's id, which is given once, tells.
 */
import type { Row } from '#store/rows-json.ts';
import { type Release, type Settlement, StoreError } from '#store/store.ts';
import { AcceptBatch, type AcceptTools } from './accept-batch.ts';
import { int4Array, int8Array } from './arrays.ts';
import { type Database, type Link, type Queries, retryingClashes } from './database.ts';
import { Gather, type Outcome } from './gather.ts';
import { dayOf, firstIdOfDay } from './ids.ts';
import type { Leases } from './leases.ts';
import { putOutbox, type Telling } from './outbox-put.ts';
import { leaseOf, type Return, writeReturns } from './settle-batch.ts';
import { isPartitionMissing, isSelfEnded } from './trouble.ts';
import { untilSure } from './unsure.ts';

type Given = { readonly settlement: Settlement } | { readonly release: Release };

export interface SettlerOptions extends AcceptTools {
  readonly db: Database;
  /** The channel's own connection. */
  readonly link: Link;
  readonly leases: Leases;
  readonly lingerMs: number;
  /** Something waits that other nodes may take. */
  ring(): void;
}

const HELD = `SELECT r.id FROM unnest($1::bigint[], $2::integer[]) AS l (id, epoch) JOIN recipient r ON r.id = l.id AND r.epoch = l.epoch WHERE r.state + 0 = 1`;
const RELEASED = `SELECT r.id FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS l (id, epoch, due_ms)
  JOIN recipient r ON r.id = l.id AND r.epoch = l.epoch AND r.due_ms = l.due_ms WHERE r.state = 0`;
const WRITTEN = 'SELECT id FROM event WHERE id = ANY($1::bigint[])';

/** A refusal takes one lease out of the batch at least; what clashes more often than this is somebody else's trouble. */
const ATTEMPTS_MAX = 20;

export class ReturnWriter {
  readonly #options: SettlerOptions;
  readonly gather: Gather<Given, boolean>;
  /** Ids of the events of settlements whose outcome is not known: whoever hands one in again gets the same. */
  readonly #unsure = new WeakMap<Settlement | Release, Return>();

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.gather = new Gather<Given, boolean>({
      lingerMs: options.lingerMs,
      bytesOf: (given) => ('settlement' in given ? (given.settlement.notification?.message.content.byteLength ?? 0) : 0),
      keyOf: (given) => ('settlement' in given ? given.settlement : given.release).recipient,
      write: (batch) => this.#writeBatch(batch),
    });
  }

  settle(settlement: Settlement): Promise<boolean> {
    return this.gather.call({ settlement });
  }

  release(release: Release): Promise<boolean> {
    return this.gather.call({ release });
  }

  async #writeBatch(batch: readonly Given[]): Promise<Outcome<boolean>[]> {
    try {
      return (await this.#write(batch)).map((value) => ({ value }));
    } catch (error) {
      if (batch.length === 1 || (error instanceof StoreError && error.kind !== 'full')) return batch.map(() => ({ error }));
    }
    // One call is at fault: the others are not to suffer for it.
    const outcomes: Outcome<boolean>[] = [];
    for (const given of batch) outcomes.push(...(await this.#writeBatch([given])));
    return outcomes;
  }

  async #write(batch: readonly Given[]): Promise<boolean[]> {
    const { leases } = this.#options;
    const { returns, notifications } = await this.#prepare(batch);
    const tried = new Set(returns.filter((given) => this.#unsure.has(subjectOf(given))));
    let left = returns;
    const stands = new Set<Return>();
    try {
      await untilSure(async (mayStand) => {
        if (mayStand) for (const given of left) tried.add(given);
        for (let attempts = 1; left.length > 0; attempts++) {
          try {
            await this.#send(left, notifications);
            for (const given of left) stands.add(given);
            return;
          } catch (error) {
            if (!isSelfEnded(error) || attempts === ATTEMPTS_MAX) throw error;
            const { held, written } = await this.#sift(left, tried);
            for (const given of written) stands.add(given);
            left = held;
          }
        }
      });
    } catch (error) {
      for (const given of left) this.#unsure.set(subjectOf(given), given);
      throw error;
    }
    for (const given of returns) leases.remove(leaseOf(given).recipient, leaseOf(given).epoch);
    return returns.map((given) => stands.has(given));
  }

  /** Gives ids to the events, and makes the messages of notifications ready. */
  async #prepare(batch: readonly Given[]): Promise<{ returns: Return[]; notifications: ReadonlyMap<Return, AcceptBatch> }> {
    const { ids, partitions, link } = this.#options;
    const fresh = batch.filter((given) => !this.#unsure.has(subjectOf(given)));
    const settlements = fresh.flatMap((given) => ('settlement' in given ? [given.settlement] : []));
    await partitions.ensure(settlements.map(({ atMs }) => dayOf(atMs)));
    const told = settlements.filter(({ notification }) => notification !== undefined).length;
    let number = await ids.take('event', settlements.length + told);
    const notifications = new Map<Return, AcceptBatch>();
    const returns: Return[] = [];
    for (const given of batch) {
      const before = this.#unsure.get(subjectOf(given));
      const isFresh = before === undefined;
      if ('release' in given) {
        returns.push(given);
        continue;
      }
      const { settlement } = given;
      const { notification } = settlement;
      const dayStart = firstIdOfDay(dayOf(settlement.atMs));
      const event = isFresh ? dayStart + number++ : (before as { readonly event: number }).event;
      if (notification === undefined) {
        returns.push({ settlement, event });
        continue;
      }
      const accept = await AcceptBatch.prepare(link, this.#options, [notification.message]);
      const notified = isFresh
        ? dayStart + number++
        : ((before as { readonly notification?: { readonly event: number } }).notification?.event as number);
      const prepared: Return = { settlement, event, notification: { message: accept.ids[0] as number, event: notified } };
      notifications.set(prepared, accept);
      returns.push(prepared);
    }
    return { returns, notifications };
  }

  /** One statement; a transaction where a notification or an entry of the outbox goes with it. */
  async #send(returns: readonly Return[], notifications: ReadonlyMap<Return, AcceptBatch>): Promise<void> {
    const { link, node, partitions } = this.#options;
    const accepts = returns.flatMap((given) => notifications.get(given) ?? []);
    const told = returns.flatMap(tellings);
    let isSooner = false;
    const write = async (queries: Queries): Promise<void> => {
      isSooner = await writeReturns(queries, returns, node());
      for (const accept of accepts) {
        await accept.write(queries);
        isSooner ||= accept.isSooner;
      }
      await putOutbox(queries, [...told, ...accepts.flatMap((accept) => accept.tellings())]);
    };
    const isOne = accepts.length === 0 && told.length === 0;
    const send = (): Promise<void> => (isOne ? retryingClashes(() => write(link)) : link.transaction(write));
    try {
      await send();
    } catch (error) {
      if (!isPartitionMissing(error)) throw error;
      partitions.forget();
      const times = returns.flatMap((given) =>
        'settlement' in given ? [given.settlement.atMs, given.settlement.notification?.message.createdMs] : [],
      );
      await partitions.ensure(times.filter((atMs) => atMs !== undefined).map(dayOf));
      await send();
    }
    for (const accept of accepts) for (const recipient of accept.leased()) this.#options.leases.add(recipient, 1);
    if (isSooner) this.#options.ring();
  }

  /** Those whose lease is still held, and of the others those that an earlier attempt has written. */
  async #sift(returns: readonly Return[], tried: ReadonlySet<Return>): Promise<{ held: Return[]; written: Return[] }> {
    const { link } = this.#options;
    const [recipients, epochs] = [returns.map((given) => leaseOf(given).recipient), returns.map((given) => leaseOf(given).epoch)];
    const held = idsOf(await link.all(HELD, int8Array(recipients), int4Array(epochs)));
    const asked = returns.filter((given) => tried.has(given) && !held.has(leaseOf(given).recipient));
    const settlements = asked.filter((given) => 'settlement' in given);
    const releases = asked.filter((given) => 'release' in given);
    const events = settlements.length === 0 ? new Set() : idsOf(await link.all(WRITTEN, int8Array(settlements.map(({ event }) => event))));
    const released =
      releases.length === 0
        ? new Set()
        : idsOf(
            await link.all(
              RELEASED,
              int8Array(releases.map(({ release }) => release.recipient)),
              int4Array(releases.map(({ release }) => release.epoch)),
              int8Array(releases.map(({ release }) => release.dueAtMs)),
            ),
          );
    return {
      held: returns.filter((given) => held.has(leaseOf(given).recipient)),
      written: [
        ...settlements.filter(({ event }) => events.has(event)),
        ...releases.filter(({ release }) => released.has(release.recipient)),
      ],
    };
  }
}

/** What others are to be told, in the transaction of the fact. */
function tellings(given: Return): Telling[] {
  if (!('settlement' in given)) return [];
  const { accountId, domainId, message, recipient, atMs, outbox = [] } = given.settlement;
  return outbox.map((entry) => ({ owner: { accountId, domainId, message, recipient, atMs, event: given.event }, entry }));
}

function subjectOf(given: Given): Settlement | Release {
  return 'settlement' in given ? given.settlement : given.release;
}

function idsOf(rows: readonly Row[]): Set<number> {
  return new Set(rows.map((row) => Number(row['id'])));
}
