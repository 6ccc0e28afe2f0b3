/**
 * /v1/domains/{domain}/dmarc and /tls-reports: what others report about mail that bears the domain's name, joined with what is known here, and about connections to its mail servers.
 */
import { parseEventTime } from '#events/event-time.ts';
import { badParameter } from '#model/errors.ts';
import { receiversOf, summarise, withDeliveries } from '#reports/summary.ts';
import type { DmarcRow, Report, ReportKind, ReportRange } from '#store/report-store.ts';
import type { Domain } from '#store/store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { countOf, fieldsOf, flagOf } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { dmarcReports, dmarcSummary, reportPagesQuery, reportsQuery, tlsReports } from '#api/shapes/reports.ts';

const DAY_MS = 86_400_000;
const RANGE_DEFAULT_MS = 30 * DAY_MS;
/** Reports are of a day, and begin before it is over. */
const AHEAD_MS = 2 * DAY_MS;
const SUMS_MAX = 20_000;
const REPORTERS_MAX = 500;
const COUNTS_MAX = 50_000;
const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 100;
const ROWS_DEFAULT = 100;
const ROWS_MAX = 2000;

export function domainReports(door: Door): Endpoint[] {
  const url = '/v1/domains/:domain';
  return [
    {
      method: 'GET',
      url: `${url}/dmarc`,
      summary: 'What DMARC reports say about mail of the domain, by source',
      right: 'read',
      query: reportsQuery,
      answer: dmarcSummary,
      handle: (call) => summary(door, call),
    },
    {
      method: 'GET',
      url: `${url}/dmarc/reports`,
      summary: 'DMARC reports about the domain, newest first',
      right: 'read',
      query: reportPagesQuery,
      answer: dmarcReports,
      handle: (call) => list(door, call, 'dmarc'),
    },
    {
      method: 'GET',
      url: `${url}/tls-reports`,
      summary: 'Reports about TLS to the mail servers of the domain, newest first',
      right: 'read',
      query: reportPagesQuery,
      answer: tlsReports,
      handle: (call) => list(door, call, 'tls'),
    },
  ];
}

function rangeOf(door: Door, call: Call, domain: Domain): ReportRange {
  const fields = fieldsOf(call);
  const nowMs = door.deps.clock.nowMs();
  const time = (name: string): number | undefined => {
    const text = fields.get(name);
    if (text === undefined) return undefined;
    const us = parseEventTime(text);
    if (us === undefined) throw badParameter(`'${name}' parameter is not a time`);
    return Math.floor(us / 1000);
  };
  const endMs = time('end') ?? nowMs + AHEAD_MS;
  const beginMs = time('begin') ?? Math.min(nowMs, endMs) - RANGE_DEFAULT_MS;
  if (beginMs > endMs) throw badParameter("'begin' parameter is after 'end'");
  return { domainId: domain.id, beginMs, endMs, withUnverified: flagOf(fields, 'unverified') === true };
}

async function summary(door: Door, call: Call): Promise<Answer> {
  const { store, isOurAddress } = door.deps;
  const domain = await domainOf(door, call);
  const range = rangeOf(door, call, domain);
  const [sums, reporters, selectors, delivered] = await Promise.all([
    store.reports.dmarcSums(range, SUMS_MAX + 1),
    store.reports.reporterSums('dmarc', range, REPORTERS_MAX + 1),
    selectorsOf(door, domain),
    deliveriesOf(door, domain, range),
  ]);
  const known = { domain: domain.name, isOurAddress: isOurAddress ?? (() => false), selectors, delivered };
  const total = (of: 'messages' | 'failures' | 'reports'): number => reporters.reduce((sum, each) => sum + each[of], 0);
  return json({
    domain: domain.name,
    begin: iso(range.beginMs),
    end: iso(range.endMs),
    reports: total('reports'),
    messages: total('messages'),
    pass: total('messages') - total('failures'),
    fail: total('failures'),
    is_complete: sums.length <= SUMS_MAX && reporters.length <= REPORTERS_MAX,
    reporters: withDeliveries(reporters.slice(0, REPORTERS_MAX), known),
    sources: summarise(sums.slice(0, SUMS_MAX), known).map((source) => ({
      source_ip: source.sourceIp,
      source: source.kind,
      messages: source.messages,
      pass: source.pass,
      fail: source.fail,
      dkim_aligned: source.dkimAligned,
      spf_aligned: source.spfAligned,
      dispositions: source.dispositions,
      signed: source.signed,
      why: source.why,
    })),
  });
}

async function selectorsOf(door: Door, domain: Domain): Promise<ReadonlySet<string>> {
  return new Set((await door.deps.store.accounts.listDkimKeys(domain.id)).map(({ selector }) => selector.toLowerCase()));
}

