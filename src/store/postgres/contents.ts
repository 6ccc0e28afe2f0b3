/**
 * Where contents are: in their day's partition, or, of days whose partition was dropped, in `content_kept` when they had to stay. Which days were dropped is told by a
 * floor, so that a day goes without its messages being written to: `message.has_content` is 1 as long as nothing else is known, 2 of a content that was moved, 0 of
 * one that went by itself.
 */
import { firstIdOfDay } from './ids.ts';

/** The name of the setting with the floor: the first id whose content may be in a partition. */
export const FLOOR = 'content.floor';

/** Of the message `m`: 1 or 0. Ids of the first day came from the other driver; their partition is never dropped. */
export const HAS_CONTENT = `CASE WHEN m.has_content = 2 OR (m.has_content = 1 AND (m.id < ${firstIdOfDay(1)}
  OR m.id >= coalesce((SELECT value::bigint FROM setting WHERE name = '${FLOOR}'), 0))) THEN 1 ELSE 0 END`;

/** By the message's id. The partitions that cannot have it are left alone. */
export const CONTENT = 'SELECT bytes FROM content WHERE id = $1 UNION ALL SELECT bytes FROM content_kept WHERE id = $1 LIMIT 1';
