/**
 * The first file of a zip archive, as reporters write them: one entry, stored or deflated (APPNOTE 4.3). What the archive says about sizes is not believed: as much is inflated as is allowed, and no more.
 */
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';

const inflate = promisify(inflateRaw);

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const END_OCTETS = 22;
const ENTRY_OCTETS = 46;
const LOCAL_OCTETS = 30;
const COMMENT_MAX = 65_535;
/** Entries that are looked at for one that is a file. */
const ENTRIES_MAX = 20;
const ENCRYPTED = 1;

/** Undefined: there is none that can be read. Rejects when it is larger than `max`, or damaged. */
export async function firstZipped(zip: Buffer, max: number): Promise<Buffer | undefined> {
  const end = endOf(zip);
  if (end === -1) return undefined;
  let at = zip.readUInt32LE(end + 16);
  for (let count = Math.min(zip.readUInt16LE(end + 10), ENTRIES_MAX); count > 0; count--) {
    if (at + ENTRY_OCTETS > zip.length || zip.readUInt32LE(at) !== ENTRY) return undefined;
    const sizeBytes = zip.readUInt32LE(at + 20);
    const nameBytes = zip.readUInt16LE(at + 28);
    const name = zip.toString('latin1', at + ENTRY_OCTETS, at + ENTRY_OCTETS + nameBytes);
    // Folders, and what macOS puts beside files.
    if (!name.endsWith('/') && !name.startsWith('__MACOSX')) {
      if ((zip.readUInt16LE(at + 8) & ENCRYPTED) !== 0) return undefined;
      return contentOf(zip, zip.readUInt32LE(at + 42), zip.readUInt16LE(at + 10), sizeBytes, max);
    }
    at += ENTRY_OCTETS + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return undefined;
}

function endOf(zip: Buffer): number {
  const first = Math.max(0, zip.length - END_OCTETS - COMMENT_MAX);
  for (let at = zip.length - END_OCTETS; at >= first; at--) if (zip.readUInt32LE(at) === END) return at;
  return -1;
}

async function contentOf(zip: Buffer, at: number, method: number, sizeBytes: number, max: number): Promise<Buffer | undefined> {
  if (at + LOCAL_OCTETS > zip.length || zip.readUInt32LE(at) !== LOCAL) return undefined;
  const start = at + LOCAL_OCTETS + zip.readUInt16LE(at + 26) + zip.readUInt16LE(at + 28);
  const packed = zip.subarray(start, start + sizeBytes);
  if (method === 0) {
    if (packed.length > max) throw new RangeError('the file in the archive is too large');
    return packed;
  }
  return method === 8 ? inflate(packed, { maxOutputLength: max }) : undefined;
}
