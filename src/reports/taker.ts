/**
 * Answers for the addresses that DMARC and TLS reports come to, of our domains. What a report says is kept with the domain that it is about; it counts as verified when the mail that
 * brought it passed DMARC for its author's domain, since anybody can write a report. What is no report, or about nobody of ours, is refused, so that its sender knows.
 */
import { hash } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { parseAddressList } from '#mail/address.ts';
import { headerValue } from '#mail/header.ts';
import { AppError } from '#model/errors.ts';
import type { Addressee, AddresseeHandler, InboundMail, InboundRcpt } from '#model/inbound.ts';
import type { DmarcRow, Report, ReportStore } from '#store/report-store.ts';
import { StoreError } from '#store/store.ts';
import { reportDocuments } from './documents.ts';
import { type DmarcReport, readDmarcReport } from './read-dmarc.ts';
import { readTlsReport, type TlsReport } from './read-tls.ts';

export interface ReportedDomain {
  readonly id: number;
  readonly accountId: number;
  readonly name: string;
  readonly state: string;
}

export interface ReportTakerDeps {
  /** Local parts; '': none is taken there. */
  readonly mailboxes: { readonly dmarc: string; readonly tls: string };
  readonly perDomainMax: number;
  domainFor(name: string): Promise<ReportedDomain | undefined>;
  readonly store: Pick<ReportStore, 'putReport'>;
  /** Who would have a letter that is no report. */
  next(rcpt: InboundRcpt): Promise<Addressee | undefined>;
  readonly counts: ReportCounts;
  readonly clock: Clock;
  readonly log: Log;
}

export const REPORT_RESULTS = ['kept', 'unverified', 'repeated', 'unreadable', 'foreign', 'future'] as const;
export type ReportCounts = Record<(typeof REPORT_RESULTS)[number], number>;

export function noReports(): ReportCounts {
  return { kept: 0, unverified: 0, repeated: 0, unreadable: 0, foreign: 0, future: 0 };
}

/** Reporters' clocks go wrong; what begins later than this from now would never be past. */
const AHEAD_MAX_MS = 2 * 86_400_000;
const TEXT_MAX = 250;

type Kept = Pick<Report, 'kind' | 'org' | 'reportId' | 'beginMs' | 'endMs' | 'messages' | 'failures' | 'detail'>;
type About = { readonly domain: ReportedDomain; readonly report: Kept; readonly rows: readonly DmarcRow[] };

export function createReportTaker(deps: ReportTakerDeps): AddresseeHandler {
  const mailboxes = new Set([deps.mailboxes.dmarc, deps.mailboxes.tls].filter((name) => name !== '').map((name) => name.toLowerCase()));
  return {
    name: 'reports',
    async accepts(rcpt) {
      if (!mailboxes.has((rcpt.local.split('+', 1)[0] as string).toLowerCase()) || rcpt.domain.startsWith('[')) return undefined;
      const domain = await deps.domainFor(rcpt.domain);
      if (domain === undefined || domain.state === 'disabled') return undefined;
      const otherwise = await deps.next(rcpt);
      return { kind: 'reports', take: (mail) => take(deps, domain, mail, otherwise) };
    },
  };
}

async function take(deps: ReportTakerDeps, addressed: ReportedDomain, mail: InboundMail, otherwise: Addressee | undefined): Promise<void> {
  const { counts, log } = deps;
  const documents = await reportDocuments(mail.bytes);
  if (documents.length === 0) {
    if (otherwise?.take !== undefined) return otherwise.take(mail);
    counts.unreadable++;
    throw new AppError('not-a-report');
  }
  const about: About[] = [];
  let why = '';
  for (const document of documents) {
    if (document.kind === 'unreadable') {
      why = document.why;
      continue;
    }
    const read = document.kind === 'xml' ? await readDmarcReport(document.bytes) : readTlsReport(document.bytes);
    if ('why' in read) why = read.why;
    else about.push(...('policies' in read ? await ofTls(deps, addressed, read) : await ofDmarc(deps, addressed, read)));
    if (!('why' in read) && about.length === 0) {
      counts.foreign++;
      why = 'it is about no domain of ours';
    }
  }
  if (about.length === 0) {
    counts.unreadable++;
    log.info({ recipient: mail.recipient.address, from: authorOf(mail), why }, 'a report was refused');
    throw new AppError('not-a-report');
  }
  for (const each of about) await keep(deps, mail, each);
}

