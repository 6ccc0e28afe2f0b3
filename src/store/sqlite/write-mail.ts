/**
 * The writes of mail: accept, settle, release, claim, cancel. Each runs inside a transaction that the writer opened and that
 * holds many of them (group commit). Costs per message of 10 KB, one recipient, accept and settle together: about 0.05 ms.
 */
import { EVENT_KINDS, type EventDetail, type EventRow } from '#model/event.ts';
import type { Ending, MessageInfo } from '#model/message.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import type { Received } from '#store/fact-store.ts';
import type { AcceptMessage, AcceptResult, Claimed, Release, SuppressionKind, Ungranted } from '#store/store.ts';
import { Buckets } from './buckets.ts';
import { Counting } from './count.ts';
import type { Database, Row } from './database.ts';
import { appendEvent, insertEvent } from './event-rows.ts';
import { useGrants } from './grants.ts';
import { endOutboxLeases, outboxClockSetBack } from './outbox.ts';
import { putOutbox } from './outbox-put.ts';
import type { MessageFacts, PackedFact, PackedNotification, PackedReception, SettlementFacts } from './packed.ts';
import { setSubscribed } from './lists.ts';
import type { ScheduledChoice } from '#store/scheduled-store.ts';
import { moveScheduled, scheduledOf } from './scheduled.ts';
import { putFound } from './suppressions.ts';
import { stoppedBy } from '#store/suppression-rows.ts';
import {
  MESSAGE_COLUMNS,
  messageOf,
  onceKey,
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

type Put = Extract<AcceptResult, { readonly kind: 'accepted' }> & { readonly events: readonly number[] };

const SUPPRESSED = 'SELECT kind, tags FROM suppression WHERE domain_id = ? AND address = ? ORDER BY kind LIMIT 1';

/** State of the writer's thread: the node it leases for, known bucket ids, and the counters of the transaction that is open. */
export class MailWriter {
  readonly #db: Database;
  readonly #node: number;
  readonly #buckets: Buckets;
  readonly #counting: Counting;

  constructor(db: Database, node: number) {
    this.#db = db;
    this.#node = node;
    this.#buckets = new Buckets(db);
    this.#counting = new Counting(db);
  }

  accept(facts: string, info: string, content: Uint8Array): AcceptResult | Ungranted {
    const values = JSON.parse(facts) as MessageFacts;
    const [accountId, , , , createdMs] = values;
    const [idempotency, uses] = [values[11] ?? undefined, values[12] ?? []];
    const repeat = idempotency === undefined ? undefined : this.#repeatOf(accountId, createdMs, idempotency);
    if (repeat !== undefined) return repeat;
    if (uses.length > 0 && !useGrants(this.#db, uses)) return { kind: 'ungranted' };
    const { events: _events, ...accepted } = this.#put(values, info, content, 'to deliver');
    if (idempotency !== undefined) {
      const { key, fingerprint, untilMs } = idempotency;
      this.#db.run(
        'INSERT OR REPLACE INTO idempotency (account_id, key, fingerprint, message, until_ms) VALUES (?,?,?,?,?)',
        accountId,
        key,
        fingerprint,
        accepted.id,
        untilMs,
      );
    }
    return accepted;
  }

  /** Mail that came in, with what tells of it and what is sent on because of it. */
  receive(given: PackedReception, content: Uint8Array): Received | Ungranted {
    const { message, events, outbox, forwards } = given;
    const values = JSON.parse(message[0]) as MessageFacts;
    const sent = forwards.map((forward) => ({ ...forward, values: JSON.parse(forward.message[0]) as MessageFacts }));
    const uses = [values, ...sent.map((forward) => forward.values)].flatMap((each) => each[12] ?? []);
    if (!useGrants(this.#db, uses)) return { kind: 'ungranted' };
    const received = this.#put(values, message[1], content, 'received');
    /** By position, what an entry there tells. */
    const told = new Map(received.events.entries());
    const recipientAt = (position: number): number => (position < 0 ? 0 : received.firstRecipient + position);
    for (const [position, kind, atUs, accountId, domainId, detail] of events) {
      const event = { kind: EVENT_KINDS[kind], atUs, accountId, domainId, message: received.id, recipient: recipientAt(position), detail };
      told.set(position, insertEvent(this.#db, event, tagsOf(message[1])));
    }
    const [accountId, domainId, , , atMs] = values;
    for (const [position, entry] of outbox) {
      const owner = { accountId, domainId, message: received.id, recipient: recipientAt(position), atMs, event: told.get(position) ?? 0 };
      putOutbox(this.#db, owner, [entry]);
    }
    const accepted = sent.map((forward) => {
      const { events: _events, ...rest } = this.#put(forward.values, forward.message[1], forward.content, 'to deliver');
      return rest;
    });
    return { kind: 'received', id: received.id, contentId: received.id, firstRecipient: received.firstRecipient, forwards: accepted };
  }

  /** The message with its recipients and their accepted events, whose ids are given back in their order. */
  #put(values: MessageFacts, info: string, content: Uint8Array, purpose: 'to deliver' | 'received'): Put {
    const db = this.#db;
    const [accountId, domainId, messageId, sender, createdMs, dueAtMs, wait, expiresAtMs, priority, recipients, counters] = values;
    const outbox = values[13] ?? undefined;
    const isReceived = purpose === 'received';
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
    const events: number[] = [];
    const tags = tagsOf(info);
    let first = 0;
    let previous: string | undefined;
    let bucket = 0;
    /** With the earliest time that something is due in each. */
    const queuedBuckets = new Map<number, number>();
    for (const [position, [address, domain, isLeased, extra, terms]] of recipients.entries()) {
      const [ownDueMs, ownExpiresMs, ownWait] = terms ?? [dueAtMs, expiresAtMs, wait];
      if (domain !== previous) {
        bucket = this.#buckets.idOf(domain, accountId, priority);
        previous = domain;
      }
      const isOurs = isLeased && !isReceived;
      const recipient = db.insert(
        'INSERT INTO recipient (message, bucket, address, state, ending, due_ms, expires_ms, wait, epoch, node, extra, scheduled_domain) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)',
        id,
        bucket,
        address,
        isReceived ? STATE_DONE : isOurs ? STATE_LEASED : STATE_QUEUED,
        isReceived ? ('received' satisfies Ending) : null,
        isReceived ? createdMs : ownDueMs,
        ownExpiresMs,
        ownWait,
        isOurs ? 1 : 0,
        isOurs ? this.#node : null,
        extra,
        ownWait === 'scheduled' ? domainId : null,
      );
      if (position === 0) first = recipient;
      if (!isOurs && !isReceived) queuedBuckets.set(bucket, Math.min(ownDueMs, queuedBuckets.get(bucket) ?? ownDueMs));
      const facts = { kind: EVENT_KINDS.accepted, atUs: createdMs * 1000, accountId, domainId, message: id, recipient, detail: null };
      const event = insertEvent(db, facts, tags);
      events.push(event);
      if (outbox !== undefined) putOutbox(db, { accountId, domainId, message: id, recipient, atMs: createdMs, event }, outbox);
      if (isReceived) continue;
      const kind = this.#suppressed(domainId, address, () => (JSON.parse(info) as MessageInfo).options.tags);
      if (kind !== undefined) suppressed.push([position, kind]);
    }
    for (const [queued, earliestMs] of queuedBuckets) this.#buckets.lookAt(queued, earliestMs);
    for (const counter of counters) this.#counting.add(counter, createdMs);
    return { kind: 'accepted', id, contentId: id, firstRecipient: first, suppressed, events };
  }

  /** What came back. The same for one recipient counts once where it says so. */
  record(facts: string, detail: string): 'recorded' | 'repeated' {
    const db = this.#db;
    const { event, once, suppression, leaves, counters, firstCounters, firstOf, outbox } = JSON.parse(facts) as PackedFact;
    const { kind, atUs, accountId, domainId, message, recipient } = event;
    const atMs = Math.floor(atUs / 1000);
    if (once !== undefined && !isFirst(db, event, once)) return 'repeated';
    const isFirstOfKind = firstCounters !== undefined && isFirst(db, event, `first ${kind}`);
    const id = appendEvent(db, { ...event, detail: { ...(JSON.parse(detail) as EventDetail), ...(isFirstOfKind && { isFirst: true }) } });
    if (suppression !== undefined) putFound(db, domainId, suppression);
    if (leaves !== undefined) setSubscribed(db, leaves.list, leaves.address, false);
    const ofMark = firstOf !== undefined && isFirst(db, event, `first ${kind} ${firstOf.mark}`) ? firstOf.counters : [];
    for (const counter of [...counters, ...(isFirstOfKind ? firstCounters : []), ...ofMark]) this.#counting.add(counter, atMs);
    if (outbox !== undefined) putOutbox(db, { accountId, domainId, message, recipient, atMs, event: id }, outbox);
    return 'recorded';
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
    if (!isDone) this.#buckets.lookAtThatOf(recipient, dueAtMs ?? atMs);
    const tags = counters.map(([, , , , tag]) => tag).filter((tag) => tag !== '');
    const told = { kind: EVENT_KINDS[kind], atUs: Math.round(atMs * 1000), accountId, domainId, message, recipient, detail };
    const event = insertEvent(db, told, tags);
    if (suppression !== null && suppression !== undefined) putFound(db, domainId, suppression);
    for (const counter of counters) this.#counting.add(counter, atMs);
    if (outbox !== null) putOutbox(db, { accountId, domainId, message, recipient, atMs, event }, outbox);
    if (notification !== undefined) this.#notify(values, notification);
    return true;
  }

  #notify([recipient, , accountId, domainId, original, atMs]: SettlementFacts, { action, message, content }: PackedNotification): void {
    const accepted = this.accept(...message, content);
    if (accepted.kind !== 'accepted') return;
    insertEvent(this.#db, {
      kind: EVENT_KINDS.notified,
      atUs: Math.round(atMs * 1000),
      accountId,
      domainId,
      message: original,
      recipient,
      detail: JSON.stringify({ dsn: { action, message: accepted.id } }),
    });
  }

  release(release: Release): boolean {
    const changed = this.#db.run(
      'UPDATE recipient SET state = 0, due_ms = ?, wait = ?, node = NULL WHERE id = ? AND epoch = ? AND state = 1',
      release.dueAtMs,
      release.wait,
      release.recipient,
      release.epoch,
    );
    if (changed > 0) this.#buckets.lookAtThatOf(release.recipient, release.dueAtMs);
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
      const message = Number(row['message']);
      insertEvent(this.#db, { kind: EVENT_KINDS.cancelled, atUs: nowMs * 1000, accountId, domainId, message, recipient: id, detail: null });
    }
    return cancelled;
  }

  moveScheduled(choice: ScheduledChoice, dueAtMs: number, nowMs: number): number {
    return moveScheduled(this.#db, this.#buckets, choice, dueAtMs, nowMs);
  }

  cancelScheduled(choice: ScheduledChoice, nowMs: number): number {
    const ids = scheduledOf(this.#db, choice).map((row) => Number(row['id']));
    return this.cancelRecipients(choice.accountId, choice.domainId, ids, nowMs);
  }

  appendEvent(event: Omit<EventRow, 'id'>): void {
    appendEvent(this.#db, event);
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
      insertEvent(this.#db, {
        kind: EVENT_KINDS.recovered,
        atUs: nowMs * 1000,
        accountId: Number(row['account_id']),
        domainId: Number(row['domain_id']),
        message: Number(row['message']),
        recipient: Number(row['id']),
        detail: '{"possibleDuplicate":true}',
      });
    }
    endOutboxLeases(this.#db, nowMs);
    for (const bucket of buckets) this.#buckets.lookAt(bucket, nowMs);
    return rows.length;
  }

  /** Writes what the transaction counted; call before each commit. */
  flushCounters(): void {
    this.#counting.flush();
  }

  /** Call before a tag is deleted. */
  tagGoes(): void {
    this.#counting.tagGoes();
  }

  /** What the transaction learnt must not outlive its rollback. */
  forget(): void {
    this.#counting.forget();
    this.#buckets.forget();
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
}

/** That it is the first of the key, for the recipient or else the message; where neither is known every one is. */
function isFirst(db: Database, { recipient, message, atUs }: Pick<EventRow, 'recipient' | 'message' | 'atUs'>, key: string): boolean {
  const subject = recipient > 0 ? recipient : message;
  if (subject === 0) return true;
  const own = onceKey(recipient, key);
  return db.run('INSERT OR IGNORE INTO fact_once (recipient, key, at_ms) VALUES (?,?,?)', subject, own, Math.floor(atUs / 1000)) === 1;
}
