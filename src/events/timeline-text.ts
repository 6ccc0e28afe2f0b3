/** A timeline as text for a terminal, for `postrider why`. Everything in it was cleaned of control characters by `timeline`. */
import type { AttemptEntry, NextStep, RecipientTimeline, Timeline, TimelineEntry } from './timeline.ts';

export interface TimelineTextOptions {
  /** ANSI colours. */
  readonly color?: boolean;
}

/** More recipients than this are counted; those that need attention are shown first. */
export const RECIPIENTS_SHOWN_MAX = 20;

type Paint = (style: 'bold' | 'dim' | 'green' | 'red' | 'yellow', text: string) => string;

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
const STYLE_OF = {
  delivered: 'green',
  waiting: 'yellow',
  'in-progress': 'yellow',
  failed: 'red',
  expired: 'red',
  suppressed: 'red',
  cancelled: 'dim',
  received: 'green',
} as const;
/** Those that are not finished first, then those that went wrong. */
const ATTENTION = ['in-progress', 'waiting', 'failed', 'expired', 'suppressed', 'cancelled', 'delivered', 'received'] as const;

export function timelineText(timeline: Timeline, options: TimelineTextOptions = {}): string {
  const paint: Paint = options.color === true ? (style, text) => `\x1b[${CODES[style]}m${text}\x1b[0m` : (_style, text) => text;
  const lines = [...headLines(timeline, paint), ...timeline.entries.flatMap((entry) => entryLines(entry, paint))];
  for (const recipient of shownRecipients(timeline)) lines.push('', ...recipientLines(recipient, paint));
  if (timeline.recipients.length > RECIPIENTS_SHOWN_MAX) lines.push('', ...summaryLines(timeline, paint));
  return `${lines.join('\n')}\n`;
}

function headLines(timeline: Timeline, paint: Paint): string[] {
  const { accepted } = timeline;
  const from = accepted.helo === undefined ? accepted.address : `${accepted.address} (${accepted.helo})`;
  const lines = [
    `${paint('bold', `Message ${timeline.id}`)}  <${timeline.messageId}>`,
    `  subject   ${timeline.subject === '' ? '(none)' : timeline.subject}`,
    `  from      ${timeline.from}${timeline.sender === '' ? '  (null reverse-path)' : ''}`,
    `  to        ${timeline.to}`,
    `  accepted  ${stamp(timeline.createdMs)} by ${accepted.method} from ${from}, ${accepted.by}, ${accepted.tls ?? 'no TLS'}, ${size(timeline.sizeBytes)}`,
  ];
  if (timeline.tags.length > 0) lines.push(`  tags      ${timeline.tags.join(', ')}`);
  if (timeline.testMode) lines.push(`  ${paint('yellow', 'test mode: nothing is sent')}`);
  return lines;
}

function shownRecipients(timeline: Timeline): readonly RecipientTimeline[] {
  if (timeline.recipients.length <= RECIPIENTS_SHOWN_MAX) return timeline.recipients;
  const rank = (recipient: RecipientTimeline): number => ATTENTION.indexOf(recipient.status);
  return [...timeline.recipients].sort((a, b) => rank(a) - rank(b)).slice(0, RECIPIENTS_SHOWN_MAX);
}

function summaryLines(timeline: Timeline, paint: Paint): string[] {
  const counts = new Map<RecipientTimeline['status'], number>();
  for (const { status } of timeline.recipients) counts.set(status, (counts.get(status) ?? 0) + 1);
  const parts = ATTENTION.flatMap((status) => (counts.has(status) ? [paint(STYLE_OF[status], `${counts.get(status)} ${status}`)] : []));
  return [`${timeline.recipients.length} recipients, the first ${RECIPIENTS_SHOWN_MAX} that need attention are shown: ${parts.join(', ')}`];
}

