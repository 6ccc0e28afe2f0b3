/**
 * What came of entries of the outbox, gathered into batches, each one transaction. An entry that is done with makes the next of its order due. An entry under a lease that is not held
 * any more is refused and nothing of it is written. Ids of events are given before: when the answer to a batch never came, they tell whether it stands.
 */
import { BEHIND_MS, type OutboxSettlement } from '#store/outbox-store.ts';
import type { Row } from '#store/rows-json.ts';
import { StoreError } from '#store/store.ts';
import { int4Array, int8Array, textArray } from './arrays.ts';
import type { Database, Queries } from './database.ts';
import { insertEvents, standing } from './event-rows.ts';
import { Gather, type Outcome } from './gather.ts';
import { dayOf, firstIdOfDay, type Ids } from './ids.ts';
import { LOCK_RECIPIENTS, LOWER_ENDPOINT, putOutbox, type Telling } from './outbox-put.ts';
import type { Partitions } from './partitions.ts';
import { insertPosts } from './posts.ts';
import { untilSure } from './unsure.ts';

export interface OutboxTools {
  readonly db: Database;
  readonly ids: Ids;
  readonly partitions: Partitions;
  readonly lingerMs: number;
}

/** A settlement under the ids of its event and its post; 0: it has none. */
interface Given {
  readonly settlement: OutboxSettlement;
  readonly event: number;
  readonly post: number;
}

/** Locked before an entry is due again, as by those who put one in. */
const HOLD_ENDPOINTS = 'SELECT id, look_ms, parked_ms FROM outbox_endpoint WHERE id = ANY($1::bigint[]) ORDER BY id FOR KEY SHARE';
const SETTLE = `WITH given AS (SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::integer[]) AS g (id, epoch, due_ms, untried)),
  done AS (
    DELETE FROM outbox o USING given g WHERE g.due_ms IS NULL AND o.id = g.id AND o.epoch = g.epoch AND o.is_leased + 0 = 1
    RETURNING o.id, o.endpoint, o.message, o.recipient, o.target),
  put_off AS (
    UPDATE outbox o SET due_ms = g.due_ms, is_leased = 0, attempts = o.attempts - g.untried FROM given g
    WHERE g.due_ms IS NOT NULL AND o.id = g.id AND o.epoch = g.epoch AND o.is_leased + 0 = 1 RETURNING o.id, o.endpoint, o.due_ms)
  SELECT id, endpoint, message, recipient, target, NULL::bigint AS due_ms FROM done
  UNION ALL SELECT id, endpoint, 0, 0, '', due_ms FROM put_off`;
/** In a statement of its own: it sees what was put in behind the one that is gone. */
const NEXT = `WITH next AS (
    SELECT min(o.id) AS id FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS q (message, recipient, endpoint, target)
    JOIN outbox o ON o.message = q.message AND o.recipient = q.recipient AND o.endpoint = q.endpoint AND o.target = q.target
    GROUP BY q.message, q.recipient, q.endpoint, q.target)
  UPDATE outbox o SET due_ms = o.created_ms FROM next n WHERE o.id = n.id AND o.due_ms = ${BEHIND_MS} RETURNING o.endpoint, o.due_ms`;
const THERE = 'SELECT id, epoch, is_leased, due_ms FROM outbox WHERE id = ANY($1::bigint[])';

export class OutboxSettler {
  readonly #tools: OutboxTools;
  readonly gather: Gather<OutboxSettlement, boolean>;
  /** Of those whose outcome is not known: whoever hands one in again gets the same ids. */
  readonly #unsure = new WeakMap<OutboxSettlement, Given>();

  constructor(tools: OutboxTools) {
    this.#tools = tools;
    this.gather = new Gather<OutboxSettlement, boolean>({
      lingerMs: tools.lingerMs,
      bytesOf: () => 0,
      keyOf: ({ item }) => item.id,
      write: (batch) => this.#writeBatch(batch),
    });
  }

  settle(settlement: OutboxSettlement): Promise<boolean> {
    return this.gather.call(settlement);
  }

