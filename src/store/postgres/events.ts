/**
 * Reading what happened: events by domain, messages with their recipients and events, and the depth of the queue. A message's events have the days of their own
 * times in their ids, as its own id has: every question for events says from which day on, where that is known, and so leaves the other days' partitions alone.
 */
import { EVENT_KINDS } from '#model/event.ts';
import { rareKinds } from '#store/rare-kinds.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import { EVENT_COLUMNS, eventOf, MESSAGE_COLUMNS, messageOf, RECIPIENT_COLUMNS, recipientOf, type Row } from '#store/rows-json.ts';
import type { EventFilter, EventPosition, EventStore, EventView, MessageView, QueueDepth } from '#store/store.ts';
import { int2Array, int8Array } from './arrays.ts';
import { HAS_CONTENT } from './contents.ts';
import type { Queries, Value } from './database.ts';
import { dayOf, firstIdOfDay } from './ids.ts';

const RECIPIENTS_MAX = 1000;
const EVENTS_PER_MESSAGE_MAX = 5000;
/** Of the messages in a list. */
const RECIPIENTS_LISTED_MAX = 20;

const MESSAGE_SHOWN = MESSAGE_COLUMNS.replace('m.has_content AS', `${HAS_CONTENT} AS`);
const MESSAGE = `SELECT ${MESSAGE_SHOWN}, m.first_recipient AS m_first, m.recipient_count AS m_count
  FROM message m LEFT JOIN domain d ON d.id = m.domain_id`;
const VIEW = `SELECT ${EVENT_COLUMNS}, ${MESSAGE_SHOWN}, ${RECIPIENT_COLUMNS}`;

function viewOf(row: Row): EventView {
  return {
    event: eventOf(row),
    message: row['m_id'] === null ? undefined : messageOf(row),
    recipient: row['r_id'] === null ? undefined : recipientOf(row),
  };
}

/** Before every event of that time, whichever node's clock was a little ahead. */
function idBefore(ms: number): number {
  return firstIdOfDay(Math.max(0, dayOf(ms) - 1));
}

export function eventTables(db: Queries): EventStore {
  return {
    list: (filter, order, after, limit) => listEvents(db, filter, order, after, limit),
    messageById: async (accountId, id, recipientsMax) =>
      messageView(
        db,
        await db.get(`${MESSAGE} WHERE m.id = $1 AND ($2::bigint IS NULL OR m.account_id = $2)`, id, accountId ?? null),
        recipientsMax,
      ),
    // Ordered by what no index has, so that it goes by the Message-ID.
    messageByMessageId: async (accountId, messageId, recipientsMax) =>
      messageView(
        db,
        await db.get(
          `${MESSAGE} WHERE m.message_id = $1 AND ($2::bigint IS NULL OR m.account_id = $2) ORDER BY m.created_ms DESC, m.id DESC LIMIT 1`,
          messageId,
          accountId ?? null,
        ),
        recipientsMax,
      ),
    recipientsByAddress: async (accountId, address, limit) => (await db.all(BY_ADDRESS, address, accountId ?? null, limit)).map(viewOf),
    async latestMessages(accountId, limit) {
      const rows =
        accountId === undefined
          ? await db.all(`${MESSAGE} ORDER BY m.id DESC LIMIT $1`, limit)
          : await db.all(`${MESSAGE} WHERE m.account_id = $1 ORDER BY m.id DESC LIMIT $2`, accountId, limit);
      const views = await Promise.all(rows.map((row) => messageView(db, row, RECIPIENTS_LISTED_MAX)));
      return views.filter((view) => view !== undefined);
    },
    async recipientById(id) {
      const row = await db.get(
        `SELECT ${MESSAGE_SHOWN}, ${RECIPIENT_COLUMNS} FROM recipient r JOIN message m ON m.id = r.message LEFT JOIN domain d ON d.id = m.domain_id WHERE r.id = $1`,
        id,
      );
      return row === undefined ? undefined : { message: messageOf(row), recipient: recipientOf(row) };
    },
    queueByDomain: async (_nowMs, limit) => (await db.all(WAITING_BY_DOMAIN, limit)).map(depthOf),
    async queueDepth() {
      const row = await db.get(
        'SELECT (SELECT count(*) FROM recipient WHERE state = 0) AS queued, (SELECT count(*) FROM recipient WHERE state = 1) AS leased',
      );
      return { queued: Number(row?.['queued']), leased: Number(row?.['leased']) };
    },
  };
}

