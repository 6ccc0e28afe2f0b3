/**
 * The story of one message as data: how it came in, and for every recipient each wait with its reason, each attempt with its
 * steps and the reply, how it ended, and what comes next. `GET /v1/messages/{id}` shows it as JSON, `postrider why` as text.
 *
 * Promises: entries stand in order of time; a recipient that is not finished has a reason and a time for what comes next (P6); a possible
 * duplicate is marked (P4); nothing a stranger wrote (replies, names, subjects) keeps its control characters.
 */
import type { EventKind, EventRow, PostRecord } from '#model/event.ts';
import type { Ending, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { AttemptRecord, TlsFacts } from '#model/outcome.ts';
import { WAIT_REASONS } from '#model/wait-reason.ts';
import type { Wait, WaitReason } from '#model/wait-reason.ts';
import type { MessageView } from '#store/store.ts';

export { timelineText } from './timeline-text.ts';

export type RecipientStatus = 'waiting' | 'in-progress' | Ending;

export interface WaitEntry {
  readonly kind: 'wait';
  readonly atMs: number;
  readonly untilMs: number;
  readonly reason: WaitReason;
  readonly text: string;
}

export interface AttemptEntry {
  readonly kind: 'attempt';
  readonly atMs: number;
  readonly number: number;
  readonly result: 'delivered' | 'failed' | 'deferred';
  readonly site?: string;
  readonly host?: string;
  readonly address?: string;
  readonly port?: number;
  readonly source?: string;
  readonly ehlo?: string;
  readonly tls?: TlsFacts;
  readonly connectionUse?: number;
  /** In the order they happened. */
  readonly steps: readonly { readonly step: string; readonly ms: number }[];
  readonly tookMs: number;
  readonly code?: number;
  readonly enhanced?: string;
  readonly reply: string;
  readonly bounceClass?: string;
  readonly dialogue?: readonly string[];
  readonly possibleDuplicate?: true;
  /** Hosts that were tried first, and TLS that was given up. */
  readonly before?: string;
}

/** Everything else that happened. */
export interface FactEntry {
  readonly kind: 'fact';
  readonly atMs: number;
  readonly event: EventKind;
  readonly text: string;
  readonly code?: number;
}

export type TimelineEntry = WaitEntry | AttemptEntry | FactEntry;

export interface NextStep {
  readonly atMs: number;
  /** 'attempt': it is being tried at this moment. */
  readonly reason: WaitReason | 'attempt';
  readonly text: string;
  /** Given up then. */
  readonly expiresAtMs: number;
}

export interface RecipientTimeline {
  readonly id: number;
  readonly address: string;
  readonly status: RecipientStatus;
  readonly attempts: number;
  readonly possibleDuplicate: boolean;
  readonly entries: readonly TimelineEntry[];
  readonly next?: NextStep;
}

export interface Timeline {
  readonly id: number;
  readonly messageId: string;
  readonly domain: string;
  /** '' for the null reverse-path. */
  readonly sender: string;
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  readonly testMode: boolean;
  readonly createdMs: number;
  readonly expiresAtMs: number;
  readonly accepted: {
    readonly method: 'HTTP' | 'SMTP';
    /** "API key f2153fd0-f1277777", "login app@example.org", … */
    readonly by: string;
    readonly address: string;
    readonly helo?: string;
    readonly tls?: string;
  };
  /** Facts that concern the whole message. */
  readonly entries: readonly TimelineEntry[];
  readonly recipients: readonly RecipientTimeline[];
}

const STEP_ORDER = ['route', 'connect', 'greeting', 'tls', 'ehlo', 'auth', 'mail', 'rcpt', 'data', 'dot'] as const;

/** What the running node knows of a leased recipient: why it waits in memory, and until when at least. Undefined: it is being tried. */
export type WaitOf = (recipient: StoredRecipient) => { readonly reason: WaitReason; readonly untilMs: number } | undefined;

export function timeline(view: MessageView, waitOf?: WaitOf): Timeline {
  const { message } = view;
  const { info } = message;
  const byRecipient = Map.groupBy(view.events, (event) => event.recipient);
  const accepted = (byRecipient.get(0) ?? []).find((event) => event.kind === 'accepted');
  return {
    id: message.id,
    messageId: clean(message.messageId),
    domain: message.domain,
    sender: clean(message.sender),
    from: clean(info.from),
    to: clean(info.to),
    subject: clean(info.subject),
    sizeBytes: info.sizeBytes,
    tags: info.options.tags.map(clean),
    testMode: info.options.testMode,
    createdMs: message.createdMs,
    expiresAtMs: message.expiresAtMs,
    accepted: {
      method: info.method,
      by: view.recipients.some(({ ending }) => ending === 'received') ? 'another server' : submitter(message),
      address: clean(info.origin.address),
      ...(info.origin.helo !== undefined && { helo: clean(info.origin.helo) }),
      ...(info.origin.tls !== undefined && { tls: clean(info.origin.tls) }),
    },
    entries: (byRecipient.get(0) ?? []).filter((event) => event !== accepted).map(factEntry),
    recipients: view.recipients.map((recipient) => recipientTimeline(message, recipient, byRecipient.get(recipient.id) ?? [], waitOf)),
  };
}

/** Spaces for control characters, Unicode's line ends and the marks that turn the direction of text: safe for a terminal and a page. */
function clean(text: string): string {
  return /[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/.test(text)
    ? text.replace(/[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+/g, ' ')
    : text;
}

function submitter({ info }: StoredMessage): string {
  if (info.keyId !== undefined) return `API key ${clean(info.keyId)}`;
  if (info.login !== undefined) return `login ${clean(info.login)}`;
  if (info.notifiesOf === 0) return 'another server, to tell of mail that was sent on';
  if (info.routes !== undefined) return 'this server, by a rule for mail that comes in';
  return info.notifiesOf === undefined ? 'trusted network' : `this server, to tell of message ${info.notifiesOf}`;
}

function recipientTimeline(
  message: StoredMessage,
  recipient: StoredRecipient,
  events: readonly EventRow[],
  waitOf: WaitOf | undefined,
): RecipientTimeline {
  const sorted = [...events].sort((a, b) => a.atUs - b.atUs || a.id - b.id);
  const next = nextStep(message, recipient, waitOf);
  return {
    id: recipient.id,
    address: clean(recipient.address),
    status: recipient.state === 'done' ? (recipient.ending ?? 'failed') : recipient.state === 'leased' ? 'in-progress' : 'waiting',
    attempts: recipient.attempts,
    possibleDuplicate: recipient.possibleDuplicate,
    entries: entriesOf(sorted)
      .map((entry) => (entry.kind === 'fact' && entry.event === 'accepted' ? { ...entry, text: acceptedText(message, recipient) } : entry))
      .sort((a, b) => a.atMs - b.atMs),
    ...(next !== undefined && { next }),
  };
}

function acceptedText({ info }: StoredMessage, { timeZone }: StoredRecipient): string {
  const { timeZoneLocalize } = info.options;
  if (timeZone !== undefined && timeZoneLocalize !== undefined)
    return `accepted and on disk, for ${timeZoneLocalize} in ${clean(timeZone)}`;
  if (info.isUnoptimized === true)
    return 'accepted and on disk; sent without waiting for its best hour, as nothing is known of when it reads';
  return 'accepted and on disk';
}

function nextStep(message: StoredMessage, recipient: StoredRecipient, waitOf: WaitOf | undefined): NextStep | undefined {
  if (recipient.state === 'done') return undefined;
  const { expiresAtMs = message.expiresAtMs } = recipient;
  if (recipient.state === 'leased') {
    const waits = waitOf?.(recipient);
    if (waits !== undefined) return { atMs: waits.untilMs, reason: waits.reason, text: WAIT_REASONS[waits.reason], expiresAtMs };
    const text = waitOf === undefined ? 'is being tried, or has its turn soon' : 'is being tried at this moment';
    return { atMs: recipient.dueAtMs, reason: 'attempt', text, expiresAtMs };
  }
  return { atMs: recipient.dueAtMs, reason: recipient.wait, text: WAIT_REASONS[recipient.wait], expiresAtMs };
}

/**
 * One event tells of what came before it (waits), itself, and, when it deferred, of the wait that it began. What was given back by a lane
 * knows only the last of its waiting, so the first wait of an event begins where the one before it ended.
 */
function entriesOf(events: readonly EventRow[]): TimelineEntry[] {
  const entries: TimelineEntry[] = [];
  let toldMs: number | undefined;
  for (const [i, event] of events.entries()) {
    const { attempt, waits = attempt?.waits ?? [] } = event.detail;
    const [first, ...others] = [...waits].sort((a, b) => a.fromMs - b.fromMs);
    if (first !== undefined)
      entries.push(...[{ ...first, fromMs: Math.min(first.fromMs, toldMs ?? first.fromMs) }, ...others].map(waitEntry));
    entries.push(attempt === undefined ? factEntry(event) : attemptEntry(event, attempt));
    const after = waitAfter(event, events[i + 1]);
    entries.push(...after);
    toldMs = after.at(-1)?.untilMs;
  }
  return entries;
}

/** The wait that a deferral began: until its next time, or an earlier attempt. A wait that still lasts is `next`. */
function waitAfter(event: EventRow, following: EventRow | undefined): WaitEntry[] {
  const { wait, nextAtMs } = event.detail;
  if (wait === undefined || following === undefined) return [];
  const fromMs = Math.floor(event.atUs / 1000);
  const endMs = following.detail.attempt?.startedMs ?? Math.floor(following.atUs / 1000);
  const untilMs = Math.min(nextAtMs ?? endMs, endMs);
  return untilMs > fromMs ? [waitEntry({ reason: wait, fromMs, untilMs })] : [];
}

function waitEntry(wait: Wait): WaitEntry {
  return { kind: 'wait', atMs: wait.fromMs, untilMs: wait.untilMs, reason: wait.reason, text: WAIT_REASONS[wait.reason] };
}

function attemptEntry(event: EventRow, attempt: AttemptRecord): AttemptEntry {
  const { detail } = event;
  const steps = STEP_ORDER.flatMap((step) => (attempt.steps[step] === undefined ? [] : [{ step, ms: Math.round(attempt.steps[step]) }]));
  const code = attempt.reply?.code ?? detail.code;
  const enhanced = attempt.reply?.enhanced ?? detail.enhanced;
  return {
    kind: 'attempt',
    atMs: attempt.startedMs,
    number: attempt.number,
    result: event.kind === 'delivered' ? 'delivered' : event.kind === 'deferred' ? 'deferred' : 'failed',
    ...textFields(attempt),
    ...(attempt.port !== undefined && { port: attempt.port }),
    ...(attempt.tls !== undefined && { tls: cleanTls(attempt.tls) }),
    ...(attempt.connectionUse !== undefined && { connectionUse: attempt.connectionUse }),
    steps,
    tookMs: steps.reduce((sum, { ms }) => sum + ms, 0),
    ...(code !== undefined && { code }),
    ...(enhanced !== undefined && { enhanced: clean(enhanced) }),
    reply: clean(attempt.reply?.text ?? attempt.trouble ?? detail.text ?? ''),
    ...(detail.bounceClass !== undefined && { bounceClass: detail.bounceClass }),
    ...(attempt.before !== undefined && { before: clean(attempt.before) }),
    ...(attempt.dialogue !== undefined && { dialogue: attempt.dialogue.map(clean) }),
    ...((attempt.possibleDuplicate === true || detail.possibleDuplicate === true) && { possibleDuplicate: true }),
  };
}

function textFields(attempt: AttemptRecord): Pick<AttemptEntry, 'site' | 'host' | 'address' | 'source' | 'ehlo'> {
  const fields: Record<string, string> = {};
  for (const name of ['site', 'host', 'address', 'source', 'ehlo'] as const) {
    const value = attempt[name];
    if (value !== undefined) fields[name] = clean(value);
  }
  return fields;
}

function cleanTls(tls: TlsFacts): TlsFacts {
  return Object.fromEntries(
    Object.entries(tls).map(([name, value]) => [name, typeof value === 'string' ? clean(value) : value]),
  ) as unknown as TlsFacts;
}

function factEntry(event: EventRow): FactEntry {
  const { code } = event.detail;
  return {
    kind: 'fact',
    atMs: Math.floor(event.atUs / 1000),
    event: event.kind,
    text: factText(event),
    ...(code !== undefined && { code }),
  };
}

function factText({ kind, detail }: EventRow): string {
  if (detail.forward !== undefined) return postedText('the message', 'nothing of the message', detail.forward, detail.text ?? '');
  const said = detail.text === undefined || detail.text === '' ? '' : `: ${clean(detail.text)}`;
  switch (kind) {
    case 'accepted':
      return 'accepted and on disk';
    case 'delivered':
      return detail.testMode === true ? 'test mode: counted as delivered, sent to nobody' : `delivered${said}`;
    case 'failed':
      if (detail.reason === 'delayed-bounce') return `accepted there, and bounced later${said}`;
      return detail.bounceClass === 'suppressed' || detail.reason?.startsWith('suppress-') === true
        ? `not sent, the address is suppressed${said}`
        : `failed for good${said}`;
    case 'deferred':
      return `put off${said}`;
    case 'cancelled':
      return 'taken back by the sender';
    case 'rescheduled':
      return `moved by the sender from ${stamp(detail.moved?.fromMs)} to ${stamp(detail.moved?.toMs)}`;
    case 'notified':
      return detail.dsn === undefined
        ? 'the sender was notified'
        : `the sender was notified (${detail.dsn.action}) with message ${detail.dsn.message}`;
    case 'archived':
      return archivedText(detail);
    case 'untold':
      return untoldText(detail);
    case 'opened':
      return `opened${withWhat(detail)}`;
    case 'clicked':
      return `followed the link to ${clean(detail.url ?? 'somewhere')}${withWhat(detail)}`;
    case 'complained':
      return `the recipient complained${detail.feedback === undefined ? '' : ` (${clean(detail.feedback)})`}`;
    case 'recovered':
      return 'its lease ended without a result; queued again, so the next delivery may be a duplicate';
    default:
      return `${kind}${said}`;
  }
}

function withWhat({ client }: EventRow['detail']): string {
  if (client === undefined) return '';
  const known = [client.name, client.os].filter((part) => part !== 'unknown').join(' on ');
  return `${known === '' ? '' : `, ${clean(known)}`}${client.bot === undefined ? '' : ` (a machine: ${client.bot})`}`;
}

function archivedText({ archive, text = '' }: EventRow['detail']): string {
  return archive === undefined ? 'a copy was posted' : postedText('a copy', 'no copy', archive, text);
}

function postedText(what: string, none: string, post: PostRecord, text: string): string {
  const url = clean(post.url);
  switch (post.result) {
    case 'done':
      return `${what} was posted to ${url}: ${clean(text)}`;
    case 'deferred':
      return `${what} could not be posted to ${url}, post ${post.number}: ${clean(text)}; tried again at ${stamp(post.nextAtMs)}`;
    case 'failed':
      return `${none} was posted to ${url}, given up: ${clean(text)}`;
  }
}

function untoldText({ webhook, text = '' }: EventRow['detail']): string {
  const of = webhook?.event === undefined ? '' : ` of "${webhook.event}"`;
  const posts = webhook?.number === 1 ? 'one post' : `${webhook?.number} posts`;
  return `the webhook ${clean(webhook?.url ?? '')} was not told${of}, given up after ${posts}: ${clean(text)}`;
}

function stamp(ms: number | undefined): string {
  return ms === undefined ? 'some time' : new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}
