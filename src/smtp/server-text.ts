/**
 * What is done with the octets of a message once they are all there, before anybody sees them: dots are unstuffed (RFC 5321 §4.5.2), stray CR, LF
 * and NUL are found (§2.3.8, §4.1.1.4) and refused or made right, lines are measured. A message that is in order, as nearly every one is, costs one scan
 * and is passed on as it is; a copy is made only when something changes, and always has an ArrayBuffer of its own.
 */
import { Buffer } from 'node:buffer';
import { lineTrouble, normalizeNewlines } from '#mail/smtp-text.ts';
import type { LineTrouble } from '#mail/smtp-text.ts';

export interface TextRules {
  /** Sent by DATA: a leading dot of a line is not part of it. */
  readonly isDotStuffed: boolean;
  readonly bareNewlines: 'refuse' | 'normalise';
  /** Octets of a line without its CRLF; 0: any. */
  readonly lineBytesMax: number;
}

/** CRLF lines, ending with CRLF unless empty; or why not. */
export function settleText(raw: Buffer, rules: TextRules): Buffer | LineTrouble {
  const lineMax = rules.lineBytesMax === 0 ? Number.POSITIVE_INFINITY : rules.lineBytesMax;
  let text = rules.isDotStuffed ? withoutDots(raw) : raw;
  let trouble = lineTrouble(text, lineMax);
  if (trouble !== undefined && trouble !== 'line-too-long' && rules.bareNewlines === 'normalise') {
    text = normalizeNewlines(withoutNul(raw));
    if (rules.isDotStuffed) text = withoutDots(text);
    trouble = lineTrouble(text, lineMax);
  }
  if (trouble !== undefined) return trouble;
  return text.length > 0 && text[text.length - 1] !== 0x0a ? withFinalNewline(text) : text;
}

const NEWLINE_DOT = Buffer.from('\r\n.', 'latin1');
const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

/** Above so many lines with a dot it is cheaper to look at every octet. */
const SEARCHES_MAX = 200;

/** Without the first dot of every line that starts with one. In one pass and one copy: a message may be nothing but dots. */
function withoutDots(text: Buffer): Buffer {
  let dot = text[0] === 0x2e ? 0 : nextDot(text, 0);
  if (dot === -1) return text;
  const out = Buffer.allocUnsafe(text.length);
  let size = 0;
  let from = 0;
  for (let searches = 0; dot !== -1 && searches < SEARCHES_MAX; dot = nextDot(text, from), searches++) {
    size += text.copy(out, size, from, dot);
    from = dot + 1;
  }
  if (dot === -1) size += text.copy(out, size, from);
  else {
    for (let at = from; at < text.length; at++) {
      const octet = text[at] as number;
      if (octet !== DOT || text[at - 1] !== LF || text[at - 2] !== CR) out[size++] = octet;
    }
  }
  return own(out.subarray(0, size));
}

function nextDot(text: Buffer, from: number): number {
  const found = text.indexOf(NEWLINE_DOT, from);
  return found === -1 ? -1 : found + 2;
}

function withoutNul(raw: Buffer): Buffer {
  return raw.includes(0) ? own(raw.filter((octet) => octet !== 0)) : raw;
}

/** Only BDAT can bring a message without one. */
function withFinalNewline(text: Buffer): Buffer {
  const out = Buffer.allocUnsafeSlow(text.length + 2);
  text.copy(out);
  out.write('\r\n', text.length, 'latin1');
  return out;
}

/** A copy of exactly its size with an ArrayBuffer of its own. */
function own(octets: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(octets.length);
  copy.set(octets);
  return copy;
}
