/** Bytes that strangers wrote, handed to a browser so that they can do nothing on our origin: always a download, never sniffed, no script. */
import { Buffer } from 'node:buffer';
import type { Answer } from './answer.ts';

export function download(bytes: Uint8Array, filename: string, contentType = 'application/octet-stream'): Answer {
  const ascii = filename.replace(/[^\x20-\x7e]|["\\]/g, '_') || 'attachment';
  return {
    status: 200,
    body: Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    contentType: /^[\w.+-]{1,60}\/[\w.+-]{1,60}$/.test(contentType) ? contentType : 'application/octet-stream',
    headers: {
      'content-disposition': `attachment; filename="${ascii}"; filename*=UTF-8''${encodeURIComponent(filename.toWellFormed())}`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'",
    },
  };
}

/** Likewise, in pieces that are made as they are sent. */
export function downloadPieces(pieces: AsyncIterable<string>, filename: string, contentType: string): Answer {
  return { ...download(EMPTY, filename, contentType), pieces };
}

const EMPTY = Buffer.alloc(0);

/** RFC 4180. What a program for tables would take for a formula is text there too: it has a quote before it. */
export function csvRow(fields: readonly string[]): string {
  const quoted = fields.map((field) => {
    const text = /^[=+\-@\t\r]/.test(field) ? `'${field}` : field;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return `${quoted.join(',')}\r\n`;
}
