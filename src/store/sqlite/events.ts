/** Reading what happened: events by domain, messages with their recipients and events, and the depth of the queue. */
import { EVENT_KINDS, type EventKind } from '#model/event.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import type { EventFilter, EventPosition, EventStore, EventView, MessageView, QueueDepth } from '#store/store.ts';
import { rareKinds } from '#store/rare-kinds.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Row, Value } from './database.ts';
import { EVENT_COLUMNS, eventOf, MESSAGE_COLUMNS, messageOf, RECIPIENT_COLUMNS, recipientOf } from '#store/rows-json.ts';

const RECIPIENTS_MAX = 1000;
const EVENTS_PER_MESSAGE_MAX = 5000;

const MESSAGE = `SELECT ${MESSAGE_COLUMNS} FROM message m LEFT JOIN domain d ON d.id = m.domain_id`;
const EVENT_VIEW = `SELECT ${EVENT_COLUMNS}, ${MESSAGE_COLUMNS}, ${RECIPIENT_COLUMNS} FROM event e
  LEFT JOIN message m ON m.id = e.message LEFT JOIN domain d ON d.id = m.domain_id LEFT JOIN recipient r ON r.id = e.recipient`;

function viewOf(row: Row): EventView {
  return {
    event: eventOf(row),
    message: row['m_id'] === null ? undefined : messageOf(row),
    recipient: row['r_id'] === null ? undefined : recipientOf(row),
  };
}

export function eventTables(db: Database): Synchronous<EventStore> {
  const messageView = (row: Row | undefined, recipientsMax = RECIPIENTS_MAX): MessageView | undefined => {
    if (row === undefined) return undefined;
    const message = messageOf(row);
    return {
      message,
      recipients: db
        .all(
          `SELECT ${RECIPIENT_COLUMNS}, b.look_ms AS b_look, b.wait AS b_wait FROM recipient r LEFT JOIN bucket b ON b.id = r.bucket WHERE r.message = ? ORDER BY r.id LIMIT ?`,
          message.id,
          recipientsMax,
        )
        .map(recipientOf),
      events: db
        .all(`SELECT ${EVENT_COLUMNS} FROM event e WHERE e.message = ? ORDER BY e.at_us, e.id LIMIT ?`, message.id, EVENTS_PER_MESSAGE_MAX)
        .map(eventOf),
    };
  };
  return {
    list: (filter, order, after, limit) => listEvents(db, filter, order, after, limit),
    messageById: (accountId, id, recipientsMax) =>
      messageView(db.get(`${MESSAGE} WHERE m.id = ?1 AND (?2 IS NULL OR m.account_id = ?2)`, id, accountId ?? null), recipientsMax),
    messageByMessageId: (accountId, messageId, recipientsMax) =>
      messageView(
        db.get(
          `${MESSAGE} WHERE m.message_id = ?1 AND (?2 IS NULL OR m.account_id = ?2) ORDER BY m.id DESC LIMIT 1`,
          messageId,
          accountId ?? null,
        ),
        recipientsMax,
      ),
    // One row per recipient, with its latest event.
    recipientsByAddress: (accountId, address, limit) =>
      db
        .all(
          `SELECT ${EVENT_COLUMNS}, ${MESSAGE_COLUMNS}, ${RECIPIENT_COLUMNS} FROM recipient r JOIN message m ON m.id = r.message
           LEFT JOIN domain d ON d.id = m.domain_id
           JOIN event e ON e.id = (SELECT max(x.id) FROM event x WHERE x.message = r.message AND x.recipient IN (0, r.id))
           WHERE r.address = ?1 AND (?2 IS NULL OR m.account_id = ?2) ORDER BY r.id DESC LIMIT ?3`,
          address,
          accountId ?? null,
          limit,
        )
        .map(viewOf),
    latestMessages: (accountId, limit) =>
      (accountId === undefined
        ? db.all(`${MESSAGE} ORDER BY m.id DESC LIMIT ?`, limit)
        : db.all(`${MESSAGE} WHERE m.account_id = ? ORDER BY m.id DESC LIMIT ?`, accountId, limit)
      ).map((row) => messageView(row, 20) as MessageView),
    recipientById(id) {
      const row = db.get(
        `SELECT ${MESSAGE_COLUMNS}, ${RECIPIENT_COLUMNS} FROM recipient r JOIN message m ON m.id = r.message LEFT JOIN domain d ON d.id = m.domain_id WHERE r.id = ?`,
        id,
      );
      return row === undefined ? undefined : { message: messageOf(row), recipient: recipientOf(row) };
    },
    queueByDomain: (_nowMs, limit) => queueByDomain(db, limit),
    // In one statement, so that what is leased between two is not counted twice.
    queueDepth() {
      const row = db.get(
        'SELECT (SELECT count(*) FROM recipient WHERE state = 0) AS queued, (SELECT count(*) FROM recipient WHERE state = 1) AS leased',
      );
      return { queued: Number(row?.['queued']), leased: Number(row?.['leased']) };
    },
  };
}

