/** Message-IDs in the hosted service's form, `YYYYMMDDHHMMSS.16hex@domain`, and those that senders bring. Always without angle brackets here. */
import { randomHex } from '#base/random.ts';

/** Longer ones are cut for look-ups; the message keeps its own. */
export const MESSAGE_ID_MAX = 250;

let stampedSecond = Number.NaN;
let stampText = '';

export function newMessageId(domain: string, nowMs: number): string {
  return `${stamp(nowMs)}.${randomHex(8)}@${domain}`;
}

/** The id that a header or option names, or undefined when it is none: brackets off, printable, one "@", no blanks. */
export function readMessageId(text: string): string | undefined {
  const trimmed = text.trim();
  const inner = /^<([^<>]*)>$/.exec(trimmed)?.[1] ?? trimmed;
  return inner.length <= MESSAGE_ID_MAX && /^[^\s<>@\0-\x1f\x7f]+@[^\s<>@\0-\x1f\x7f]+$/.test(inner) ? inner : undefined;
}

/** What a received header is known by, however it is written: something must be stored and shown. */
export function looseMessageId(text: string): string {
  return text
    .replace(/^\s*<|>\s*$/g, '')
    .replace(/[\s<>\0-\x1f\x7f-\x9f]+/g, '')
    .slice(0, MESSAGE_ID_MAX);
}

/** "20261123140509" (UTC); made once a second. */
function stamp(nowMs: number): string {
  const second = Math.floor(nowMs / 1000);
  if (second !== stampedSecond) {
    stampText = new Date(second * 1000).toISOString().replace(/[-:T]|\..*$/g, '');
    stampedSecond = second;
  }
  return stampText;
}
