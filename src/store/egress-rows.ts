/** Rows of warm-ups and dynamic pools to our nouns, the same for both drivers. Stored JSON was written by us: it is trusted. */
import type { Band, BandAddresses, BandMove, EnrolledDomain, MoveAsk, WarmUp } from './egress-store.ts';
import type { Row } from './rows-json.ts';

export const WARM_UP_COLUMNS = 'address, plan, stage, started_ms, stage_started_ms, updated_ms, history';
export const ENROLLED_COLUMNS =
  'domain_id, account_id, owner_id, enrolled_ms, band, is_overridden, processed, bounce_rate, complaint_rate, checked_ms';
export const MOVE_COLUMNS =
  'id, owner_id, account_id, domain_id, domain_name, from_band, to_band, reason, initiated_by, processed, bounce_rate, complaint_rate, at_ms';

export function warmUpOf(row: Row): WarmUp {
  return {
    address: String(row['address']),
    plan: JSON.parse(String(row['plan'])) as number[],
    stage: Number(row['stage']),
    startedMs: Number(row['started_ms']),
    stageStartedMs: Number(row['stage_started_ms']),
    updatedMs: Number(row['updated_ms']),
    history: JSON.parse(String(row['history'])) as WarmUp['history'],
  };
}

export function warmUpValues({ address, plan, stage, startedMs, stageStartedMs, updatedMs, history }: WarmUp): (string | number)[] {
  return [address, JSON.stringify(plan), stage, startedMs, stageStartedMs, updatedMs, JSON.stringify(history)];
}

export function bandsOf(row: Row): BandAddresses {
  return JSON.parse(String(row['pools'])) as BandAddresses;
}

export function enrolledOf(row: Row): EnrolledDomain {
  return {
    domainId: Number(row['domain_id']),
    accountId: Number(row['account_id']),
    ownerId: Number(row['owner_id']),
    enrolledMs: Number(row['enrolled_ms']),
    band: String(row['band']) as Band,
    isOverridden: row['is_overridden'] === 1,
    processed: Number(row['processed']),
    bounceRate: Number(row['bounce_rate']),
    complaintRate: Number(row['complaint_rate']),
    checkedMs: Number(row['checked_ms']),
  };
}

/** In the order of ENROLLED_COLUMNS. */
export function enrolledValues(domain: EnrolledDomain): (string | number)[] {
  const { domainId, accountId, ownerId, enrolledMs } = domain;
  return [domainId, accountId, ownerId, enrolledMs, ...standingValues(domain)];
}

/** What a look changes, in the order of ENROLLED_COLUMNS from band on. Rates are kept as decimal texts, the same in both engines. */
export function standingValues(domain: EnrolledDomain): (string | number)[] {
  const { band, isOverridden, processed, bounceRate, complaintRate, checkedMs } = domain;
  return [band, isOverridden ? 1 : 0, processed, String(bounceRate), String(complaintRate), checkedMs];
}

export function moveOf(row: Row): BandMove {
  return {
    id: String(row['id']),
    ownerId: Number(row['owner_id']),
    accountId: Number(row['account_id']),
    domainId: Number(row['domain_id']),
    domainName: String(row['domain_name']),
    from: String(row['from_band']) as BandMove['from'],
    to: String(row['to_band']) as BandMove['to'],
    reason: String(row['reason']),
    initiatedBy: String(row['initiated_by']),
    processed: Number(row['processed']),
    bounceRate: Number(row['bounce_rate']),
    complaintRate: Number(row['complaint_rate']),
    atMs: Number(row['at_ms']),
  };
}

/** In the order of MOVE_COLUMNS. */
export function moveValues(move: BandMove): (string | number)[] {
  const { id, ownerId, accountId, domainId, domainName, from, to, reason, initiatedBy, processed, bounceRate, complaintRate, atMs } = move;
  const head = [id, ownerId, accountId, domainId, domainName, from, to, reason, initiatedBy, processed];
  return [...head, String(bounceRate), String(complaintRate), atMs];
}

/** The conditions of an ask: column, comparison and value of each. */
export function moveConditions(ask: MoveAsk): (readonly [column: string, comparator: '=' | '<' | '>', value: string | number])[] {
  const given: (readonly [string, '=' | '<' | '>', string | number | undefined])[] = [
    ['owner_id', '=', ask.ownerId],
    ['account_id', '=', ask.accountId],
    ['domain_name', '=', ask.domainName],
    ['from_band', '=', ask.fromBand],
    ['to_band', '=', ask.toBand],
    ['at_ms', '<', ask.beforeMs],
    ['at_ms', '>', ask.afterMs],
  ];
  return given.flatMap(([column, comparator, value]) => (value === undefined ? [] : [[column, comparator, value] as const]));
}
