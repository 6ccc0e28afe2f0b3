/**
 * What came back becomes facts: a late bounce, or a complaint, each with its event, its suppression and its counters in one commit (P7), once for a recipient however often it is told.
 * What is not proven to be about mail of ours is counted and changes nothing; what cannot be settled yet is put off, so that the reporter comes again.
 */
import type { Log } from '#base/log.ts';
import type { ReportedRecipient } from '#mail/status-report.ts';
import { countReason } from '#model/count-reason.ts';
import { AppError } from '#model/errors.ts';
import type { EventDetail } from '#model/event.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import type { CounterKey, EventStore, Suppression } from '#store/store.ts';
import type { Fact } from '#store/fact-store.ts';
import { type Complaint, isComplaint } from './read-complaint.ts';
import type { Returned } from './read-returned.ts';
import type { About, ReturnTokens } from './return-token.ts';
import { type Concerned, concerned, isSameMailbox, type OpenUnsubscribe, provenBy, type Subject, subjectOf } from './subject.ts';
import { type BounceVerdict, type ClassifyReply, verdictOf } from './verdict.ts';

/** What came of things that came back, counted since the start. */
export const RETURN_RESULTS = [
  /** Recorded. */
  'bounce',
  'complaint',
  /** It had been recorded before. */
  'repeated',
  /** About no failure: told to the submitter where that was asked for. */
  'delayed',
  'delivered',
  'auto-reply',
  'challenge',
  'receipt',
  'not-a-complaint',
  /** Not understood. */
  'unknown',
  /** Without a token of ours, or with a false one. */
  'unproven',
  /** Proven to be about a message, but about none of its recipients. */
  'unmatched',
  /** About mail of which nothing is kept any more. */
  'gone',
  /** More than a source may bring in its time. */
  'too-many',
] as const;
export type ReturnResult = (typeof RETURN_RESULTS)[number];
export type ReturnCounts = Record<ReturnResult, number>;

export function noReturns(): ReturnCounts {
  return Object.fromEntries(RETURN_RESULTS.map((result) => [result, 0])) as ReturnCounts;
}

export interface RecorderDeps {
  /** In one commit with what servers outside are told of it. */
  record(fact: Omit<Fact, 'outbox'>): Promise<'recorded' | 'repeated'>;
  readonly events: Pick<EventStore, 'recipientById' | 'messageById'>;
  readonly tokens: ReturnTokens;
  readonly openUnsubscribe: OpenUnsubscribe;
  readonly classify: ClassifyReply;
  /** Tells the submitter by mail, where that was asked for; the same is told once. Rejects when it could not be kept. */
  notify(subject: Subject, action: ReportedRecipient['action'], detail: EventDetail): Promise<void>;
  readonly counts: ReturnCounts;
  readonly log: Log;
}

/** Recipients of one report that are acted upon. */
const ACTED_ON_MAX = 1000;

export type Report = Extract<Returned, { kind: 'report' }>;

