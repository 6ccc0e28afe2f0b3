/**
 * The writes of mail: accept, settle, release, claim, cancel. Each runs inside a transaction that the writer opened and that
 * holds many of them (group commit). Costs per message of 10 KB, one recipient, accept and settle together: about 0.05 ms.
 */
import { EVENT_KINDS, type EventRow } from '#model/event.ts';
import type { MessageInfo } from '#model/message.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import type { AcceptMessage, AcceptResult, Bucket, Claimed, Release, SuppressionKind, Ungranted } from '#store/store.ts';
import { Counting } from './count.ts';
import type { Database, Row } from './database.ts';
import { useGrants } from './grants.ts';
import { endOutboxLeases, outboxClockSetBack, putOutbox } from './outbox.ts';
import type { MessageFacts, PackedNotification, SettlementFacts } from './packed.ts';
import { putFound } from './suppressions.ts';
import { stoppedBy } from '#store/suppression-rows.ts';
import {
  MESSAGE_COLUMNS,
  messageOf,
  tagsOf,
  RECIPIENT_COLUMNS,
  recipientOf,
  STATE_DONE,
  STATE_LEASED,
  STATE_QUEUED,
} from '#store/rows-json.ts';

/** A last attempt that is due when the time ends is left to its lane this long. */
const LAST_CHANCE_MS = 60_000;
/** As the claimer's: less is not worth moving every waiting recipient for. */
const CLOCK_STEP_MS = 1000;
const BUCKET_IDS_MAX = 20_000;

const SUPPRESSED = 'SELECT kind, tags FROM suppression WHERE domain_id = ? AND address = ? ORDER BY kind LIMIT 1';

/** State of the writer's thread: the node it leases for, known bucket ids, and the counters of the transaction that is open. */
export class MailWriter {
  readonly #db: Database;
  readonly #node: number;
  readonly #bucketIds = new Map<string, number>();
  readonly #counting: Counting;

  constructor(db: Database, node: number) {
    this.#db = db;
    this.#node = node;
    this.#counting = new Counting(db);
  }

  accept(facts: string, info: string, content: Uint8Array): AcceptResult | Ungranted {
    const db = this.#db;
    const values = JSON.parse(facts) as MessageFacts;
    const [
      accountId,
      domainId,
      messageId,
      sender,
      createdMs,
      dueAtMs,
      wait,
      expiresAtMs,
      priority,
      recipients,
      counters,
      idempotency,
      uses,
    ] = values;
    const repeat = idempotency === null || idempotency === undefined ? undefined : this.#repeatOf(accountId, createdMs, idempotency);
    if (repeat !== undefined) return repeat;
    if (uses !== null && uses !== undefined && !useGrants(db, uses)) return { kind: 'ungranted' };
    const id = db.insert(
      'INSERT INTO message (account_id, domain_id, message_id, sender, created_ms, expires_ms, priority, recipient_count, info) VALUES (?,?,?,?,?,?,?,?,?)',
      accountId,
      domainId,
      messageId,
      sender,
      createdMs,
      expiresAtMs,
      priority,
      recipients.length,
      info,
    );
    // Under the message's id, which is never given again: caches outside are keyed by it.
    db.run('INSERT INTO content (id, bytes) VALUES (?,?)', id, content);
    const suppressed: [number, SuppressionKind][] = [];
    const tags = tagsOf(info);
    let first = 0;
    let previous: string | undefined;
    let bucket = 0;
    /** With the earliest time that something is due in each. */
    const queuedBuckets = new Map<number, number>();
    for (const [position, [address, domain, isLeased, extra, terms]] of recipients.entries()) {
      const [ownDueMs, ownExpiresMs, ownWait] = terms ?? [dueAtMs, expiresAtMs, wait];
      if (domain !== previous) {
        bucket = this.#bucketId(domain, accountId, priority);
        previous = domain;
      }
      const recipientId = db.insert(
        'INSERT INTO recipient (message, bucket, address, state, due_ms, expires_ms, wait, epoch, node, extra) VALUES (?,?,?,?,?,?,?,?,?,?)',
        id,
        bucket,
        address,
        isLeased ? STATE_LEASED : STATE_QUEUED,
        ownDueMs,
        ownExpiresMs,
        ownWait,
        isLeased ? 1 : 0,
        isLeased ? this.#node : null,
        extra,
      );
      if (position === 0) first = recipientId;
      if (!isLeased) queuedBuckets.set(bucket, Math.min(ownDueMs, queuedBuckets.get(bucket) ?? ownDueMs));
      this.#insertEvent(EVENT_KINDS.accepted, createdMs * 1000, accountId, domainId, id, recipientId, null, tags);
      const kind = this.#suppressed(domainId, address, () => (JSON.parse(info) as MessageInfo).options.tags);
      if (kind !== undefined) suppressed.push([position, kind]);
    }
    for (const [queued, earliestMs] of queuedBuckets) this.#lookAtBucket(queued, earliestMs);
    for (const counter of counters) this.#counting.add(counter, createdMs);
    if (idempotency !== null && idempotency !== undefined) {
      const { key, fingerprint, untilMs } = idempotency;
      db.run(
        'INSERT OR REPLACE INTO idempotency (account_id, key, fingerprint, message, until_ms) VALUES (?,?,?,?,?)',
        accountId,
        key,
        fingerprint,
        id,
        untilMs,
      );
    }
    return { kind: 'accepted', id, contentId: id, firstRecipient: first, suppressed };
  }

