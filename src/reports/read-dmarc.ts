/**
 * DMARC aggregate reports (RFC 7489 Appendix C, and the later schema of DMARCbis with a namespace) as reporters write them. The XML is read as a stream of tags: no tree is built, entities of the document's own
 * are never expanded (a DOCTYPE is passed over), and every text, row and depth has a bound, so that no report costs more than its octets.
 *
 * Reporters leave elements out, repeat them and write their names in other cases; what can be understood is taken. A report that ends in the middle, or without its domain, its time or an id, is none.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { Parser } from 'htmlparser2';
import { normalizeDomain } from '#mail/domain.ts';
import { canonicalNetwork } from '#base/networks.ts';
import type { DmarcDisposition, DmarcPolicy, DmarcRow } from '#store/report-store.ts';

export interface DmarcReport {
  /** As it names itself. */
  readonly org: string;
  readonly email: string;
  readonly reportId: string;
  readonly beginMs: number;
  readonly endMs: number;
  /** Whom it is about: where the policy was found. */
  readonly domain: string;
  readonly policy: DmarcPolicy;
  readonly rows: readonly DmarcRow[];
  /** Rows beyond the bound, with their messages. */
  readonly rowsLeftOut: number;
  readonly errors: readonly string[];
}

/** Of one report. */
export const ROWS_MAX = 2000;
const DEPTH_MAX = 20;
const TEXT_MAX = 1000;
const SHORT_MAX = 250;
const AUTHS_MAX = 20;
const REASONS_MAX = 10;
const ERRORS_MAX = 10;
const STEP_OCTETS = 256 * 1024;
/** A report is of a day, mostly; what is of years is a mistake. */
const SPAN_MAX_MS = 40 * 86_400_000;
const COUNT_MAX = 1_000_000_000;

/** Values by the path of their element below the record, or below the report. */
type Values = Map<string, string[]>;

export async function readDmarcReport(xml: Buffer): Promise<DmarcReport | { readonly why: string }> {
  const reading = new Reading();
  const parser = new Parser(
    {
      onopentagname: (name) => reading.opened(name),
      ontext: (text) => reading.text(text),
      onclosetag: () => reading.closed(),
    },
    { xmlMode: true, decodeEntities: true },
  );
  const text = textOf(xml);
  for (let at = 0; at < text.length; at += STEP_OCTETS) {
    parser.write(text.slice(at, at + STEP_OCTETS));
    if (reading.trouble !== undefined) return { why: reading.trouble };
    await turn();
  }
  // What is closed from here on was left open.
  reading.isOver = true;
  parser.end();
  return reading.report();
}

function textOf(xml: Buffer): string {
  const [first, second] = xml;
  if (first === 0xff && second === 0xfe) return xml.toString('utf16le', 2);
  return new TextDecoder('utf-8').decode(xml);
}

class Reading {
  trouble: string | undefined;
  isOver = false;
  /** Names from the root, lower case, without a namespace's prefix. */
  readonly #path: string[] = [];
  #text = '';
  #isWhole = false;
  readonly #head: Values = new Map();
  #record: Values = new Map();
  /** Of the record: signatures and SPF results, each one with its own values. */
  #auths: { readonly kind: 'dkim' | 'spf'; readonly values: Values }[] = [];
  readonly #rows: DmarcRow[] = [];
  #leftOut = 0;

