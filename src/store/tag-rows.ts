/** Rows of tags to our noun, the same for both drivers. */
import type { Row } from './rows-json.ts';
import type { Tag } from './stats-store.ts';

export const TAG_COLUMNS = 'domain_id, name, description, first_ms, last_ms';

export function tagOf(row: Row): Tag {
  return {
    domainId: Number(row['domain_id']),
    name: String(row['name']),
    description: String(row['description']),
    firstMs: Number(row['first_ms']),
    lastMs: Number(row['last_ms']),
  };
}
