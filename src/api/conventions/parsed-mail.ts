/** MIME as the API shows it, parsed by postal-mime within limits. What it holds is a stranger's: it is data here and is escaped where it is shown. */
import { Buffer } from 'node:buffer';
import PostalMime from 'postal-mime';
import type { Address } from 'postal-mime';
import { parseMime, partDisposition } from '#mail/mime.ts';
import { AppError } from '#model/errors.ts';

export interface ParsedAttachment {
  readonly filename: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Without brackets. */
  readonly contentId?: string;
  readonly bytes: Buffer;
}

export interface ParsedMail {
  /** In order, names as written, values unfolded. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly header: (name: string) => string | undefined;
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text?: string;
  readonly html?: string;
  readonly attachments: readonly ParsedAttachment[];
}

const NESTING_MAX = 50;
const HEADERS_BYTES_MAX = 1024 * 1024;
const HTML_BYTES_MAX = 8 * 1024 * 1024;

export async function parseMail(bytes: Uint8Array): Promise<ParsedMail> {
  const mail = await parse(bytes);
  const headers = mail.headers.map((header) => [header.originalKey, header.value] as const);
  return {
    headers,
    header: (name) => mail.headers.find((header) => header.key === name)?.value,
    from: mail.from === undefined ? '' : written([mail.from]),
    to: written(mail.to ?? []),
    subject: mail.subject ?? '',
    ...(mail.text !== undefined && { text: mail.text }),
    ...(mail.html !== undefined && { html: mail.html }),
    attachments: mail.attachments.map((attachment) => {
      const content =
        typeof attachment.content === 'string' ? Buffer.from(attachment.content) : Buffer.from(attachment.content as ArrayBuffer);
      return {
        filename: lastStep(attachment.filename ?? ''),
        contentType: attachment.mimeType,
        sizeBytes: content.length,
        ...(attachment.contentId !== undefined && { contentId: attachment.contentId.replace(/^<|>$/g, '') }),
        bytes: content,
      };
    }),
  };
}

/** A stranger's file name says what the file is called, not where it goes. */
function lastStep(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}

/** The parser's time grows with the square of the parts, and with the HTML that it makes text of: what would hold up everybody is not parsed. */
function assertModest(bytes: Uint8Array): void {
  const { parts, isTruncated } = parseMime(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  let htmlBytes = 0;
  for (const part of parts) {
    const isShown = part.type.value === 'text/html' && partDisposition(part).value !== 'attachment';
    if (isShown) htmlBytes += part.bodyEnd - part.bodyStart;
  }
  if (isTruncated || htmlBytes > HTML_BYTES_MAX) {
    throw new AppError('bad-content', { reason: 'the stored message has too many parts, or too much HTML, to be shown; fetch it raw' });
  }
}

async function parse(bytes: Uint8Array): ReturnType<typeof PostalMime.parse> {
  assertModest(bytes);
  try {
    return await PostalMime.parse(bytes, { maxNestingDepth: NESTING_MAX, maxHeadersSize: HEADERS_BYTES_MAX, forceRfc822Attachments: true });
  } catch (error) {
    throw new AppError('bad-content', { reason: 'the stored message cannot be parsed; fetch it raw' }, error);
  }
}

function written(addresses: readonly Address[]): string {
  return addresses
    .flatMap((address) => address.group ?? [address])
    .map((mailbox) => (mailbox.name === '' ? mailbox.address : `${mailbox.name} <${mailbox.address}>`))
    .join(', ');
}