/** One row per recipient, with its latest event: of the day before its message's own, or before its end, or later. */
const BY_ADDRESS = `${VIEW} FROM (
    SELECT r.* FROM recipient r JOIN message m ON m.id = r.message
    WHERE lower(r.address) = lower($1::text COLLATE "C") AND ($2::bigint IS NULL OR m.account_id = $2) ORDER BY r.id DESC LIMIT $3
  ) r JOIN message m ON m.id = r.message LEFT JOIN domain d ON d.id = m.domain_id
  CROSS JOIN LATERAL (
    SELECT * FROM event x WHERE x.message = r.message AND x.recipient IN (0, r.id)
    AND (x.id >= (least(m.created_ms, r.due_ms) / 86400000 - 1) * ${firstIdOfDay(1)} OR x.id < ${firstIdOfDay(1)}) ORDER BY x.at_us DESC, x.id DESC LIMIT 1
  ) e ORDER BY r.id DESC`;

async function messageView(db: Queries, row: Row | undefined, recipientsMax = RECIPIENTS_MAX): Promise<MessageView | undefined> {
  if (row === undefined) return undefined;
  const message = messageOf(row);
  const first = Number(row['m_first']);
  const recipients = await db.all(
    `SELECT ${RECIPIENT_COLUMNS}, b.shown_ms AS b_look, b.wait AS b_wait FROM recipient r LEFT JOIN bucket b ON b.id = r.bucket
     WHERE r.id >= $1 AND r.id < $2 ORDER BY r.id LIMIT $3`,
    first,
    first + Number(row['m_count']),
    recipientsMax,
  );
  // Of one that is done, r_due is when: a clock that was ahead when the message came was right again by then.
  const sinceMs = recipients.reduce((earliest, recipient) => Math.min(earliest, Number(recipient['r_due'])), message.createdMs);
  const events = await db.all(
    `SELECT ${EVENT_COLUMNS} FROM event e WHERE e.message = $1 AND (e.id >= $2 OR e.id < ${firstIdOfDay(1)}) ORDER BY e.at_us, e.id LIMIT $3`,
    message.id,
    idBefore(sinceMs),
    EVENTS_PER_MESSAGE_MAX,
  );
  return { message, recipients: recipients.map(recipientOf), events: events.map(eventOf) };
}

/** Positions, $1, $2, …, of values as they are given. */
class Values {
  readonly all: Value[] = [];

  add(value: Value): string {
    this.all.push(value);
    return `$${this.all.length}`;
  }
}

