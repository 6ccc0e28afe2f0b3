/**
 * Where contents are: in their day's partition, or, of days whose partition was dropped, in `content_kept` when they had to stay. Which days were dropped is told by a
 * floor, so that a day goes without its messages being written to: `message.has_content` is 1 as long as nothing else is known, 2 of a content that was moved, 0 of
 * one that went by itself.
 */
import type { Queries } from './database.ts';
import { firstIdOfDay } from './ids.ts';

/** The name of the setting with the floor: the first id whose content may be in a partition. */
export const FLOOR = 'content.floor';

/** Of the message `m`: 1 or 0. Ids of the first day came from the other driver; their partition is never dropped. */
export const HAS_CONTENT = `CASE WHEN m.has_content = 2 OR (m.has_content = 1 AND (m.id < ${firstIdOfDay(1)}
  OR m.id >= coalesce((SELECT value::bigint FROM setting WHERE name = '${FLOOR}'), 0))) THEN 1 ELSE 0 END`;

/** Read so much at a time: what comes from the server comes as text of twice the length, and is there several times for a moment. */
const PART_BYTES = 1024 * 1024;
/** By the message's id, a part of it and its whole length. The partitions that cannot have it are left alone. */
const PART = `SELECT octet_length(bytes) AS bytes, substring(bytes FROM $2::integer FOR ${PART_BYTES}) AS part FROM`;
const CONTENT_PART = `${PART} content WHERE id = $1 UNION ALL ${PART} content_kept WHERE id = $1 LIMIT 1`;

/** undefined: it is not there, or went while it was read. */
export async function readContent(queries: Queries, id: number): Promise<Uint8Array | undefined> {
  const row = await queries.get(CONTENT_PART, id, 1);
  if (row === undefined) return undefined;
  const first = row['part'] as Uint8Array;
  const bytes = Number(row['bytes']);
  if (first.byteLength === bytes) return first;
  const whole = Buffer.allocUnsafeSlow(bytes);
  whole.set(first);
  for (let end = first.byteLength; end < bytes;) {
    const part = (await queries.get(CONTENT_PART, id, end + 1))?.['part'] as Uint8Array | undefined;
    if (part === undefined) return undefined;
    whole.set(part, end);
    end += part.byteLength;
  }
  return whole;
}