  opened(given: string): void {
    const name = given
      .slice(given.indexOf(':') + 1)
      .toLowerCase()
      .slice(0, SHORT_MAX);
    if (this.#path.length === 0 && name !== 'feedback') this.trouble ??= 'its root is no report';
    if (this.#path.length >= DEPTH_MAX) this.trouble ??= 'it is nested too deeply';
    this.#path.push(name);
    this.#text = '';
    if (name === 'record') {
      this.#record = new Map();
      this.#auths = [];
    }
    const parent = this.#path.at(-2);
    if ((name === 'dkim' || name === 'spf') && parent === 'auth_results' && this.#auths.length < AUTHS_MAX)
      this.#auths.push({ kind: name, values: new Map() });
  }

  text(text: string): void {
    if (this.#text.length < TEXT_MAX) this.#text += text.slice(0, TEXT_MAX);
  }

  closed(): void {
    if (this.isOver) return;
    const value = this.#text.trim();
    const [, section, ...below] = this.#path;
    if (value !== '' && section !== undefined) this.#keep(section, below, value);
    if (section === 'record' && below.length === 0) this.#endRecord();
    this.#path.pop();
    this.#text = '';
    if (this.#path.length === 0) this.#isWhole = true;
  }

  #keep(section: string, below: readonly string[], value: string): void {
    if (section !== 'record') return add(this.#head, [section, ...below].join('/'), value);
    if (below[0] === 'auth_results' && below.length === 3) {
      const auth = this.#auths.at(-1);
      if (auth !== undefined) add(auth.values, String(below[2]), value);
      return;
    }
    add(this.#record, below.join('/'), value);
  }

  #endRecord(): void {
    if (this.#rows.length >= ROWS_MAX) {
      this.#leftOut++;
      return;
    }
    const row = rowOf(this.#record, this.#auths);
    if (row !== undefined) this.#rows.push(row);
  }

  report(): DmarcReport | { readonly why: string } {
    if (this.trouble !== undefined) return { why: this.trouble };
    if (!this.#isWhole) return { why: 'it ends before its end' };
    const get = (path: string): string => (this.#head.get(path)?.[0] ?? '').slice(0, SHORT_MAX);
    const domain = normalizeDomain(get('policy_published/domain').replace(/\.$/, ''));
    const beginMs = timeOf(get('report_metadata/date_range/begin'));
    const endMs = timeOf(get('report_metadata/date_range/end'));
    const reportId = get('report_metadata/report_id');
    if (domain === undefined) return { why: 'it names no domain' };
    if (beginMs === undefined || endMs === undefined || endMs < beginMs || endMs - beginMs > SPAN_MAX_MS)
      return { why: 'it names no time that it is about' };
    if (reportId === '') return { why: 'it has no id' };
    return {
      org: get('report_metadata/org_name'),
      email: get('report_metadata/email'),
      reportId,
      beginMs,
      endMs,
      domain,
      policy: policyOf(get),
      rows: this.#rows,
      rowsLeftOut: this.#leftOut,
      errors: (this.#head.get('report_metadata/error') ?? []).slice(0, ERRORS_MAX).map((text) => text.slice(0, SHORT_MAX)),
    };
  }
}

function add(values: Values, path: string, value: string): void {
  const list = values.get(path);
  if (list === undefined) values.set(path, [value.slice(0, TEXT_MAX)]);
  else if (list.length < AUTHS_MAX) list.push(value.slice(0, TEXT_MAX));
}

/** Unix seconds, as the schema wants; a few write ISO 8601. */
function timeOf(text: string): number | undefined {
  if (/^\d{9,11}$/.test(text)) return Number(text) * 1000;
  const ms = /^\d{4}-\d{2}-\d{2}T/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

function policyOf(get: (path: string) => string): DmarcPolicy {
  const part = (name: string): string | undefined => get(`policy_published/${name}`).toLowerCase().slice(0, 20) || undefined;
  const names = ['p', 'sp', 'np', 'adkim', 'aspf', 'pct', 'fo', 'testing', 'discovery_method'] as const;
  return Object.fromEntries(names.flatMap((name) => (part(name) === undefined ? [] : [[name, part(name)]])));
}

function rowOf(record: Values, auths: readonly { readonly kind: 'dkim' | 'spf'; readonly values: Values }[]): DmarcRow | undefined {
  const get = (path: string): string => (record.get(path)?.[0] ?? '').slice(0, SHORT_MAX);
  const sourceIp = canonicalNetwork(get('row/source_ip'));
  const count = Number(get('row/count'));
  if (sourceIp === undefined || sourceIp.includes('/') || !Number.isSafeInteger(count) || count < 1 || count > COUNT_MAX) return undefined;
  const headerFrom = nameOf(get('identifiers/header_from'));
  const envelopeFrom = nameOf(get('identifiers/envelope_from'));
  const all = auths.map(({ kind, values }) => ({ kind, get: (name: string) => (values.get(name)?.[0] ?? '').slice(0, SHORT_MAX) }));
  const dkimResults = all.flatMap(({ kind, get: of }) =>
    kind === 'dkim' ? [{ domain: nameOf(of('domain')), selector: of('selector').toLowerCase(), result: word(of('result')) }] : [],
  );
  const spfResults = all.flatMap(({ kind, get: of }) =>
    kind === 'spf' ? [{ domain: nameOf(of('domain')), scope: word(of('scope')), result: word(of('result')) }] : [],
  );
  const reasons = (record.get('row/policy_evaluated/reason/type') ?? []).slice(0, REASONS_MAX).map(word);
  const dkim = get('row/policy_evaluated/dkim').toLowerCase() === 'pass';
  const spf = get('row/policy_evaluated/spf').toLowerCase() === 'pass';
  return {
    sourceIp,
    count,
    disposition: dispositionOf(get('row/policy_evaluated/disposition')),
    isDkimAligned: dkim,
    isSpfAligned: spf,
    headerFrom,
    why: dkim || spf ? '' : `${dkimTrouble(dkimResults)} ${spfTrouble(spfResults)}`,
    signatures: dkimResults,
    detail: { ...(envelopeFrom !== '' && { envelopeFrom }), spf: spfResults, reasons },
  };
}

/** In lower case, A-labels where it is a domain. */
function nameOf(text: string): string {
  return normalizeDomain(text.replace(/\.$/, '')) ?? text.toLowerCase().slice(0, SHORT_MAX);
}

function word(text: string): string {
  return /^[a-z_-]{1,40}/.exec(text.toLowerCase())?.[0] ?? '';
}

function dispositionOf(text: string): DmarcDisposition {
  const given = text.toLowerCase();
  return given === 'quarantine' || given === 'reject' ? given : 'none';
}

/** Why neither counts for the domain in From. */
function dkimTrouble(results: readonly { readonly result: string }[]): string {
  if (results.every(({ result }) => result === 'none' || result === '')) return 'dkim-none';
  return results.some(({ result }) => result === 'pass') ? 'dkim-unaligned' : 'dkim-fail';
}

function spfTrouble(results: readonly { readonly result: string }[]): string {
  if (results.every(({ result }) => result === 'none' || result === '')) return 'spf-none';
  return results.some(({ result }) => result === 'pass') ? 'spf-unaligned' : 'spf-fail';
}
