/**
 * A batch of settlements and releases as one statement: recipients, events, suppressions, counters, and the buckets that are to be looked at sooner. It is written whole or not at
 * all: when a lease of the batch is no longer held, the statement ends itself, and the batch is sent again without it (settle.ts).
 */
import { EVENT_KINDS } from '#model/event.ts';
import { STATE_DONE, STATE_LEASED, STATE_QUEUED } from '#store/rows-json.ts';
import type { Release, Settlement, Suppression } from '#store/store.ts';
import { int2Array, int4Array, int8Array, textArray } from './arrays.ts';
import { lowering } from './buckets.ts';
import { COUNTER_TYPES, CounterSums, countersSql } from './counters.ts';
import type { Queries, Value } from './database.ts';
import { parameters } from './parameters.ts';

/** A settlement, or the release of an untried recipient. */
export type Return =
  | { readonly settlement: Settlement; readonly event: number; readonly notification?: Notification }
  | { readonly release: Release };
/** The message that is accepted with it, and the event that tells so. */
export interface Notification {
  readonly message: number;
  readonly event: number;
}

const GIVEN = parameters({
  recipient: 'bigint[]',
  epoch: 'integer[]',
  state: 'smallint[]',
  ending: 'text[]',
  due: 'bigint[]',
  wait: 'text[]',
  attempts: 'integer[]',
  duplicate: 'smallint[]',
  total: 'bigint',
  eId: 'bigint[]',
  eKind: 'smallint[]',
  eAt: 'bigint[]',
  eAccount: 'bigint[]',
  eDomain: 'bigint[]',
  eMessage: 'bigint[]',
  eRecipient: 'bigint[]',
  eDetail: 'text[]',
  tDomain: 'bigint[]',
  tTag: 'text[]',
  tAt: 'bigint[]',
  tEvent: 'bigint[]',
  tKind: 'smallint[]',
  sDomain: 'bigint[]',
  sAddress: 'text[]',
  sKind: 'text[]',
  sCode: 'integer[]',
  sError: 'text[]',
  sCreated: 'bigint[]',
  ...COUNTER_TYPES,
});
const $ = GIVEN.sql;

/** `state + 0`: by the ids, and not by the index of what is leased, in which each of the batch would be compared with each that is leased. */
const SETTLE = `WITH returned AS (
    UPDATE recipient r SET state = s.state, ending = s.ending, due_ms = s.due_ms, wait = s.wait, attempts = coalesce(s.attempts, r.attempts),
      possible_duplicate = greatest(r.possible_duplicate, s.duplicate), node = NULL
    FROM unnest(${$.recipient}, ${$.epoch}, ${$.state}, ${$.ending}, ${$.due}, ${$.wait}, ${$.attempts}, ${$.duplicate})
      AS s (id, epoch, state, ending, due_ms, wait, attempts, duplicate)
    WHERE r.id = s.id AND r.epoch = s.epoch AND r.state + 0 = ${STATE_LEASED} RETURNING r.bucket, r.state, r.due_ms),
  events AS (
    INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient, detail)
    SELECT * FROM unnest(${$.eId}, ${$.eKind}, ${$.eAt}, ${$.eAccount}, ${$.eDomain}, ${$.eMessage}, ${$.eRecipient}, ${$.eDetail})),
  suppressions AS (
    INSERT INTO suppression AS s (domain_id, address, kind, code, error, created_ms)
    SELECT * FROM unnest(${$.sDomain}, ${$.sAddress}, ${$.sKind}, ${$.sCode}, ${$.sError}, ${$.sCreated})
      AS g (domain_id, address, kind, code, error, created_ms)
    WHERE g.kind <> 'bounce' OR NOT EXISTS (SELECT 1 FROM allowlist w WHERE w.domain_id = g.domain_id
      AND w.value IN (lower(g.address COLLATE "C"), lower(substring(g.address from '[^@]*$') COLLATE "C")))
    ON CONFLICT (domain_id, lower(address), kind) DO UPDATE SET code = excluded.code, error = excluded.error, tags = '["*"]'),
  tagged AS (
    INSERT INTO event_tag (domain_id, tag, at_us, event, kind)
    SELECT * FROM unnest(${$.tDomain}, ${$.tTag}, ${$.tAt}, ${$.tEvent}, ${$.tKind})),
  ${countersSql($)},
  queued AS (SELECT bucket, min(due_ms) AS due_ms FROM returned WHERE state = ${STATE_QUEUED} GROUP BY bucket),
  ${lowering('queued')}
SELECT (SELECT count(*) FROM lowered) AS sooner, 1 / (CASE WHEN (SELECT count(*) FROM returned) = ${$.total} THEN 1 ELSE 0 END) AS all_leases_are_held`;

/** Whether a bucket is to be looked at sooner. */
export async function writeReturns(queries: Queries, returns: readonly Return[], node: number): Promise<boolean> {
  const row = await queries.get(SETTLE, ...valuesOf(returns, node));
  return Number(row?.['sooner']) > 0;
}

