/**
 * Recipients out of a bounce that was written for people: lines that begin with an address, and what stands below each. Works on lines, each of them bounded, so it is linear
 * whatever a stranger wrote.
 */
import { type Header, readHeader, withoutControls } from '#mail/header.ts';
import { type ReportedRecipient, statusIn } from '#mail/status-report.ts';
import type { BounceFormat } from './bounce-format.ts';

/** Lines of a report that are looked at; what is returned below it is not counted. */
const LINES_MAX = 2000;
const LINE_MAX = 1000;
const RECIPIENTS_MAX = 100;
/** Of one reason. */
const REASON_LINES_MAX = 12;
const REASON_MAX = 1500;
const RETURNED_MAX = 64 * 1024;

export interface PlainReport {
  readonly recipients: readonly ReportedRecipient[];
  readonly returned?: Header;
}

/** `subject`: where no phrase of the text told what it is, the subject did. */
export function readPlainReport(format: BounceFormat, text: string, subject: string, failedRecipients: readonly string[]): PlainReport {
  const { lines, returned } = split(text, format.until ?? []);
  const begin = Math.max(
    0,
    lines.findIndex((line) => hasPhrase(line, format.text)),
  );
  const found = format.text === undefined ? [] : recipientsIn(lines, begin, format);
  const everything = reasonOf(format.text === undefined ? [`${subject}.`, ...lines] : lines.slice(begin));
  const action = format.action ?? 'failed';
  const named = found.length > 0 ? found : failedRecipients.slice(0, RECIPIENTS_MAX).map((address) => ({ address, reason: everything }));
  const all: readonly Found[] = named.length > 0 ? named : [{ reason: everything }];
  const recipients = all.map(({ address, reason }): ReportedRecipient => {
    // A reason that stands apart from the address is anybody's.
    const diagnostic = reason === '' ? everything : reason;
    const status = statusIn(diagnostic);
    return {
      action,
      ...(address !== undefined && { address }),
      ...(diagnostic !== '' && { diagnostic }),
      ...(status !== undefined && { status }),
    };
  });
  return { recipients, ...(returned !== undefined && { returned }) };
}

interface Found {
  readonly address?: string;
  readonly reason: string;
}

export function hasPhrase(line: string, phrases: readonly string[] | undefined): boolean {
  if (phrases === undefined) return false;
  const lower = line.toLowerCase().replaceAll('’', "'");
  return phrases.some((phrase) => lower.includes(phrase));
}

/** The lines of the report, and the header of what is returned below them. */
function split(text: string, until: readonly string[]): { lines: string[]; returned?: Header } {
  const lines: string[] = [];
  let at = 0;
  while (at < text.length && lines.length < LINES_MAX) {
    const newline = text.indexOf('\n', at);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(at, Math.min(end, at + LINE_MAX)).trimEnd();
    at = end + 1;
    // The first line tells what the message is; a report does not end with it.
    if (lines.length > 0 && hasPhrase(line, until)) return withReturned(lines, text.slice(at, at + RETURNED_MAX));
    lines.push(line);
  }
  return { lines };
}

function withReturned(lines: string[], rest: string): { lines: string[]; returned?: Header } {
  const block = rest.replace(/^\s+/, '');
  if (!/^[A-Za-z][A-Za-z0-9-]{0,60}:/.test(block)) return { lines };
  const octets = Buffer.from(block.replaceAll('\r\n', '\n').replaceAll('\n', '\r\n'));
  return { lines, returned: readHeader(octets) };
}

function recipientsIn(lines: readonly string[], begin: number, format: BounceFormat): Found[] {
  const found: { address: string; reason: string[] }[] = [];
  for (let at = begin; at < lines.length; at++) {
    const line = lines[at] as string;
    const isFirst = at === begin;
    const here = isFirst ? afterPhrase(line, format.text) : addressLine(line, format.before ?? []);
    const last = found.at(-1);
    if (here === undefined) {
      if (last !== undefined && last.reason.length < REASON_LINES_MAX && line.trim() !== '') last.reason.push(line.trim());
      continue;
    }
    if (last?.address.toLowerCase() === here.address.toLowerCase()) last.reason.push(here.rest);
    else if (found.length < RECIPIENTS_MAX) found.push({ address: here.address, reason: [here.rest] });
  }
  return found.map(({ address, reason }) => ({ address, reason: reasonOf(reason) }));
}

interface AddressLine {
  readonly address: string;
  readonly rest: string;
}

const ADDRESS = /[^\s<>()[\]",;:'@]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,10}/;
const AT_BEGIN = new RegExp(`^[\\s*•]*(?:[^<>@:]{0,60}[(<])?<?(${ADDRESS.source})>?\\)?(.*)$`, 's');

/** `jane@example.org`, `<jane@example.org>: why`, `Jane (jane@example.org)`: nothing but a name stands before the address. */
function addressLine(line: string, before: readonly string[]): AddressLine | undefined {
  const prefix = before.find((each) => line.trimStart().startsWith(each));
  const rest = prefix === undefined ? line : line.trimStart().slice(prefix.length);
  // What a server said, or was told, names the recipient again.
  if (/^\s*(?:[<>-]{2,3}\s|[245]\d\d[\s-]|RCPT )/i.test(rest)) return undefined;
  const match = AT_BEGIN.exec(rest);
  return match === null ? undefined : { address: match[1] as string, rest: reasonText(match[2] as string) };
}

/** On the line that tells what it is about, an address may stand anywhere behind the phrase. */
function afterPhrase(line: string, phrases: readonly string[] | undefined): AddressLine | undefined {
  const lower = line.toLowerCase();
  const phrase = phrases?.find((each) => lower.includes(each));
  if (phrase === undefined || lower.length !== line.length) return undefined;
  const rest = line.slice(lower.indexOf(phrase) + phrase.length);
  const match = ADDRESS.exec(rest);
  return match === null ? undefined : { address: match[0], rest: '' };
}

function reasonText(text: string): string {
  return text
    .replace(/^[\s>:,()-]+/, '')
    .replace(/\)$/, '')
    .trim();
}

/** The line with a server's reply where there is one, with what follows; else all. */
function reasonOf(lines: readonly string[]): string {
  const told = lines.map((line) => line.trim()).filter((line) => line !== '');
  return withoutControls(told.slice(0, REASON_LINES_MAX * 2).join(' ')).slice(0, REASON_MAX);
}