/** What was delivered on the days of the range, by who may report it. */
async function deliveriesOf(door: Door, { id, accountId }: Domain, range: ReportRange): Promise<(reporter: string) => number | undefined> {
  const query = {
    accountId,
    domainIds: [id],
    step: 'day' as const,
    from: Math.floor(range.beginMs / DAY_MS),
    until: Math.ceil(range.endMs / DAY_MS),
    kinds: ['delivered' as const],
    rowsMax: COUNTS_MAX,
  };
  const { stats } = door.deps.store;
  const [byProvider, byReceiver] = await Promise.all([
    stats.sums({ ...query, by: ['provider'] }),
    stats.sums({ ...query, by: ['receiver'] }),
  ]);
  const providers = new Map(byProvider.map(({ provider, n }) => [String(provider), n]));
  const receivers = new Map(byReceiver.map(({ receiver, n }) => [String(receiver), n]));
  return (reporter) => {
    const { providers: theirs, domain } = receiversOf(reporter);
    // The domain itself may be one of the provider's: it is not counted twice then.
    if (theirs.length > 0) return theirs.reduce((sum, provider) => sum + (providers.get(provider) ?? 0), 0);
    return receivers.get(domain);
  };
}

async function list(door: Door, call: Call, kind: ReportKind): Promise<Answer> {
  const domain = await domainOf(door, call);
  const range = rangeOf(door, call, domain);
  const limit = Math.max(1, countOf(call, 'limit', LIMIT_DEFAULT, LIMIT_MAX));
  const rows = countOf(call, 'rows', ROWS_DEFAULT, ROWS_MAX);
  const reports = await door.deps.store.reports.reportPage(kind, range, positionOf(call.query.get('page')), limit);
  const last = reports.length === limit ? reports.at(-1) : undefined;
  const items = kind === 'tls' ? reports.map(tlsShown) : await dmarcShown(door, domain, reports, rows);
  return json({ items, paging: last === undefined ? {} : { next: nextUrl(call, kind, range, { limit, rows }, last) } });
}

/** "1763931234567-0f…": after that report. */
function positionOf(text: string | undefined): { readonly beginMs: number; readonly id: string } | undefined {
  if (text === undefined) return undefined;
  const [, beginMs, id] = /^(\d{1,15})-([0-9a-f]{32})$/.exec(text) ?? [];
  if (beginMs === undefined || id === undefined) throw badParameter("'page' parameter is not one that was given out");
  return { beginMs: Number(beginMs), id };
}

function nextUrl(
  call: Call,
  kind: ReportKind,
  range: ReportRange,
  counts: { readonly limit: number; readonly rows: number },
  last: Report,
): string {
  const query = new URLSearchParams({
    // Bounds as they were: later pages show what the first would have shown.
    begin: String(range.beginMs / 1000),
    end: String(range.endMs / 1000),
    ...(range.withUnverified && { unverified: 'yes' }),
    limit: String(counts.limit),
    ...(kind === 'dmarc' && { rows: String(counts.rows) }),
    page: `${last.beginMs}-${last.id}`,
  });
  const path = kind === 'tls' ? 'tls-reports' : 'dmarc/reports';
  return `${call.publicUrl}/v1/domains/${encodeURIComponent(call.param('domain'))}/${path}?${query.toString()}`;
}

function shown({ id, reporter, org, reportId, beginMs, endMs, receivedMs, isVerified, detail }: Report): object {
  return {
    id,
    reporter,
    org,
    report_id: reportId,
    begin: iso(beginMs),
    end: iso(endMs),
    received: iso(receivedMs),
    verified: isVerified,
    ...(detail.contact !== undefined && { contact: detail.contact }),
  };
}

async function dmarcShown(door: Door, domain: Domain, reports: readonly Report[], rowsMax: number): Promise<object[]> {
  const selectors = await selectorsOf(door, domain);
  const items: object[] = [];
  for (const report of reports) {
    const { policy, errors, rowsLeftOut } = report.detail;
    const rows = rowsMax === 0 ? [] : await door.deps.store.reports.reportRows(report.id, rowsMax);
    items.push({
      ...shown(report),
      messages: report.messages,
      fail: report.failures,
      ...(policy !== undefined && { policy }),
      ...(errors !== undefined && { errors }),
      ...(rowsLeftOut !== undefined && { rows_left_out: rowsLeftOut }),
      rows: rows.map((row) => rowShown(door, domain, selectors, row)),
    });
  }
  return items;
}

function rowShown(door: Door, domain: Domain, selectors: ReadonlySet<string>, row: DmarcRow): object {
  return {
    source_ip: row.sourceIp,
    source: door.deps.isOurAddress?.(row.sourceIp) === true ? 'ours' : 'unknown',
    count: row.count,
    disposition: row.disposition,
    dkim: row.isDkimAligned ? 'pass' : 'fail',
    spf: row.isSpfAligned ? 'pass' : 'fail',
    header_from: row.headerFrom,
    ...(row.detail.envelopeFrom !== undefined && { envelope_from: row.detail.envelopeFrom }),
    signatures: row.signatures.map((each) => ({ ...each, is_ours: each.domain === domain.name && selectors.has(each.selector) })),
    spf_results: row.detail.spf,
    reasons: row.detail.reasons,
  };
}

function tlsShown(report: Report): object {
  return {
    ...shown(report),
    sessions: report.messages,
    failures: report.failures,
    policies: (report.detail.policies ?? []).map(({ details, ...policy }) => ({
      ...policy,
      details: details.map(({ result, count, sendingIp, receivingHost, receivingIp, reason }) => ({
        result,
        count,
        sending_ip: sendingIp,
        receiving_host: receivingHost,
        receiving_ip: receivingIp,
        reason,
      })),
    })),
  };
}

function iso(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}
