/**
 * What is attached to a report's mail, unpacked: XML and JSON, as zip, gzip or as they are. What a part is called is not believed, its first octets say what it is: reporters send zip files as
 * "application/octet-stream", gzip as "text/xml" and XML as the body of the mail. Unpacking has a bound that an archive cannot argue with, and is done off the main thread.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { parseMime, partOctets } from '#mail/mime.ts';
import { firstZipped } from './zip.ts';

/** Of one report, unpacked. Those of the largest providers about a domain with ten thousand sources are half of that. */
export const DOCUMENT_MAX = 8 * 1024 * 1024;
/** Of one mail. */
const DOCUMENTS_MAX = 5;
const PACKED_MAX = 10 * 1024 * 1024;
/** An archive in an archive, as some gateways make them, and no further. */
const LAYERS_MAX = 2;

export type ReportDocument =
  | { readonly kind: 'xml' | 'json'; readonly bytes: Buffer }
  | { readonly kind: 'unreadable'; readonly why: string };

const unzip = promisify(gunzip);

export async function reportDocuments(mail: Buffer): Promise<ReportDocument[]> {
  const mime = parseMime(mail);
  const found: ReportDocument[] = [];
  for (const part of mime.parts) {
    if (part.isContainer || found.length >= DOCUMENTS_MAX) continue;
    if (part.bodyEnd - part.bodyStart > PACKED_MAX) found.push({ kind: 'unreadable', why: 'the attachment is too large' });
    else found.push(...(await documentOf(partOctets(mime, part), 0)));
  }
  return found;
}

/** Empty: it is something else, such as the words for people. */
async function documentOf(octets: Buffer, layers: number): Promise<ReportDocument[]> {
  const kind = kindOf(octets);
  if (kind === undefined) return [];
  if (kind === 'xml' || kind === 'json')
    return [octets.length > DOCUMENT_MAX ? { kind: 'unreadable', why: 'the report is too large' } : { kind, bytes: octets }];
  if (layers >= LAYERS_MAX) return [{ kind: 'unreadable', why: 'it is packed too often' }];
  try {
    const inner = kind === 'gzip' ? await unzip(octets, { maxOutputLength: DOCUMENT_MAX }) : await firstZipped(octets, DOCUMENT_MAX);
    return inner === undefined
      ? [{ kind: 'unreadable', why: 'the archive has no file that can be read' }]
      : await documentOf(inner, layers + 1);
  } catch (error) {
    // zlib, about what a stranger packed.
    return [{ kind: 'unreadable', why: `it cannot be unpacked: ${error instanceof Error ? error.message : 'damaged'}` }];
  }
}

const GZIP = 0x1f8b;
const ZIP = 0x504b0304;

function kindOf(octets: Buffer): 'gzip' | 'zip' | 'xml' | 'json' | undefined {
  if (octets.length < 4) return undefined;
  if (octets.readUInt16BE(0) === GZIP) return 'gzip';
  if (octets.readUInt32BE(0) === ZIP) return 'zip';
  const beginning = octets
    .toString('latin1', 0, 512)
    .replace(/^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)/, '')
    .replaceAll('\0', '')
    .trimStart();
  if (/^<(?:\?xml|!--|!DOCTYPE|(?:\w{1,20}:)?feedback)/i.test(beginning)) return 'xml';
  return /^\{\s*"/.test(beginning) ? 'json' : undefined;
}
