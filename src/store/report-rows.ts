/** Reports as rows of either driver, and the questions about them: values stand as `?`, in their order. Stored JSON was written by us: it is trusted. */
import type { DmarcRow, DmarcSum, Report, ReportKind, ReportRange, ReporterSum } from './report-store.ts';
import type { Row } from './rows-json.ts';

type Value = string | number;

const REPORT_COLUMNS =
  'id, account_id, domain_id, kind, reporter, org, report_id, begin_ms, end_ms, received_ms, is_verified, messages, failures, detail';
const ROW_COLUMNS = 'report, number, domain_id, source_ip, count, disposition, dkim_aligned, spf_aligned, header_from, why, signed, detail';

export const PUT_REPORT = `INSERT INTO report (${REPORT_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING`;
export const PUT_ROW = `INSERT INTO report_row (${ROW_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`;
/** What a verified one takes the place of. */
export const UNVERIFIED = 'SELECT id FROM report WHERE id = ? AND is_verified = 0';
/** Whether one domain has verified ones beyond so many: asked with each that comes, so that shares are counted only where one has to go. */
export const IS_BEYOND = 'SELECT 1 AS n FROM report WHERE domain_id = ? AND is_verified = 1 LIMIT 1 OFFSET ?';
/** Of one domain's verified ones, each reporter's. Reads the index entries of all of them. */
export const BY_REPORTER =
  'SELECT reporter, count(*) AS n, min(begin_ms) AS oldest_ms FROM report WHERE domain_id = ? AND is_verified = 1 GROUP BY reporter';
export const OLDEST_OF = 'SELECT id FROM report WHERE domain_id = ? AND is_verified = 1 AND reporter = ? ORDER BY begin_ms, id LIMIT ?';
/** Of one domain's that anybody may have written, beyond so many: the oldest. */
export const BEYOND = 'SELECT id FROM report WHERE domain_id = ? AND is_verified = 0 ORDER BY begin_ms DESC, id DESC LIMIT 100 OFFSET ?';
export const PAST = 'SELECT id FROM report WHERE end_ms < ? ORDER BY end_ms LIMIT ?';
export const DROP_ROWS = 'DELETE FROM report_row WHERE report = ?';
export const DROP_REPORT = 'DELETE FROM report WHERE id = ?';
export const ROWS_OF = 'SELECT * FROM report_row WHERE report = ? ORDER BY count DESC, number LIMIT ?';

const IN_RANGE = 'r.domain_id = ? AND r.kind = ? AND r.begin_ms >= ? AND r.begin_ms < ? AND r.is_verified >= ?';
export const PAGE = `SELECT * FROM report r WHERE ${IN_RANGE} AND (r.begin_ms < ? OR (r.begin_ms = ? AND r.id < ?)) ORDER BY r.begin_ms DESC, r.id DESC LIMIT ?`;
const SUM_BY = 'w.source_ip, w.disposition, w.dkim_aligned, w.spf_aligned, w.why, w.signed';
export const SUMS = `SELECT ${SUM_BY}, CAST(sum(w.count) AS bigint) AS n FROM report r JOIN report_row w ON w.report = r.id
  WHERE ${IN_RANGE} GROUP BY ${SUM_BY} ORDER BY n DESC, w.source_ip LIMIT ?`;
export const REPORTERS = `SELECT r.reporter, max(r.org) AS org, count(*) AS reports, CAST(sum(r.messages) AS bigint) AS messages,
  CAST(sum(r.failures) AS bigint) AS failures FROM report r WHERE ${IN_RANGE} GROUP BY r.reporter ORDER BY messages DESC, r.reporter LIMIT ?`;

export function rangeValues(kind: ReportKind, { domainId, beginMs, endMs, withUnverified }: ReportRange): Value[] {
  return [domainId, kind, beginMs, endMs, withUnverified ? 0 : 1];
}

/** Of a page: from its start when there is none before it. */
export function afterValues(after: { readonly beginMs: number; readonly id: string } | undefined): Value[] {
  const { beginMs, id } = after ?? { beginMs: Number.MAX_SAFE_INTEGER, id: '' };
  return [beginMs, beginMs, id];
}

/** How many of a domain's that anybody may have written stay when one more came. */
export function unverifiedMax(max: number): number {
  return Math.max(1, Math.floor(max / 10));
}

/** After the bound was lowered: the rest goes with the reports that come. */
const DROPPED_MAX = 100;

interface Share {
  readonly count: number;
  readonly oldestMs: number;
  /** Whose the oldest is. */
  readonly oldest: string;
}