  settle(facts: string, detail: string, notification?: PackedNotification): boolean {
    const db = this.#db;
    const values = JSON.parse(facts) as SettlementFacts;
    const [
      recipient,
      epoch,
      accountId,
      domainId,
      message,
      atMs,
      attempts,
      ending,
      dueAtMs,
      wait,
      possibleDuplicate,
      kind,
      counters,
      suppression,
      outbox,
    ] = values;
    const isDone = ending !== null;
    const changed = db.run(
      'UPDATE recipient SET state = ?, ending = ?, due_ms = ?, wait = ?, attempts = ?, possible_duplicate = max(possible_duplicate, ?), node = NULL WHERE id = ? AND epoch = ? AND state = 1',
      isDone ? STATE_DONE : STATE_QUEUED,
      ending,
      // Of one that is done this is when it was settled: retention counts from it.
      isDone ? atMs : (dueAtMs ?? atMs),
      wait ?? 'due',
      attempts,
      possibleDuplicate ? 1 : 0,
      recipient,
      epoch,
    );
    if (changed === 0) return false;
    if (!isDone) this.#lookAtBucketOf(recipient, dueAtMs ?? atMs);
    const tags = counters.map(([, , , , tag]) => tag).filter((tag) => tag !== '');
    this.#insertEvent(EVENT_KINDS[kind], Math.round(atMs * 1000), accountId, domainId, message, recipient, detail, tags);
    if (suppression !== null && suppression !== undefined) putFound(db, domainId, suppression);
    for (const counter of counters) this.#counting.add(counter, atMs);
    if (outbox !== null) putOutbox(db, { accountId, domainId, message, recipient, atMs }, outbox);
    if (notification !== undefined) this.#notify(values, notification);
    return true;
  }

