/**
 * Reports about TLS (RFC 8460 §4): how connections of a sender to the mail servers of a domain of ours went. What is not as the RFC has it is left out; a report without its domain, its time or an id is none.
 */
import { canonicalNetwork } from '#base/networks.ts';
import { normalizeDomain } from '#mail/domain.ts';
import type { TlsPolicy } from '#store/report-store.ts';

export interface TlsReport {
  readonly org: string;
  readonly contact: string;
  readonly reportId: string;
  readonly beginMs: number;
  readonly endMs: number;
  /** By the domain that each is about. */
  readonly policies: ReadonlyMap<string, readonly TlsPolicy[]>;
}

/** Of one report. */
const POLICIES_MAX = 50;
const FAILURES_MAX = 50;
const TEXT_MAX = 250;
const COUNT_MAX = 1_000_000_000;
/** Commas and open brackets of a whole report: no JSON has more values than that. A full report, as much as is kept of it, has a tenth. */
const VALUES_MAX = 200_000;
const COMMA = 0x2c;
const BRACKET = 0x5b;
const BRACE = 0x7b;
const SPAN_MAX_MS = 40 * 86_400_000;

type Fields = Readonly<Record<string, unknown>>;

export function readTlsReport(json: Buffer): TlsReport | { readonly why: string } {
  // Asked first: a few kilobytes unpack to millions of empty values, which would take hundreds of megabytes and hold up everybody for a second.
  if (hasTooManyValues(json)) return { why: 'it has too many values' };
  let given: unknown;
  try {
    given = JSON.parse(new TextDecoder('utf-8').decode(json));
  } catch {
    return { why: 'it is no JSON' };
  }
  if (!isFields(given)) return { why: 'it is no report' };
  const range = isFields(given['date-range']) ? given['date-range'] : {};
  const beginMs = Date.parse(text(range['start-datetime']));
  const endMs = Date.parse(text(range['end-datetime']));
  const reportId = text(given['report-id']);
  const policies = new Map<string, TlsPolicy[]>();
  for (const each of listOf(given['policies'], POLICIES_MAX)) {
    const domain = normalizeDomain(text(fieldOf(each, 'policy')['policy-domain']));
    if (domain !== undefined) policies.set(domain, [...(policies.get(domain) ?? []), policyOf(each)]);
  }
  if (!(endMs >= beginMs && endMs - beginMs <= SPAN_MAX_MS)) return { why: 'it names no time that it is about' };
  if (reportId === '') return { why: 'it has no id' };
  if (policies.size === 0) return { why: 'it names no domain' };
  return { org: text(given['organization-name']), contact: text(given['contact-info']), reportId, beginMs, endMs, policies };
}

function hasTooManyValues(json: Buffer): boolean {
  let count = 0;
  for (const octet of json) if ((octet === COMMA || octet === BRACKET || octet === BRACE) && ++count > VALUES_MAX) return true;
  return false;
}

function policyOf(given: Fields): TlsPolicy {
  const policy = fieldOf(given, 'policy');
  const summary = fieldOf(given, 'summary');
  return {
    type: text(policy['policy-type']).toLowerCase(),
    mx: [policy['mx-host']].flat().slice(0, POLICIES_MAX).map(text).filter(Boolean),
    successes: count(summary['total-successful-session-count']),
    failures: count(summary['total-failure-session-count']),
    details: listOf(given['failure-details'], FAILURES_MAX).map((each) => ({
      result: text(each['result-type']).toLowerCase(),
      count: count(each['failed-session-count']),
      sendingIp: canonicalNetwork(text(each['sending-mta-ip'])) ?? '',
      receivingHost: text(each['receiving-mx-hostname']).toLowerCase(),
      receivingIp: canonicalNetwork(text(each['receiving-ip'])) ?? '',
      reason: text(each['failure-reason-code']),
    })),
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fieldOf(given: Fields, name: string): Fields {
  return isFields(given[name]) ? given[name] : {};
}

function listOf(value: unknown, max: number): Fields[] {
  return Array.isArray(value) ? value.slice(0, max).filter(isFields) : [];
}

function text(value: unknown): string {
  return typeof value === 'string'
    ? value
        .replace(/\p{Cc}/gu, ' ')
        .trim()
        .slice(0, TEXT_MAX)
    : '';
}

function count(value: unknown): number {
  const number = typeof value === 'string' ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? Math.min(number, COUNT_MAX) : 0;
}