async function listEvents(
  db: Queries,
  filter: EventFilter,
  order: 'ascending' | 'descending',
  after: EventPosition | undefined,
  limit: number,
): Promise<EventView[]> {
  const values = new Values();
  const isUp = order === 'ascending';
  const domains = filter.domainIds ?? [filter.domainId];
  const domain = values.add(int8Array(domains));
  const days = dayConditions(values, filter, isUp, after);
  const most = values.add(limit);
  const sorted = isUp ? 'e.at_us, e.id' : 'e.at_us DESC, e.id DESC';
  const account = values.add(filter.accountId);
  const times = timeConditions(values, filter, isUp, after);
  const conditions = [`e.account_id = ${account}`, ...times];
  const wanted = wantedOf(values, filter, domain);
  const rare = wanted === undefined && filter.tag === undefined ? rareKinds(filter.kinds) : undefined;
  const isByTag = filter.tag !== undefined && wanted === undefined;
  if (filter.tag !== undefined && !isByTag) {
    const tag = `${values.add(filter.tag.toLowerCase())}::text`;
    conditions.push(
      `EXISTS (SELECT 1 FROM event_tag t WHERE t.domain_id = e.domain_id AND t.tag = ${tag} AND t.at_us = e.at_us AND t.event = e.id)`,
    );
  }
  if (filter.kinds !== undefined && rare === undefined && !isByTag) conditions.push(kindsIn(values, filter.kinds));
  const first = (where: readonly string[]): string =>
    `SELECT e.* FROM event e WHERE ${where.join(' AND ')} ORDER BY ${sorted} LIMIT ${most}`;
  let source: string;
  if (wanted !== undefined) {
    // Those of a message or an address are few, whatever the statistics say, and are found by the message; the OFFSET keeps the two questions apart.
    const ofMessage = ['x.message = w.message', 'x.recipient = coalesce(w.recipient, x.recipient)', ...days('x')].join(' AND ');
    const inDomain = [`e.domain_id = ANY(${domain}::bigint[])`, ...conditions].join(' AND ');
    source = `SELECT e.* FROM ${wanted} w CROSS JOIN LATERAL (SELECT x.* FROM event x WHERE ${ofMessage} OFFSET 0) e WHERE ${inDomain} ORDER BY ${sorted} LIMIT ${most}`;
  } else if (filter.tag !== undefined) {
    const ofTag = [
      'e.domain_id = o.domain_id',
      `e.tag = ${values.add(filter.tag.toLowerCase())}::text`,
      `(SELECT d.account_id FROM domain d WHERE d.id = o.domain_id) = ${account}`,
      ...(filter.kinds === undefined ? [] : [kindsIn(values, filter.kinds)]),
      ...times,
      ...days('e'),
    ];
    const each = `SELECT e.at_us, e.id FROM (SELECT *, event AS id FROM event_tag) e WHERE ${ofTag.join(' AND ')} ORDER BY ${sorted} LIMIT ${most}`;
    const page = `SELECT e.at_us, e.id FROM unnest(${domain}::bigint[]) AS o (domain_id) CROSS JOIN LATERAL (${each}) e ORDER BY ${sorted} LIMIT ${most}`;
    // One event at a time, each in the one partition that its id tells; the OFFSET keeps it so.
    source = `SELECT x.* FROM (${page}) e CROSS JOIN LATERAL (SELECT * FROM event v WHERE v.id = e.id OFFSET 0) x`;
  } else if (domains.length === 1 && rare === undefined) {
    source = first([`e.domain_id = (${domain}::bigint[])[1]`, ...conditions, ...days('e')]);
  } else {
    // The first of each domain and rare kind, and the first of those.
    const kinds =
      rare === undefined
        ? ''
        : ` CROSS JOIN unnest(${values.add(int2Array(rare.map((kind) => EVENT_KINDS[kind])))}::smallint[]) AS k (kind)`;
    const ofKind = rare === undefined ? [] : ['e.kind = k.kind', `e.kind > ${EVENT_KINDS.delivered}`];
    const each = first(['e.domain_id = o.domain_id', ...ofKind, ...conditions, ...days('e')]);
    source = `SELECT e.* FROM unnest(${domain}::bigint[]) AS o (domain_id)${kinds} CROSS JOIN LATERAL (${each}) e ORDER BY ${sorted} LIMIT ${most}`;
  }
  // Messages and recipients are looked up for the page alone.
  const rows = await db.allOnce(
    `${VIEW} FROM (${source}) e
     LEFT JOIN message m ON m.id = e.message LEFT JOIN domain d ON d.id = m.domain_id LEFT JOIN recipient r ON r.id = e.recipient ORDER BY ${sorted}`,
    ...values.all,
  );
  return rows.map(viewOf);
}

function kindsIn(values: Values, kinds: NonNullable<EventFilter['kinds']>): string {
  return `e.kind = ANY(${values.add(int2Array(kinds.map((kind) => EVENT_KINDS[kind])))}::smallint[])`;
}

/** The messages, and the recipients of them, whose events are asked for; undefined: any of the domain's. */
function wantedOf(values: Values, { messageId, recipient }: EventFilter, domain: string): string | undefined {
  const ofMessage = messageId === undefined ? '' : `AND m.message_id = ${values.add(messageId)}`;
  if (recipient !== undefined) {
    return `(SELECT r.message, r.id AS recipient FROM recipient r JOIN message m ON m.id = r.message
      WHERE lower(r.address) = lower(${values.add(recipient)}::text COLLATE "C") AND m.domain_id = ANY(${domain}::bigint[]) ${ofMessage} OFFSET 0)`;
  }
  if (messageId === undefined) return undefined;
  return `(SELECT m.id AS message, NULL::bigint AS recipient FROM message m WHERE m.domain_id = ANY(${domain}::bigint[]) ${ofMessage} OFFSET 0)`;
}