  #notify([recipient, , accountId, domainId, original, atMs]: SettlementFacts, { action, message, content }: PackedNotification): void {
    const accepted = this.accept(...message, content);
    if (accepted.kind !== 'accepted') return;
    this.#insertEvent(
      EVENT_KINDS.notified,
      Math.round(atMs * 1000),
      accountId,
      domainId,
      original,
      recipient,
      JSON.stringify({ dsn: { action, message: accepted.id } }),
    );
  }

  release(release: Release): boolean {
    const changed = this.#db.run(
      'UPDATE recipient SET state = 0, due_ms = ?, wait = ?, node = NULL WHERE id = ? AND epoch = ? AND state = 1',
      release.dueAtMs,
      release.wait,
      release.recipient,
      release.epoch,
    );
    if (changed > 0) this.#lookAtBucketOf(release.recipient, release.dueAtMs);
    return changed > 0;
  }

  claim(requests: readonly { readonly bucket: number; readonly room: number }[], nowMs: number): Claimed[] {
    const claimed = new Map<number, { message: Claimed['message']; recipients: Claimed['recipients'][number][] }>();
    for (const { bucket, room } of requests) {
      const parkedFor = this.#db.get("SELECT wait FROM bucket WHERE id = ? AND wait <> 'due'", bucket)?.['wait'];
      const rows = this.#db.all(
        `UPDATE recipient AS r SET state = 1, node = ?, epoch = epoch + 1 WHERE id IN (SELECT id FROM recipient WHERE state = 0 AND bucket = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?) RETURNING ${RECIPIENT_COLUMNS.replaceAll('r.', '')}`,
        this.#node,
        bucket,
        nowMs,
        Math.max(0, room),
      );
      for (const row of rows) this.#addClaimed(claimed, row, parkedFor);
      this.#db.run(
        "UPDATE bucket SET look_ms = (SELECT min(due_ms) FROM recipient WHERE state = 0 AND bucket = ?), parked_ms = 0, wait = 'due' WHERE id = ?",
        bucket,
        bucket,
      );
    }
    return [...claimed.values()];
  }

  /** Leases recipients whose time is over, whatever their lanes have room for: there is nothing to deliver. */
  claimExpired(nowMs: number, limit: number): Claimed[] {
    const claimed = new Map<number, { message: Claimed['message']; recipients: Claimed['recipients'][number][] }>();
    const rows = this.#db.all(
      `UPDATE recipient SET state = 1, node = ?1, epoch = epoch + 1 WHERE id IN (SELECT id FROM recipient WHERE state = 0 AND expires_ms <= ?2 AND (due_ms <> expires_ms OR expires_ms <= ?2 - ${LAST_CHANCE_MS}) ORDER BY expires_ms LIMIT ?3) RETURNING ${RECIPIENT_COLUMNS.replaceAll('r.', '')}`,
      this.#node,
      nowMs,
      limit,
    );
    for (const row of rows) this.#addClaimed(claimed, row);
    return [...claimed.values()];
  }

  #addClaimed(
    claimed: Map<number, { message: Claimed['message']; recipients: Claimed['recipients'][number][] }>,
    row: Row,
    parkedFor?: Row[string],
  ): void {
    const recipient = recipientOf(row);
    let entry = claimed.get(recipient.message);
    if (entry === undefined) {
      const message = this.#db.get(
        `SELECT ${MESSAGE_COLUMNS} FROM message m LEFT JOIN domain d ON d.id = m.domain_id WHERE m.id = ?`,
        recipient.message,
      );
      if (message === undefined) throw new Error(`recipient ${recipient.id} has no message`);
      entry = { message: messageOf(message), recipients: [] };
      claimed.set(recipient.message, entry);
    }
    const { domainId, info } = entry.message;
    const kind = this.#suppressed(domainId, recipient.address, () => info.options.tags);
    entry.recipients.push({
      ...recipient,
      ...(kind !== undefined && { suppressed: kind }),
      ...(parkedFor !== undefined && { parkedFor: String(parkedFor) as WaitReason }),
    });
  }

  #suppressed(domainId: number, address: string, tags: () => readonly string[]): SuppressionKind | undefined {
    const row = this.#db.get(SUPPRESSED, domainId, address);
    return row === undefined ? undefined : stoppedBy(String(row['kind']), String(row['tags']), tags);
  }

  parkBucket(bucket: number, untilMs: number, wait: string): void {
    this.#db.run('UPDATE bucket SET look_ms = ?1, parked_ms = ?1, wait = ?2 WHERE id = ?3 AND look_ms IS NOT NULL', untilMs, wait, bucket);
  }

  /** Rare, and as long as the queue: every recipient that is not due yet is moved. */
  clockSetBack(byMs: number, nowMs: number): void {
    this.#db.run("UPDATE recipient SET due_ms = due_ms - ? WHERE state = 0 AND due_ms > ? AND wait <> 'scheduled'", byMs, nowMs);
    this.#db.run(
      'UPDATE bucket SET parked_ms = max(0, parked_ms - ?1), look_ms = max((SELECT min(due_ms) FROM recipient WHERE bucket = bucket.id AND state = 0), parked_ms - ?1) WHERE look_ms IS NOT NULL',
      byMs,
    );
    outboxClockSetBack(this.#db, byMs, nowMs);
  }

  /** For the start: what was written last lies in the future when the clock was set back meanwhile. */
  followClock(nowMs: number): void {
    const lastMs = Number(this.#db.get('SELECT at_us FROM event ORDER BY id DESC LIMIT 1')?.['at_us'] ?? 0) / 1000;
    if (lastMs > nowMs + CLOCK_STEP_MS) this.clockSetBack(Math.round(lastMs - nowMs), nowMs);
  }

  /** What is queued of one message. */
  cancel(accountId: number, domainId: number, message: number, nowMs: number): number {
    const rows = this.#db.all(
      'SELECT r.id AS id FROM message m JOIN recipient r ON r.message = m.id WHERE m.id = ? AND m.account_id = ? AND m.domain_id = ? AND r.state = 0',
      message,
      accountId,
      domainId,
    );
    return this.cancelRecipients(
      accountId,
      domainId,
      rows.map((row) => Number(row['id'])),
      nowMs,
    );
  }

  /** Those of them that are still queued; `ids` were found as the account's and domain's own (`queuedOfDomain`). */
  cancelRecipients(accountId: number, domainId: number, ids: readonly number[], nowMs: number): number {
    let cancelled = 0;
    for (const id of ids) {
      const row = this.#db.get(
        "UPDATE recipient SET state = 2, ending = 'cancelled', due_ms = ? WHERE id = ? AND state = 0 RETURNING message",
        nowMs,
        id,
      );
      if (row === undefined) continue;
      cancelled++;
      this.#insertEvent(EVENT_KINDS.cancelled, nowMs * 1000, accountId, domainId, Number(row['message']), id, null);
    }
    return cancelled;
  }

  appendEvent(event: Omit<EventRow, 'id'>): void {
    const { kind, atUs, accountId, domainId, message, recipient, detail } = event;
    const info = this.#db.get('SELECT info FROM message WHERE id = ?', message)?.['info'];
    this.#insertEvent(EVENT_KINDS[kind], atUs, accountId, domainId, message, recipient, JSON.stringify(detail), tagsOf(String(info)));
  }

  /** A former process's leases end: its recipients are due again, and may be repeated (P4). Called once, before anything is leased. */
  recoverLeases(nowMs: number): number {
    const rows = this.#db.all(
      `SELECT r.id AS id, r.message AS message, r.bucket AS bucket, m.account_id AS account_id, m.domain_id AS domain_id FROM recipient r JOIN message m ON m.id = r.message WHERE r.state = 1`,
    );
    const buckets = new Set<number>();
    for (const row of rows) {
      this.#db.run(
        "UPDATE recipient SET state = 0, node = NULL, epoch = epoch + 1, due_ms = ?, wait = 'recovered', possible_duplicate = 1 WHERE id = ?",
        nowMs,
        Number(row['id']),
      );
      buckets.add(Number(row['bucket']));
      this.#insertEvent(
        EVENT_KINDS.recovered,
        nowMs * 1000,
        Number(row['account_id']),
        Number(row['domain_id']),
        Number(row['message']),
        Number(row['id']),
        '{"possibleDuplicate":true}',
      );
    }
    endOutboxLeases(this.#db, nowMs);
    for (const bucket of buckets) this.#lookAtBucket(bucket, nowMs);
    return rows.length;
  }

  /** Writes what the transaction counted; call before each commit. */
  flushCounters(): void {
    this.#counting.flush();
  }

  /** What the transaction learnt must not outlive its rollback. */
  forget(): void {
    this.#counting.forget();
    this.#bucketIds.clear();
  }

  #repeatOf(accountId: number, nowMs: number, idempotency: NonNullable<AcceptMessage['idempotency']>): AcceptResult | undefined {
    const row = this.#db.get(
      'SELECT i.fingerprint AS fingerprint, m.id AS id, m.message_id AS message_id, m.recipient_count AS recipient_count FROM idempotency i JOIN message m ON m.id = i.message WHERE i.account_id = ? AND i.key = ? AND i.until_ms > ?',
      accountId,
      idempotency.key,
      nowMs,
    );
    if (row === undefined) return undefined;
    if (row['fingerprint'] !== idempotency.fingerprint) return { kind: 'conflict' };
    return {
      kind: 'repeat',
      id: Number(row['id']),
      messageId: String(row['message_id']),
      recipientCount: Number(row['recipient_count']),
    };
  }

  #bucketId(domain: string, accountId: number, priority: number): number {
    const key = `${priority} ${accountId} ${domain}`;
    const known = this.#bucketIds.get(key);
    if (known !== undefined) return known;
    const find = 'SELECT id FROM bucket WHERE domain = ? AND account_id = ? AND priority = ?';
    const row = this.#db.get(find, domain, accountId, priority);
    const id =
      row === undefined
        ? this.#db.insert('INSERT INTO bucket (domain, account_id, priority) VALUES (?,?,?)', domain, accountId, priority)
        : Number(row['id']);
    if (this.#bucketIds.size >= BUCKET_IDS_MAX) this.#bucketIds.clear();
    this.#bucketIds.set(key, id);
    return id;
  }

  #lookAtBucket(bucket: number, dueAtMs: number): void {
    this.#db.run(
      'UPDATE bucket SET look_ms = max(?1, parked_ms) WHERE id = ?2 AND (look_ms IS NULL OR look_ms > max(?1, parked_ms))',
      dueAtMs,
      bucket,
    );
  }

  #lookAtBucketOf(recipient: number, dueAtMs: number): void {
    this.#lookAtBucket(Number(this.#db.get('SELECT bucket FROM recipient WHERE id = ?', recipient)?.['bucket']), dueAtMs);
  }

  #insertEvent(
    kind: number,
    atUs: number,
    account: number,
    domain: number,
    message: number,
    recipient: number,
    detail: string | null,
    tags: readonly string[] = [],
  ): void {
    const event = this.#db.insert(
      'INSERT INTO event (kind, at_us, account_id, domain_id, message, recipient, detail) VALUES (?,?,?,?,?,?,?)',
      kind,
      atUs,
      account,
      domain,
      message,
      recipient,
      detail,
    );
    for (const tag of tags) {
      this.#db.run(
        'INSERT OR IGNORE INTO event_tag (domain_id, tag, at_us, event, kind) VALUES (?,?,?,?,?)',
        domain,
        tag.toLowerCase(),
        atUs,
        event,
        kind,
      );
    }
  }
}