/** Events of a tag, under the names that events have. */
const TAGGED = '(SELECT domain_id, tag, at_us, event AS id, kind FROM event_tag)';

function listEvents(
  db: Database,
  filter: EventFilter,
  order: 'ascending' | 'descending',
  after: EventPosition | undefined,
  limit: number,
): EventView[] {
  const direction = order === 'ascending' ? 'ASC' : 'DESC';
  const sorted = `ORDER BY e.at_us ${direction}, e.id ${direction} LIMIT ?`;
  // A message or an address has few events, a domain has millions: they are never looked for by the domain.
  const isNarrow = filter.messageId !== undefined || filter.recipient !== undefined;
  const domains = filter.domainIds ?? [filter.domainId];
  const byTag = filter.tag !== undefined && !isNarrow;
  const rare = isNarrow || byTag ? undefined : rareKinds(filter.kinds);
  const given = { filter, isUp: order === 'ascending', after };
  if (isNarrow || (domains.length === 1 && rare === undefined && !byTag)) {
    const { where, values } = conditions({ ...given, domains, isNarrow });
    return db.allOnce(`${EVENT_VIEW} WHERE ${where} ${sorted}`, ...values, limit).map(viewOf);
  }
  // The first of each domain and rare kind, and the first of those.
  const sign = given.isUp ? 1 : -1;
  const found = domains
    .flatMap((domain) => (rare ?? [undefined]).map((kind) => conditions({ ...given, domains: [domain], isNarrow, kind })))
    .flatMap(({ where, values }) =>
      db.allOnce(`SELECT e.at_us AS at_us, e.id AS id FROM ${byTag ? TAGGED : 'event'} e WHERE ${where} ${sorted}`, ...values, limit),
    )
    .map((row) => ({ atUs: Number(row['at_us']), id: Number(row['id']) }))
    .toSorted((a, b) => sign * (a.atUs - b.atUs || a.id - b.id))
    .slice(0, limit);
  if (found.length === 0) return [];
  return db.allOnce(`${EVENT_VIEW} WHERE e.id IN (${found.map(({ id }) => id).join(',')}) ${sorted}`, limit).map(viewOf);
}

interface Asked {
  readonly filter: EventFilter;
  readonly isUp: boolean;
  readonly after: EventPosition | undefined;
  readonly domains: readonly number[];
  readonly isNarrow: boolean;
  /** A rare one, and no other. */
  readonly kind?: EventKind | undefined;
}