export function leaseOf(given: Return): { readonly recipient: number; readonly epoch: number } {
  return 'settlement' in given ? given.settlement : given.release;
}

function valuesOf(unordered: readonly Return[], node: number): Value[] {
  // In one order whoever locks them.
  const returns = unordered.toSorted((a, b) => leaseOf(a).recipient - leaseOf(b).recipient);
  const r = returns.map((given) => ('settlement' in given ? settledRow(given.settlement) : releasedRow(given.release)));
  const events = returns.flatMap((given) => ('settlement' in given ? eventRows(given) : []));
  const tagged = returns.flatMap((given) => ('settlement' in given ? taggedRows(given) : []));
  const suppressions = new Map<string, { readonly domainId: number; readonly suppression: Suppression }>();
  const counters = new CounterSums();
  for (const given of unordered) {
    if (!('settlement' in given)) continue;
    const { domainId, atMs, suppression } = given.settlement;
    for (const key of given.settlement.counters) counters.add(key, atMs, 1);
    if (suppression !== undefined)
      suppressions.set(`${domainId} ${suppression.kind} ${suppression.address.toLowerCase()}`, { domainId, suppression });
  }
  const s = [...suppressions.keys()].sort().map((name) => suppressions.get(name) as { domainId: number; suppression: Suppression });
  return GIVEN.values({
    recipient: int8Array(returns.map((given) => leaseOf(given).recipient)),
    epoch: int4Array(returns.map((given) => leaseOf(given).epoch)),
    state: int2Array(r.map(({ state }) => state)),
    ending: textArray(r.map(({ ending }) => ending)),
    due: int8Array(r.map(({ dueMs }) => dueMs)),
    wait: textArray(r.map(({ wait }) => wait)),
    attempts: int4Array(r.map(({ attempts }) => attempts)),
    duplicate: int2Array(r.map(({ duplicate }) => duplicate)),
    total: returns.length,
    eId: int8Array(events.map(({ id }) => id)),
    eKind: int2Array(events.map(({ kind }) => kind)),
    eAt: int8Array(events.map(({ settlement }) => Math.round(settlement.atMs * 1000))),
    eAccount: int8Array(events.map(({ settlement }) => settlement.accountId)),
    eDomain: int8Array(events.map(({ settlement }) => settlement.domainId)),
    eMessage: int8Array(events.map(({ settlement }) => settlement.message)),
    eRecipient: int8Array(events.map(({ settlement }) => settlement.recipient)),
    eDetail: textArray(events.map(({ detail }) => JSON.stringify(detail))),
    tDomain: int8Array(tagged.map(({ settlement }) => settlement.domainId)),
    tTag: textArray(tagged.map(({ tag }) => tag)),
    tAt: int8Array(tagged.map(({ settlement }) => Math.round(settlement.atMs * 1000))),
    tEvent: int8Array(tagged.map(({ event }) => event)),
    tKind: int2Array(tagged.map(({ settlement }) => EVENT_KINDS[settlement.event.kind])),
    sDomain: int8Array(s.map(({ domainId }) => domainId)),
    sAddress: textArray(s.map(({ suppression }) => suppression.address)),
    sKind: textArray(s.map(({ suppression }) => suppression.kind)),
    sCode: int4Array(s.map(({ suppression }) => suppression.code)),
    sError: textArray(s.map(({ suppression }) => suppression.error)),
    sCreated: int8Array(s.map(({ suppression }) => suppression.createdMs)),
    ...counters.values(node),
  });
}

function settledRow({ ending, atMs, dueAtMs, wait, attempts, possibleDuplicate }: Settlement) {
  const isDone = ending !== undefined;
  return {
    state: isDone ? STATE_DONE : STATE_QUEUED,
    ending,
    // Of one that is done this is when it was settled: retention counts from it.
    dueMs: isDone ? atMs : (dueAtMs ?? atMs),
    wait: wait ?? 'due',
    attempts,
    duplicate: possibleDuplicate === true ? 1 : 0,
  };
}

function releasedRow({
  dueAtMs,
  wait,
}: Release): ReturnType<typeof settledRow> | (Omit<ReturnType<typeof settledRow>, 'attempts'> & { attempts: undefined }) {
  return { state: STATE_QUEUED, ending: undefined, dueMs: dueAtMs, wait, attempts: undefined, duplicate: 0 };
}

function eventRows({ settlement, event, notification }: Extract<Return, { readonly settlement: Settlement }>) {
  const told = { id: event, kind: EVENT_KINDS[settlement.event.kind] as number, settlement, detail: settlement.event.detail };
  if (notification === undefined || settlement.notification === undefined) return [told];
  const detail = { dsn: { action: settlement.notification.action, message: notification.message } };
  return [told, { id: notification.event, kind: EVENT_KINDS.notified as number, settlement, detail }];
}

/** The event under each of the tags that it was counted with. */
function taggedRows({ settlement, event }: Extract<Return, { readonly settlement: Settlement }>) {
  const tags = new Set(settlement.counters.map(({ tag }) => tag.toLowerCase()));
  tags.delete('');
  return [...tags].map((tag) => ({ tag, settlement, event }));
}