/**
 * Of verified reports of a domain that has more than `max`: whose oldest go, and how many. That of whoever has the most, so that one who sends many pushes out nobody else's. Names below one
 * registered name are free, so what counts is the last two labels: names below "co.uk" share theirs.
 */
export function givesWay(rows: readonly Row[], max: number): { readonly reporter: string; readonly count: number } | undefined {
  const shares = new Map<string, Share>();
  let total = 0;
  for (const row of rows) {
    const [reporter, count, oldestMs] = [String(row['reporter']), Number(row['n']), Number(row['oldest_ms'])];
    total += count;
    const owner = reporter.split('.').slice(-2).join('.');
    const share = shares.get(owner) ?? { count: 0, oldestMs: Infinity, oldest: reporter };
    const isOlder = oldestMs < share.oldestMs;
    shares.set(owner, {
      count: share.count + count,
      oldestMs: isOlder ? oldestMs : share.oldestMs,
      oldest: isOlder ? reporter : share.oldest,
    });
  }
  if (total <= max) return undefined;
  let most: Share | undefined;
  for (const share of shares.values())
    if (most === undefined || share.count > most.count || (share.count === most.count && share.oldestMs < most.oldestMs)) most = share;
  return most === undefined ? undefined : { reporter: most.oldest, count: Math.min(total - max, DROPPED_MAX) };
}

export function reportValues(report: Report): Value[] {
  const { id, accountId, domainId, kind, reporter, org, reportId, beginMs, endMs, receivedMs, isVerified, messages, failures, detail } =
    report;
  return [
    id,
    accountId,
    domainId,
    kind,
    reporter,
    org,
    reportId,
    beginMs,
    endMs,
    receivedMs,
    isVerified ? 1 : 0,
    messages,
    failures,
    JSON.stringify(detail),
  ];
}

export function rowValues({ id, domainId }: Report, row: DmarcRow, number: number): Value[] {
  const { sourceIp, count, disposition, isDkimAligned, isSpfAligned, headerFrom, why, signatures, detail } = row;
  return [
    id,
    number,
    domainId,
    sourceIp,
    count,
    disposition,
    isDkimAligned ? 1 : 0,
    isSpfAligned ? 1 : 0,
    headerFrom,
    why,
    signedBy(row),
    JSON.stringify({ ...detail, signatures }),
  ];
}

/** Of several that passed, the one that speaks for the author's domain. */
function signedBy({ signatures, headerFrom }: DmarcRow): string {
  const passed = signatures.filter(({ result }) => result === 'pass');
  const one = passed.find(({ domain }) => domain === headerFrom) ?? passed[0];
  return one === undefined ? '' : `${one.selector}@${one.domain}`;
}

export function reportOf(row: Row): Report {
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    domainId: Number(row['domain_id']),
    kind: row['kind'] as ReportKind,
    reporter: String(row['reporter']),
    org: String(row['org']),
    reportId: String(row['report_id']),
    beginMs: Number(row['begin_ms']),
    endMs: Number(row['end_ms']),
    receivedMs: Number(row['received_ms']),
    isVerified: Number(row['is_verified']) === 1,
    messages: Number(row['messages']),
    failures: Number(row['failures']),
    detail: JSON.parse(String(row['detail'])) as Report['detail'],
  };
}

export function dmarcRowOf(row: Row): DmarcRow {
  const { signatures, ...detail } = JSON.parse(String(row['detail'])) as DmarcRow['detail'] & Pick<DmarcRow, 'signatures'>;
  return { ...common(row), count: Number(row['count']), headerFrom: String(row['header_from']), signatures, detail };
}

export function dmarcSumOf(row: Row): DmarcSum {
  return { ...common(row), signed: String(row['signed']), count: Number(row['n']) };
}

function common(row: Row): Pick<DmarcSum, 'sourceIp' | 'disposition' | 'isDkimAligned' | 'isSpfAligned' | 'why'> {
  return {
    sourceIp: String(row['source_ip']),
    disposition: row['disposition'] as DmarcSum['disposition'],
    isDkimAligned: Number(row['dkim_aligned']) === 1,
    isSpfAligned: Number(row['spf_aligned']) === 1,
    why: String(row['why']),
  };
}

export function reporterSumOf(row: Row): ReporterSum {
  return {
    reporter: String(row['reporter']),
    org: String(row['org']),
    reports: Number(row['reports']),
    messages: Number(row['messages']),
    failures: Number(row['failures']),
  };
}
