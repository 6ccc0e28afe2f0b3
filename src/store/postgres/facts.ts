/**
 * Facts that come back (opens, clicks, unsubscribes, complaints, late bounces), gathered into batches, each one transaction. Two facts of one recipient never share a batch, so
 * that which was first is the server's to say. Ids of events are given before: when the answer to a batch never came, they tell whether it stands.
 */
import { type EventKind, type EventRow } from '#model/event.ts';
import type { Fact } from '#store/fact-store.ts';
import { onceKey } from '#store/rows-json.ts';
import { StoreError, type Suppression } from '#store/store.ts';
import { int8Array, textArray } from './arrays.ts';
import { CounterSums, writeCounters } from './counters.ts';
import type { Database, Queries } from './database.ts';
import { insertEvents, standing } from './event-rows.ts';
import { Gather, type Outcome } from './gather.ts';
import { dayOf, firstIdOfDay, type Ids } from './ids.ts';
import { setSubscribed } from './lists.ts';
import { LOCK_RECIPIENTS, putOutbox } from './outbox-put.ts';
import type { Partitions } from './partitions.ts';
import { putSuppressions } from './suppressions.ts';
import { untilSure } from './unsure.ts';

type Answer = 'recorded' | 'repeated';

/** A fact under the id of its event. */
interface Given {
  readonly fact: Fact;
  readonly event: number;
}

export interface FactTools {
  readonly db: Database;
  readonly ids: Ids;
  readonly partitions: Partitions;
  readonly lingerMs: number;
  /** That counts. */
  readonly node: () => number;
}

const FIRST = `INSERT INTO fact_once (recipient, key, at_ms) SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) ORDER BY 1, 2
  ON CONFLICT DO NOTHING RETURNING recipient, key`;
const ALLOWED = `SELECT g.n::integer AS n FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS g (domain_id, address, n)
  JOIN allowlist w ON w.domain_id = g.domain_id AND w.value IN (lower(g.address COLLATE "C"), lower(substring(g.address from '[^@]*$') COLLATE "C"))`;

export class FactWriter {
  readonly #tools: FactTools;
  readonly gather: Gather<Fact, Answer>;
  /** Of those whose outcome is not known: whoever hands one in again gets the same id. */
  readonly #unsure = new WeakMap<Fact, number>();

  constructor(tools: FactTools) {
    this.#tools = tools;
    this.gather = new Gather<Fact, Answer>({
      lingerMs: tools.lingerMs,
      bytesOf: () => 0,
      keyOf: ({ event }) => subjectOf(event),
      write: (batch) => this.#writeBatch(batch),
    });
  }

  record(fact: Fact): Promise<Answer> {
    return this.gather.call(fact);
  }