function recipientLines(recipient: RecipientTimeline, paint: Paint): string[] {
  const duplicate = recipient.possibleDuplicate ? paint('yellow', '  possible duplicate') : '';
  const lines = [`${paint('bold', recipient.address)}  ${paint(STYLE_OF[recipient.status], recipient.status)}${duplicate}`];
  for (const entry of recipient.entries) lines.push(...entryLines(entry, paint));
  if (recipient.next !== undefined) lines.push(...nextLines(recipient.next, paint));
  return lines;
}

function nextLines(next: NextStep, paint: Paint): string[] {
  if (next.reason === 'attempt') return [`  ${paint('yellow', 'now')}            it ${next.text}`];
  return [
    `  ${paint('yellow', 'next')}           at ${stamp(next.atMs)}: ${next.text} [${next.reason}]`,
    `                 given up at ${stamp(next.expiresAtMs)}`,
  ];
}

function entryLines(entry: TimelineEntry, paint: Paint): string[] {
  const at = `  ${paint('dim', stamp(entry.atMs))}  `;
  if (entry.kind === 'fact') return [`${at}${entry.text}${entry.code === undefined ? '' : ` (${entry.code})`}`];
  if (entry.kind === 'wait') return [`${at}waited ${period(entry.untilMs - entry.atMs)}: ${entry.text} [${entry.reason}]`];
  return attemptLines(entry, at, paint);
}

const INDENT = ' '.repeat(8);

function attemptLines(entry: AttemptEntry, at: string, paint: Paint): string[] {
  const style = STYLE_OF[entry.result === 'deferred' ? 'waiting' : entry.result];
  const host = [
    entry.host,
    entry.address === undefined ? undefined : `[${entry.address}]${entry.port === undefined ? '' : `:${entry.port}`}`,
  ];
  const target = host.filter((part) => part !== undefined).join(' ') || (entry.site ?? 'no host');
  const lines = [`${at}attempt ${entry.number} to ${target}: ${paint(style, entry.result)}`];
  const via = [
    entry.site === undefined ? undefined : `site ${entry.site}`,
    entry.source === undefined ? undefined : `source ${entry.source}${entry.ehlo === undefined ? '' : ` (EHLO ${entry.ehlo})`}`,
    entry.connectionUse === undefined || entry.connectionUse === 1 ? undefined : `message ${entry.connectionUse} on its connection`,
    tlsText(entry),
  ];
  const told = via.filter((part) => part !== undefined).join(', ');
  if (told !== '') lines.push(`${INDENT}${told}`);
  if (entry.before !== undefined) lines.push(`${INDENT}${paint('yellow', `before: ${entry.before}`)}`);
  if (entry.steps.length > 0) {
    lines.push(`${INDENT}${entry.steps.map(({ step, ms }) => `${step} ${ms} ms`).join(', ')}; ${period(entry.tookMs)} in all`);
  }
  const reply = [entry.code, entry.enhanced, entry.reply].filter((part) => part !== undefined && part !== '').join(' ');
  if (reply !== '') lines.push(`${INDENT}${paint(style, reply)}${entry.bounceClass === undefined ? '' : ` [${entry.bounceClass}]`}`);
  if (entry.possibleDuplicate === true) lines.push(`${INDENT}${paint('yellow', 'an earlier attempt may have been delivered already')}`);
  for (const line of entry.dialogue ?? []) lines.push(`${INDENT}${paint('dim', `| ${line}`)}`);
  return lines;
}

function tlsText({ tls, host }: AttemptEntry): string | undefined {
  if (tls === undefined) return host === undefined ? undefined : 'no TLS';
  const subject = tls.subject === undefined ? '' : ` of ${tls.subject}`;
  const certificate = tls.verified
    ? `certificate${subject} verified`
    : `certificate${subject} not verified${tls.trouble === undefined ? '' : ` (${tls.trouble})`}`;
  return `${tls.version} ${tls.cipher}, ${certificate}`;
}

/** "2026-11-23 14:05:09.123", UTC. */
function stamp(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString().slice(0, 23).replace('T', ' ') : '(no time)';
}

function period(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.round(ms / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function size(bytes: number): string {
  return bytes < 10_240 ? `${bytes} bytes` : `${(bytes / 1024).toFixed(1)} KB`;
}
