/**
 * Claims (S1 → S2): recipients that are due, out of the buckets that were asked for, the earliest first, each to one node: rows that another node is just taking are passed by. No
 * bucket is locked for that. A bucket that had fewer than were asked for is then looked at again when the earliest of what is left is due.
 */
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import { MESSAGE_COLUMNS, messageOf, RECIPIENT_COLUMNS, recipientOf, type Row } from '#store/rows-json.ts';
import type { Claimed, SuppressionKind } from '#store/store.ts';
import { stoppedBy } from '#store/suppression-rows.ts';
import { int4Array, int8Array } from './arrays.ts';
import { raise } from './buckets.ts';
import { type Link, retryingClashes } from './database.ts';
import type { Leases } from './leases.ts';
import type { Parking } from './parking.ts';

/** A last attempt that is due when the time ends is left to its lane this long. */
const LAST_CHANCE_MS = 60_000;

/** `taken`: rows of recipients with `n`, their place. What a message tells is sent with the first of its recipients alone. */
const WITH_MESSAGES = `SELECT ${RECIPIENT_COLUMNS}, ${MESSAGE_COLUMNS.replace('m.info AS m_info', 'CASE WHEN row_number() OVER (PARTITION BY r.message ORDER BY r.n, r.due_ms, r.id) = 1 THEN m.info END AS m_info')},
    r.bucket AS r_bucket, (SELECT s.kind || ' ' || s.tags FROM suppression s WHERE s.domain_id = m.domain_id AND lower(s.address) = lower(r.address) ORDER BY s.kind LIMIT 1) AS s_first, b.wait AS p_wait
  FROM taken r LEFT JOIN message m ON m.id = r.message LEFT JOIN domain d ON d.id = m.domain_id LEFT JOIN bucket b ON b.id = r.bucket ORDER BY r.n, r.due_ms, r.id`;

const CLAIM = `WITH picked AS (
    SELECT p.id, q.n FROM unnest($1::bigint[], $2::integer[]) WITH ORDINALITY AS q (bucket, room, n) CROSS JOIN LATERAL (
      SELECT r.id FROM recipient r WHERE r.state = 0 AND r.bucket = q.bucket AND r.due_ms <= $3::bigint ORDER BY r.due_ms LIMIT q.room FOR UPDATE SKIP LOCKED) p),
  taken AS (UPDATE recipient r SET state = 1, node = $4::bigint, epoch = r.epoch + 1 FROM picked p WHERE r.id = p.id RETURNING r.*, p.n)
${WITH_MESSAGES}`;

const CLAIM_EXPIRED = `WITH picked AS (
    SELECT r.id FROM recipient r WHERE r.state = 0 AND r.expires_ms <= $1::bigint AND (r.due_ms <> r.expires_ms OR r.expires_ms <= $1::bigint - ${LAST_CHANCE_MS})
    ORDER BY r.expires_ms LIMIT $2::bigint FOR UPDATE SKIP LOCKED),
  taken AS (UPDATE recipient r SET state = 1, node = $3::bigint, epoch = r.epoch + 1 FROM picked p WHERE r.id = p.id RETURNING r.*, 1 AS n)
${WITH_MESSAGES}`;

const UNPARK = "UPDATE bucket SET parked_ms = 0, shown_ms = 0, wait = 'due' WHERE id = ANY($1::bigint[]) AND wait <> 'due'";

export interface ClaimerOptions {
  /** Claims' own connection: they come one after the other. */
  readonly link: Link;
  readonly node: () => number;
  readonly leases: Leases;
  readonly parking: Parking;
}

type Claims = Map<number, { message: Claimed['message']; recipients: Claimed['recipients'][number][] }>;

export class ClaimReader {
  readonly #options: ClaimerOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ClaimerOptions) {
    this.#options = options;
  }

  claim(requests: readonly { readonly bucket: number; readonly room: number }[], nowMs: number): Promise<Claimed[]> {
    return this.#inTurn(() => this.#claim(requests, nowMs));
  }

  claimExpired(nowMs: number, limit: number): Promise<Claimed[]> {
    return this.#inTurn(async () => {
      const { link, node } = this.#options;
      return this.#claimed(await retryingClashes(() => link.all(CLAIM_EXPIRED, Math.floor(nowMs), limit, node())));
    });
  }

  /** What was asked for is answered. */
  async close(): Promise<void> {
    await this.#last;
  }

  async #claim(requests: readonly { readonly bucket: number; readonly room: number }[], nowMs: number): Promise<Claimed[]> {
    const { link, node, parking } = this.#options;
    const asked = requests.map(({ bucket, room }) => ({ bucket, room: Math.max(0, room), parkedFor: parking.unpark(bucket) }));
    const rows = await retryingClashes(() =>
      link.all(CLAIM, int8Array(asked.map(({ bucket }) => bucket)), int4Array(asked.map(({ room }) => room)), Math.floor(nowMs), node()),
    );
    const counts = new Map<number, number>();
    const noted = new Set<number>();
    for (const row of rows) {
      const bucket = Number(row['r_bucket']);
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
      if (row['p_wait'] !== 'due') noted.add(bucket);
    }
    const emptied = asked.filter(({ bucket, room }) => (counts.get(bucket) ?? 0) < room).map(({ bucket }) => bucket);
    if (emptied.length > 0) await link.transaction((queries) => raise(queries, emptied));
    const full = [...noted].filter((bucket) => !emptied.includes(bucket));
    if (full.length > 0) await link.run(UNPARK, int8Array(full));
    return this.#claimed(rows, new Map(asked.map(({ bucket, parkedFor }) => [bucket, parkedFor])));
  }

  #claimed(rows: readonly Row[], parkedFor: ReadonlyMap<number, WaitReason | undefined> = new Map()): Claimed[] {
    const claims: Claims = new Map();
    for (const row of rows) {
      const recipient: StoredRecipient = recipientOf(row);
      let claim = claims.get(recipient.message);
      if (claim === undefined) {
        if (row['m_id'] === null) throw new Error(`recipient ${recipient.id} has no message`);
        claim = { message: messageOf(row), recipients: [] };
        claims.set(recipient.message, claim);
      }
      const kind = suppressedKind(row['s_first'], claim.message);
      const bucket = Number(row['r_bucket']);
      const wait = parkedFor.has(bucket) ? (parkedFor.get(bucket) ?? (row['p_wait'] as WaitReason)) : 'due';
      claim.recipients.push({
        ...recipient,
        ...(kind !== undefined && { suppressed: kind }),
        ...(wait !== 'due' && { parkedFor: wait }),
      });
      this.#options.leases.add(recipient.id, recipient.epoch);
    }
    return [...claims.values()];
  }

  /** Two that ask at once get one after the other what is there, not both a part of it. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined); // whoever asked is told
    return turn;
  }
}

/** `first`: kind and tags of the address's first suppression, in the order of kinds. */
function suppressedKind(first: unknown, { info }: StoredMessage): SuppressionKind | undefined {
  if (typeof first !== 'string') return undefined;
  const space = first.indexOf(' ');
  return stoppedBy(first.slice(0, space), first.slice(space + 1), () => info.options.tags);
}