  async #writeBatch(facts: readonly Fact[]): Promise<Outcome<Answer>[]> {
    try {
      return (await this.#write(facts)).map((value) => ({ value }));
    } catch (error) {
      if (facts.length === 1 || (error instanceof StoreError && error.kind !== 'full')) return facts.map(() => ({ error }));
    }
    // One fact is at fault: the others are not to suffer for it.
    const outcomes: Outcome<Answer>[] = [];
    for (const fact of facts) outcomes.push(...(await this.#writeBatch([fact])));
    return outcomes;
  }

  async #write(facts: readonly Fact[]): Promise<Answer[]> {
    const { db, ids, partitions } = this.#tools;
    const days = facts.map(({ event }) => dayOf(event.atUs / 1000));
    let number = await ids.take('event', facts.length);
    const given = facts.map((fact, position): Given => ({
      fact,
      event: this.#unsure.get(fact) ?? firstIdOfDay(days[position] as number) + number++,
    }));
    const wasUnsure = facts.some((fact) => this.#unsure.has(fact));
    try {
      return await untilSure(async (mayStand) => {
        const written =
          mayStand || wasUnsure
            ? await standing(
                db,
                'event',
                given.map(({ event }) => event),
              )
            : new Set<number>();
        const left = given.filter(({ event }) => !written.has(event));
        const answers = left.length === 0 ? new Map<number, Answer>() : await partitions.having(days, () => this.#send(left));
        return given.map(({ event }) => (written.has(event) ? 'recorded' : (answers.get(event) as Answer)));
      });
    } catch (error) {
      for (const { fact, event } of given) this.#unsure.set(fact, event);
      throw error;
    }
  }

  #send(given: readonly Given[]): Promise<Map<number, Answer>> {
    return this.#tools.db.transaction(async (queries) => {
      const telling = given.filter(({ fact }) => (fact.outbox?.length ?? 0) > 0 && fact.event.recipient > 0);
      if (telling.length > 0) await queries.all(LOCK_RECIPIENTS, int8Array(telling.map(({ fact }) => fact.event.recipient)));
      const isNew = await areFirst(queries, given, ({ once }) => once);
      const fresh = given.filter(({ fact }) => fact.once === undefined || isNew(fact));
      const isFirstOfKind = await areFirst(queries, fresh, firstKey);
      const isFirstOfMark = await areFirst(queries, fresh, markKey);
      const isFirst = (fact: Fact): boolean => fact.firstCounters !== undefined && isFirstOfKind(fact);
      await insertEvents(
        queries,
        fresh.map((each) => eventOf(each, isFirst(each.fact))),
      );
      await putFound(queries, fresh);
      await leaveLists(queries, fresh);
      const counters = new CounterSums();
      for (const { fact } of fresh) {
        const atMs = fact.event.atUs / 1000;
        for (const key of fact.counters) counters.add(key, atMs, 1);
        if (isFirst(fact)) for (const key of fact.firstCounters ?? []) counters.add(key, atMs, 1);
        if (fact.firstOf !== undefined && isFirstOfMark(fact)) for (const key of fact.firstOf.counters) counters.add(key, atMs, 1);
      }
      await writeCounters(queries, counters, this.#tools.node());
      await putOutbox(queries, fresh.flatMap(tellings));
      const recorded = new Set(fresh);
      return new Map(given.map((each) => [each.event, recorded.has(each) ? 'recorded' : 'repeated'] as const));
    });
  }
}

function subjectOf({ recipient, message }: Pick<EventRow, 'recipient' | 'message'>): number | undefined {
  return recipient > 0 ? recipient : message > 0 ? message : undefined;
}

function firstKey({ event, firstCounters }: Fact): string | undefined {
  return firstCounters === undefined ? undefined : `first ${event.kind satisfies EventKind}`;
}

function markKey({ event, firstOf }: Fact): string | undefined {
  return firstOf === undefined ? undefined : `first ${event.kind} ${firstOf.mark}`;
}

/** Takes the keys; whether a fact's was free. One without a subject is always first. */
async function areFirst(
  queries: Queries,
  given: readonly Given[],
  keyOf: (fact: Fact) => string | undefined,
): Promise<(fact: Fact) => boolean> {
  const rows = given.flatMap(({ fact }) => {
    const [subject, key] = [subjectOf(fact.event), keyOf(fact)];
    return subject === undefined || key === undefined ? [] : [{ subject, key: onceKey(fact.event.recipient, key), atUs: fact.event.atUs }];
  });
  if (rows.length === 0) return () => true;
  const taken = await queries.all(
    FIRST,
    int8Array(rows.map(({ subject }) => subject)),
    textArray(rows.map(({ key }) => key)),
    int8Array(rows.map(({ atUs }) => Math.floor(atUs / 1000))),
  );
  const subjects = new Set(taken.map((row) => Number(row['recipient'])));
  return ({ event }) => {
    const subject = subjectOf(event);
    return subject === undefined || subjects.has(subject);
  };
}

function eventOf({ fact, event }: Given, isFirst: boolean): EventRow {
  return { ...fact.event, id: event, detail: { ...fact.event.detail, ...(isFirst && { isFirst: true }) } };
}

function tellings({ fact, event }: Given) {
  const { accountId, domainId, message, recipient, atUs } = fact.event;
  const owner = { accountId, domainId, message, recipient, atMs: Math.floor(atUs / 1000), event };
  return (fact.outbox ?? []).map((entry) => ({ owner, entry }));
}

/** In the order of lists, so that two that write the same wait in turn. */
async function leaveLists(queries: Queries, given: readonly Given[]): Promise<void> {
  const leaving = given.flatMap(({ fact }) => fact.leaves ?? []).toSorted((a, b) => a.list - b.list);
  for (const { list, address } of leaving) await setSubscribed(queries, list, address, false);
}

/** No bounce of an address that the domain's allowlist has. */
async function putFound(queries: Queries, given: readonly Given[]): Promise<void> {
  const found = given.flatMap(({ fact }) =>
    fact.suppression === undefined ? [] : [{ domainId: fact.event.domainId, suppression: fact.suppression }],
  );
  const bounces = found.filter(({ suppression }) => suppression.kind === 'bounce');
  const allowed =
    bounces.length === 0
      ? []
      : await queries.all(
          ALLOWED,
          int8Array(bounces.map(({ domainId }) => domainId)),
          textArray(bounces.map(({ suppression }) => suppression.address)),
        );
  const passed = new Set(allowed.map((row) => bounces[Number(row['n']) - 1]));
  const byDomain = new Map<number, Suppression[]>();
  for (const each of found) {
    if (passed.has(each)) continue;
    const list = byDomain.get(each.domainId);
    if (list === undefined) byDomain.set(each.domainId, [each.suppression]);
    else list.push(each.suppression);
  }
  for (const domainId of [...byDomain.keys()].sort((a, b) => a - b)) {
    await putSuppressions(queries, domainId, byDomain.get(domainId) as Suppression[]);
  }
}