function timeConditions(values: Values, filter: EventFilter, isUp: boolean, after: EventPosition | undefined): string[] {
  const conditions: string[] = [];
  const [lowest, highest] = isUp ? [filter.beginUs, filter.endUs] : [filter.endUs, filter.beginUs];
  if (lowest !== undefined) conditions.push(`e.at_us >= ${values.add(lowest)}`);
  if (highest !== undefined) conditions.push(`e.at_us <= ${values.add(highest)}`);
  if (after !== undefined) conditions.push(`(e.at_us, e.id) ${isUp ? '>' : '<'} (${values.add(after.atUs)}, ${values.add(after.id)})`);
  return conditions;
}

/** The ids that such times have, for the sake of the partitions. What came from the other driver has ids without a day. */
function dayConditions(values: Values, filter: EventFilter, isUp: boolean, after: EventPosition | undefined): (table: string) => string[] {
  const [lowest, highest] = isUp ? [filter.beginUs, filter.endUs] : [filter.endUs, filter.beginUs];
  const fromUs = isUp ? Math.max(lowest ?? 0, after?.atUs ?? 0) : (lowest ?? 0);
  const toUs = isUp ? highest : minimum(highest, after?.atUs);
  const from = fromUs > 0 ? values.add(idBefore(fromUs / 1000)) : undefined;
  const to = toUs === undefined ? undefined : values.add(firstIdOfDay(dayOf(toUs / 1000) + 2));
  return (table) => [
    ...(from === undefined ? [] : [`(${table}.id >= ${from} OR ${table}.id < ${firstIdOfDay(1)})`]),
    ...(to === undefined ? [] : [`${table}.id < ${to}`]),
  ];
}

function minimum(one: number | undefined, two: number | undefined): number | undefined {
  return one === undefined ? two : two === undefined ? one : Math.min(one, two);
}

/**
 * The count goes through the queue, which the indexes of what waits hold alone; the rest is asked for the few domains that are shown: when each is looked at next and
 * why not before, which a parked bucket knows better than its recipients.
 */
const WAITING_BY_DOMAIN = `SELECT w.*, n.*, (SELECT m.created_ms FROM recipient r JOIN message m ON m.id = r.message WHERE r.id = w.first) AS oldest FROM (
    SELECT b.domain AS domain, sum(q.queued) AS queued, sum(q.leased) AS leased, min(q.first) AS first, min(q.leased_due) AS leased_due
    FROM (SELECT bucket, count(*) AS queued, 0 AS leased, min(id) AS first, NULL::bigint AS leased_due FROM recipient WHERE state = 0 GROUP BY bucket
          UNION ALL SELECT bucket, 0, count(*), min(id), min(due_ms) FROM recipient WHERE state = 1 GROUP BY bucket) q
    JOIN bucket b ON b.id = q.bucket GROUP BY b.domain ORDER BY sum(q.queued) + sum(q.leased) DESC, b.domain LIMIT $1
  ) w LEFT JOIN LATERAL (
    SELECT b.shown_ms, b.wait AS shown_wait, r.due_ms, r.wait FROM bucket b
    CROSS JOIN LATERAL (SELECT due_ms, wait FROM recipient WHERE bucket = b.id AND state = 0 ORDER BY due_ms LIMIT 1) r
    WHERE b.domain = w.domain AND b.look_ms IS NOT NULL ORDER BY b.look_ms LIMIT 1
  ) n ON true ORDER BY w.queued + w.leased DESC, w.domain`;

function depthOf(row: Row): QueueDepth {
  const isParked = Number(row['shown_ms']) > Number(row['due_ms']);
  const [nextMs, wait] = isParked ? [row['shown_ms'], row['shown_wait']] : [row['due_ms'], row['wait']];
  return {
    domain: String(row['domain']),
    queued: Number(row['queued']),
    leased: Number(row['leased']),
    // Recipients get their ids in the order of acceptance, day by day.
    oldestMs: Number(row['oldest']),
    nextDueAtMs: Number(nextMs ?? row['leased_due']),
    wait: (wait ?? 'due') as WaitReason,
  };
}