/** Recipients that wait for one domain of one account, at most `limit`. Goes by the account's buckets: a long history costs nothing. */
export function queuedOfDomain(db: Database, accountId: number, domainId: number, limit: number): number[] {
  return db
    .all(
      `SELECT r.id AS id FROM bucket b CROSS JOIN recipient r ON r.bucket = b.id AND r.state = 0 CROSS JOIN message m ON m.id = r.message
       WHERE b.account_id = ? AND b.look_ms IS NOT NULL AND m.domain_id = ? LIMIT ?`,
      accountId,
      domainId,
      limit,
    )
    .map((row) => Number(row['id']));
}

/** By priority, then by due time; reads the index of buckets that have something due and nothing else. */
export function dueBuckets(db: Database, nowMs: number, limit: number): Bucket[] {
  const buckets: Bucket[] = [];
  for (const priority of [0, 1, 2] as const) {
    if (buckets.length >= limit) break;
    const rows = db.all(
      'SELECT id, domain, account_id, look_ms FROM bucket WHERE priority = ? AND look_ms <= ? ORDER BY look_ms LIMIT ?',
      priority,
      nowMs,
      limit - buckets.length,
    );
    for (const row of rows) {
      buckets.push({
        id: Number(row['id']),
        domain: String(row['domain']),
        accountId: Number(row['account_id']),
        priority,
        dueAtMs: Number(row['look_ms']),
      });
    }
  }
  return buckets;
}

export function nextDueAtMs(db: Database): number | undefined {
  const row = db.get(
    'SELECT min(v) AS v FROM (SELECT (SELECT min(look_ms) FROM bucket WHERE priority = p.column1 AND look_ms IS NOT NULL) AS v FROM (VALUES (0), (1), (2)) p)',
  );
  return row === undefined || row['v'] === null ? undefined : Number(row['v']);
}