async function keep(
  { store, perDomainMax, counts, log, clock }: ReportTakerDeps,
  mail: InboundMail,
  { domain, report, rows }: About,
): Promise<void> {
  if (report.beginMs > clock.nowMs() + AHEAD_MAX_MS) {
    counts.future++;
    throw new AppError('not-a-report');
  }
  const reporter = authorOf(mail);
  const isVerified = mail.authentication.dmarc.result === 'pass' && reporter !== '';
  const id = hash('sha256', [domain.id, report.kind, reporter, report.reportId, report.beginMs].join('\n'), 'hex').slice(0, 32);
  const { id: domainId, accountId } = domain;
  try {
    const result = await store.putReport(
      { ...report, id, accountId, domainId, reporter, receivedMs: mail.receivedMs, isVerified },
      rows,
      perDomainMax,
    );
    counts[result === 'repeated' ? 'repeated' : isVerified ? 'kept' : 'unverified']++;
    log.info({ domain: domain.name, kind: report.kind, reporter, report: report.reportId, isVerified, result }, 'a report came in');
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new AppError(error.kind === 'full' ? 'store-full' : 'store-unavailable', {}, error);
  }
}

/** The author's domain: as DMARC was checked for it, or as From says where nothing was checked. */
function authorOf({ authentication, header }: InboundMail): string {
  if (authentication.dmarc.domain !== '') return authentication.dmarc.domain.toLowerCase();
  const [author] = parseAddressList(headerValue(header, 'from') ?? '', 1) ?? [];
  return author?.domain.slice(0, TEXT_MAX) ?? '';
}

async function ofDmarc({ domainFor }: ReportTakerDeps, addressed: ReportedDomain, read: DmarcReport): Promise<About[]> {
  const own = await domainFor(read.domain);
  const domain = own ?? (isWithin(addressed.name, read.domain) || isWithin(read.domain, addressed.name) ? addressed : undefined);
  if (domain === undefined) return [];
  // A policy of the domain above is also about what others do with its other names.
  const isAbove = domain.name !== read.domain && isWithin(domain.name, read.domain);
  const rows = isAbove ? read.rows.filter(({ headerFrom }) => isWithin(headerFrom, domain.name)) : read.rows;
  if (rows.length === 0 && read.rows.length > 0) return [];
  const count = (some: readonly DmarcRow[]): number => some.reduce((sum, each) => sum + each.count, 0);
  const { org, reportId, beginMs, endMs, email, policy, errors, rowsLeftOut } = read;
  const report: Kept = {
    kind: 'dmarc',
    org,
    reportId,
    beginMs,
    endMs,
    messages: count(rows),
    failures: count(rows.filter((each) => !each.isDkimAligned && !each.isSpfAligned)),
    detail: {
      policy,
      ...(email !== '' && { contact: email }),
      ...(errors.length > 0 && { errors }),
      ...(rowsLeftOut > 0 && { rowsLeftOut }),
    },
  };
  return [{ domain, report, rows }];
}

async function ofTls({ domainFor }: ReportTakerDeps, addressed: ReportedDomain, read: TlsReport): Promise<About[]> {
  const about: About[] = [];
  const { org, reportId, beginMs, endMs, contact } = read;
  for (const [name, policies] of read.policies) {
    const domain = (await domainFor(name)) ?? (isWithin(name, addressed.name) ? addressed : undefined);
    if (domain === undefined) continue;
    const failures = policies.reduce((sum, policy) => sum + policy.failures, 0);
    const messages = policies.reduce((sum, policy) => sum + policy.successes, failures);
    const detail = { policies, ...(contact !== '' && { contact }) };
    about.push({ domain, report: { kind: 'tls', org, reportId, beginMs, endMs, messages, failures, detail }, rows: [] });
  }
  return about;
}

/** The domain itself, or one below it. */
function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}