function conditions({ filter, isUp, after, domains, isNarrow, kind }: Asked): {
  readonly where: string;
  readonly values: readonly Value[];
} {
  // The plus keeps SQLite from going by the index of domains.
  const where = [`${isNarrow ? '+' : ''}e.domain_id IN (${domains.map(() => '?').join(',') || 'NULL'})`];
  const values: Value[] = [...domains];
  const add = (condition: string, ...more: Value[]): void => {
    where.push(condition);
    values.push(...more);
  };
  const isByTag = filter.tag !== undefined && !isNarrow;
  add(isByTag ? '(SELECT d.account_id FROM domain d WHERE d.id = e.domain_id) = ?' : 'e.account_id = ?', filter.accountId);
  if (filter.beginUs !== undefined) add(isUp ? 'e.at_us >= ?' : 'e.at_us <= ?', filter.beginUs);
  if (filter.endUs !== undefined) add(isUp ? 'e.at_us <= ?' : 'e.at_us >= ?', filter.endUs);
  if (after !== undefined) add(`(e.at_us, e.id) ${isUp ? '>' : '<'} (?, ?)`, after.atUs, after.id);
  if (kind !== undefined) add(`e.kind = ? AND e.kind > ${EVENT_KINDS.delivered}`, EVENT_KINDS[kind]);
  else if (filter.kinds !== undefined) {
    add(`e.kind IN (${filter.kinds.map(() => '?').join(',') || 'NULL'})`, ...filter.kinds.map((one) => EVENT_KINDS[one]));
  }
  if (filter.tag !== undefined) {
    const ofEvent = 'e.id IN (SELECT t.event FROM event_tag t WHERE t.domain_id = e.domain_id AND t.tag = ? AND t.at_us = e.at_us)';
    add(isByTag ? 'e.tag = ?' : ofEvent, filter.tag.toLowerCase());
  }
  if (filter.messageId !== undefined) {
    add(`e.message IN (SELECT id FROM message WHERE message_id = ? AND account_id = ?)`, filter.messageId, filter.accountId);
  }
  if (filter.recipient !== undefined) {
    add('e.message IN (SELECT message FROM recipient WHERE address = ?) AND r.address = ?', filter.recipient, filter.recipient);
  }
  return { where: where.join(' AND '), values };
}

const WAITING_BY_DOMAIN = `SELECT b.domain AS domain, sum(q.queued) AS queued, sum(q.leased) AS leased, min(q.first) AS first, min(q.leased_due) AS leased_due
  FROM (SELECT bucket, count(*) AS queued, 0 AS leased, min(id) AS first, NULL AS leased_due FROM recipient WHERE state = 0 GROUP BY bucket
        UNION ALL SELECT bucket, 0, count(*), min(id), min(due_ms) FROM recipient WHERE state = 1 GROUP BY bucket) q
  JOIN bucket b ON b.id = q.bucket GROUP BY b.domain ORDER BY sum(q.queued) + sum(q.leased) DESC, b.domain LIMIT ?`;

/** Counts by the index of queued recipients alone; what only their rows tell is asked for the few domains that are shown. */
function queueByDomain(db: Database, limit: number): QueueDepth[] {
  return db.all(WAITING_BY_DOMAIN, limit).map((row) => {
    const domain = String(row['domain']);
    const next = nextOfDomain(db, domain);
    return {
      domain,
      queued: Number(row['queued']),
      leased: Number(row['leased']),
      // Recipients get their ids in the order of acceptance.
      oldestMs: Number(
        db.get('SELECT m.created_ms AS ms FROM recipient r JOIN message m ON m.id = r.message WHERE r.id = ?', Number(row['first']))?.[
          'ms'
        ],
      ),
      nextDueAtMs: next?.dueAtMs ?? Number(row['leased_due']),
      wait: next?.wait ?? 'due',
    };
  });
}

/** When the domain is looked at next, and why not before. A parked bucket knows that better than its recipients. */
function nextOfDomain(db: Database, domain: string): { readonly dueAtMs: number; readonly wait: WaitReason } | undefined {
  const bucket = db.get(
    'SELECT id, look_ms, parked_ms, wait FROM bucket WHERE domain = ? AND look_ms IS NOT NULL ORDER BY look_ms LIMIT 1',
    domain,
  );
  if (bucket === undefined) return undefined;
  const first = db.get('SELECT due_ms, wait FROM recipient WHERE bucket = ? AND state = 0 ORDER BY due_ms LIMIT 1', Number(bucket['id']));
  if (first === undefined) return undefined;
  const isParked = Number(bucket['parked_ms']) > Number(first['due_ms']);
  return {
    dueAtMs: Number(isParked ? bucket['parked_ms'] : first['due_ms']),
    wait: String(isParked ? bucket['wait'] : first['wait']) as WaitReason,
  };
}