  async #writeBatch(batch: readonly OutboxSettlement[]): Promise<Outcome<boolean>[]> {
    try {
      return (await this.#write(batch)).map((value) => ({ value }));
    } catch (error) {
      if (batch.length === 1 || (error instanceof StoreError && error.kind !== 'full')) return batch.map(() => ({ error }));
    }
    // One is at fault: the others are not to suffer for it.
    const outcomes: Outcome<boolean>[] = [];
    for (const settlement of batch) outcomes.push(...(await this.#writeBatch([settlement])));
    return outcomes;
  }

  async #write(batch: readonly OutboxSettlement[]): Promise<boolean[]> {
    const given = await this.#prepare(batch);
    const wasUnsure = batch.some((settlement) => this.#unsure.has(settlement));
    const days = batch.flatMap(({ event, post }) => [
      ...(event === undefined ? [] : [dayOf(event.atUs / 1000)]),
      ...(post === undefined ? [] : [dayOf(post.atMs)]),
    ]);
    const { db, partitions } = this.#tools;
    try {
      return await untilSure(async (mayStand) => {
        const written = mayStand || wasUnsure ? await writtenOf(db, given) : new Set<Given>();
        const left = given.filter((each) => !written.has(each)).toSorted((a, b) => a.settlement.item.id - b.settlement.item.id);
        const settled = left.length === 0 ? new Set() : await partitions.having(days, () => this.#send(left));
        return given.map((each) => written.has(each) || settled.has(each.settlement.item.id));
      });
    } catch (error) {
      for (const each of given) this.#unsure.set(each.settlement, each);
      throw error;
    }
  }

  async #prepare(batch: readonly OutboxSettlement[]): Promise<Given[]> {
    const { ids } = this.#tools;
    const take = async (kind: 'event' | 'webhook_post', count: number): Promise<number> => (count === 0 ? 0 : ids.take(kind, count));
    let event = await take('event', batch.filter((settlement) => settlement.event !== undefined).length);
    let post = await take('webhook_post', batch.filter((settlement) => settlement.post !== undefined).length);
    return batch.map(
      (settlement) =>
        this.#unsure.get(settlement) ?? {
          settlement,
          event: settlement.event === undefined ? 0 : firstIdOfDay(dayOf(settlement.event.atUs / 1000)) + event++,
          post: settlement.post === undefined ? 0 : firstIdOfDay(dayOf(settlement.post.atMs)) + post++,
        },
    );
  }

  /** Ids of the entries that were settled. */
  #send(given: readonly Given[]): Promise<Set<number>> {
    return this.#tools.db.transaction(async (queries) => {
      const telling = given.flatMap(({ settlement: { event, outbox } }) => (outbox === undefined ? [] : (event?.recipient ?? 0)));
      if (telling.length > 0) await queries.all(LOCK_RECIPIENTS, int8Array(telling));
      const endpoints = await queries.all(
        HOLD_ENDPOINTS,
        int8Array([...new Set(given.map(({ settlement }) => settlement.item.endpointId))]),
      );
      const rows = await queries.all(
        SETTLE,
        int8Array(given.map(({ settlement }) => settlement.item.id)),
        int4Array(given.map(({ settlement }) => settlement.item.epoch)),
        int8Array(given.map(({ settlement }) => settlement.dueAtMs ?? null)),
        int4Array(given.map(({ settlement }) => (settlement.isUntried === true ? 1 : 0))),
      );
      const settled = new Set(rows.map((row) => Number(row['id'])));
      await lower(queries, endpoints, [...rows.filter((row) => row['due_ms'] !== null), ...(await makeNextDue(queries, rows))]);
      const written = given.filter(({ settlement }) => settled.has(settlement.item.id));
      await insertEvents(
        queries,
        written.flatMap(({ settlement, event }) => (settlement.event === undefined ? [] : [{ ...settlement.event, id: event }])),
      );
      await putOutbox(queries, written.flatMap(tellingsOf));
      await insertPosts(
        queries,
        written.flatMap(({ settlement, post }) => (settlement.post === undefined ? [] : [{ id: post, post: settlement.post }])),
      );
      return settled;
    });
  }
}

function tellingsOf({ settlement: { event: told, outbox = [] }, event }: Given): Telling[] {
  if (told === undefined) return [];
  const { accountId, domainId, message, recipient, atUs } = told;
  const owner = { accountId, domainId, message, recipient, atMs: Math.floor(atUs / 1000), event };
  return outbox.map((entry) => ({ owner, entry }));
}

/** Of those that may have been written before, the ones that were. */
async function writtenOf(queries: Queries, given: readonly Given[]): Promise<Set<Given>> {
  const events = await standing(
    queries,
    'event',
    given.flatMap(({ event }) => (event === 0 ? [] : [event])),
  );
  const posts = await standing(
    queries,
    'webhook_post',
    given.flatMap(({ post }) => (post === 0 ? [] : [post])),
  );
  const rows = await queries.all(THERE, int8Array(given.map(({ settlement }) => settlement.item.id)));
  const there = new Map(rows.map((row) => [Number(row['id']), row]));
  return new Set(
    given.filter(({ settlement: { item, dueAtMs }, event, post }) => {
      if (post !== 0) return posts.has(post);
      if (event !== 0) return events.has(event);
      const row = there.get(item.id);
      if (dueAtMs === undefined) return row === undefined;
      return row?.['epoch'] === item.epoch && row['is_leased'] === 0 && row['due_ms'] === dueAtMs;
    }),
  );
}

/** The next of each order whose first is done with; the rows that are due now. */
async function makeNextDue(queries: Queries, settled: readonly Row[]): Promise<Row[]> {
  const done = settled.filter((row) => Number(row['message']) > 0);
  if (done.length === 0) return [];
  return queries.all(
    NEXT,
    int8Array(done.map((row) => Number(row['message']))),
    int8Array(done.map((row) => Number(row['recipient']))),
    int8Array(done.map((row) => Number(row['endpoint']))),
    textArray(done.map((row) => String(row['target']))),
  );
}

/** Endpoints that are to be looked at sooner than they were. */
async function lower(queries: Queries, endpoints: readonly Row[], due: readonly Row[]): Promise<void> {
  const earliest = new Map<number, number>();
  for (const row of due) {
    const [id, dueMs] = [Number(row['endpoint']), Number(row['due_ms'])];
    earliest.set(id, Math.min(dueMs, earliest.get(id) ?? dueMs));
  }
  for (const row of endpoints) {
    const dueMs = earliest.get(Number(row['id']));
    if (dueMs !== undefined && Number(row['look_ms']) > Math.max(dueMs, Number(row['parked_ms']))) {
      await queries.run(LOWER_ENDPOINT, dueMs, Number(row['id']));
    }
  }
}
