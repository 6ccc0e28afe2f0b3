/** Writing events whose ids were given before, with the tags of their messages, under which they are found. Inside the transaction of what they tell. */
import { EVENT_KINDS, type EventRow } from '#model/event.ts';
import { int2Array, int8Array, textArray } from './arrays.ts';
import type { Queries } from './database.ts';

const INSERT = `WITH told AS (
    INSERT INTO event (id, kind, at_us, account_id, domain_id, message, recipient, detail)
    SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[])
    RETURNING id, kind, at_us, domain_id, message)
  INSERT INTO event_tag (domain_id, tag, at_us, event, kind)
  SELECT DISTINCT e.domain_id, lower(t.tag COLLATE "C"), e.at_us, e.id, e.kind FROM told e JOIN message m ON m.id = e.message
    CROSS JOIN LATERAL json_array_elements_text(m.info::json #> '{options,tags}') AS t (tag)
  WHERE m.info LIKE '%"tags":["%' ON CONFLICT DO NOTHING`;

export async function insertEvents(queries: Queries, events: readonly EventRow[]): Promise<void> {
  if (events.length === 0) return;
  await queries.run(
    INSERT,
    int8Array(events.map(({ id }) => id)),
    int2Array(events.map(({ kind }) => EVENT_KINDS[kind])),
    int8Array(events.map(({ atUs }) => atUs)),
    int8Array(events.map(({ accountId }) => accountId)),
    int8Array(events.map(({ domainId }) => domainId)),
    int8Array(events.map(({ message }) => message)),
    int8Array(events.map(({ recipient }) => recipient)),
    textArray(events.map(({ detail }) => JSON.stringify(detail))),
  );
}

/** Of those ids, the ones that were written. */
export async function standing(queries: Queries, table: 'event' | 'webhook_post', ids: readonly number[]): Promise<Set<number>> {
  if (ids.length === 0) return new Set();
  return new Set(
    (await queries.all(`SELECT id FROM ${table} WHERE id = ANY($1::bigint[])`, int8Array(ids))).map((row) => Number(row['id'])),
  );
}