export class Recorder {
  readonly #deps: RecorderDeps;

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
  }

  count(result: ReturnResult, facts: object = {}): void {
    this.#deps.counts[result]++;
    this.#deps.log.info({ result, ...facts }, 'word of delivered mail came back');
  }

  /** A report of delivery. `about`: by the address that it came to; undefined: what it returns may prove it. */
  async report(report: Report, about: About | undefined, atMs: number): Promise<void> {
    const proven = about ?? provenBy(report.returned, undefined, this.#deps);
    const all = await this.#concerned(proven, report.format);
    if (all === undefined) return;
    if (report.isTruncated)
      this.#deps.log.warn({ message: all.message.id, format: report.format }, 'a report was longer than what is read of one');
    const pairs = pairsOf(all, report.recipients.slice(0, ACTED_ON_MAX));
    if (pairs.length === 0) return this.count('unmatched', { message: all.message.id, format: report.format });
    for (const { subject, reported } of pairs) await this.#outcome(subject, reported, report, atMs);
  }

  async complaint(complaint: Complaint, about: About | undefined, atMs: number): Promise<void> {
    const { format, type } = complaint;
    if (!isComplaint(complaint)) return this.count('not-a-complaint', { format, type });
    const inside = provenBy(complaint.returned, complaint.mailFrom, this.#deps);
    // The address that it came to may stand for a message of which the enclosed header names one recipient.
    const proven = about?.kind === 'recipient' || inside?.kind !== 'recipient' ? (about ?? inside) : inside;
    const all = await this.#concerned(proven, format);
    if (all === undefined) return;
    const subject = subjectOf(all, complaint.recipients);
    if (subject === undefined) return this.count('unmatched', { message: all.message.id, format });
    const { message, recipient, isProven } = subject;
    const suppression: Suppression = { kind: 'complaint', address: recipient.address, code: 0, error: '', createdMs: atMs };
    const detail: EventDetail = { feedback: type, returned: { format, by: proven?.kind ?? 'message' } };
    await this.#record(subject, 'complained', detail, isProven ? suppression : undefined, atMs, 'complaint');
    this.#deps.log.debug({ message: message.id, recipient: recipient.id, type }, 'a complaint was read');
  }

  async #concerned(about: About | undefined, format: string): Promise<Concerned | undefined> {
    if (about === undefined) {
      this.count('unproven', { format });
      return undefined;
    }
    const all = await concerned(this.#deps.events, about);
    if (all === undefined) this.count('gone', { format });
    return all;
  }

  async #outcome(subject: Subject, reported: ReportedRecipient, report: Report, atMs: number): Promise<void> {
    const { message, recipient } = subject;
    // Word of the delivery itself is still on its way to the store.
    if (recipient.state === 'leased') throw new AppError('delivery-not-settled');
    const verdict = verdictOf(reported, report.reportingMta, this.#deps.classify);
    const detail = detailOf(verdict, subject, report);
    if (reported.action !== 'failed') {
      this.count(reported.action === 'delayed' ? 'delayed' : 'delivered', { message: message.id, recipient: recipient.id });
      await this.#deps.notify(subject, reported.action, detail);
      return;
    }
    const isAddressGone = verdict.isNoMailbox && subject.isProven && isSameMailbox(recipient, reported);
    const suppression: Suppression | undefined = isAddressGone
      ? { kind: 'bounce', address: recipient.address, code: verdict.code, error: verdict.text, createdMs: atMs }
      : undefined;
    // A failure that we know of is not told twice; a server may still write about mail that it refused.
    if (recipient.state === 'done' && recipient.ending !== 'delivered')
      return this.count('repeated', { message: message.id, recipient: recipient.id });
    await this.#record(subject, 'failed', { ...detail, reason: 'delayed-bounce' }, suppression, atMs, 'bounce');
    await this.#deps.notify(subject, 'failed', detail);
  }

  async #record(
    { message, recipient }: Subject,
    kind: 'failed' | 'complained',
    detail: EventDetail,
    suppression: Suppression | undefined,
    atMs: number,
    result: 'bounce' | 'complaint',
  ): Promise<void> {
    const { accountId, domainId } = message;
    const fact: Omit<Fact, 'outbox'> = {
      event: { kind, atUs: atMs * 1000, accountId, domainId, message: message.id, recipient: recipient.id, detail },
      once: kind === 'failed' ? 'delayed-bounce' : 'complained',
      ...(suppression !== undefined && { suppression }),
      counters: countersOf({ message, recipient }, kind, detail),
    };
    const facts = { message: message.id, recipient: recipient.id, format: detail.returned?.format, class: detail.bounceClass };
    if ((await this.#deps.record(fact)) === 'repeated') return this.count('repeated', facts);
    this.count(result, { ...facts, suppressed: suppression !== undefined });
  }
}

interface Pair {
  readonly subject: Subject;
  readonly reported: ReportedRecipient;
}

/** Each recipient once, with the worst that is told of it. */
function pairsOf(all: Concerned, reports: readonly ReportedRecipient[]): Pair[] {
  const pairs = new Map<number, Pair>();
  for (const reported of reports) {
    const subject = subjectOf(all, [reported.original, reported.address]);
    if (subject === undefined) continue;
    const before = pairs.get(subject.recipient.id);
    if (before === undefined || rank(subject, reported) > rank(subject, before.reported))
      pairs.set(subject.recipient.id, { subject, reported });
  }
  return [...pairs.values()];
}

/** What is told of the address itself counts before what is told of others behind it; then failures. */
function rank({ recipient }: Subject, reported: ReportedRecipient): number {
  return (isSameMailbox(recipient, reported) ? 2 : 0) + (reported.action === 'failed' ? 1 : 0);
}

function detailOf(verdict: BounceVerdict, { isProven }: Subject, { format, reportingMta }: Report): EventDetail {
  return {
    code: verdict.code,
    ...(verdict.enhanced !== undefined && { enhanced: verdict.enhanced }),
    text: verdict.text,
    bounceClass: verdict.bounceClass,
    returned: { format, by: isProven ? 'recipient' : 'message', ...(reportingMta !== undefined && { reporter: reportingMta }) },
  };
}

/** One counter for the fact, one for each of its tags. */
function countersOf({ message, recipient }: Omit<Subject, 'isProven'>, kind: 'failed' | 'complained', detail: EventDetail): CounterKey[] {
  const all: CounterKey = {
    accountId: message.accountId,
    domainId: message.domainId,
    kind,
    tag: '',
    provider: providerOf(recipient.domain) ?? '',
    receiver: recipient.domain,
    reason: countReason(kind, detail, recipient.attempts),
  };
  return [all, ...message.info.options.tags.map((tag) => ({ ...all, tag }))];
}
