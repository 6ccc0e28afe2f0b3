/**
 * Opens the store on PostgreSQL. A server is a node among others: it has a row, leases under its id, and a bell. It has connections of its own for accepting, for settling,
 * for claiming and for the bell, and a pool for what is read and rarely written. A tool (the command line) has the pool alone and leases nothing.
 */
import { randomHex } from '#base/random.ts';
import type { EventRow } from '#model/event.ts';
import { type MailStore, type NodeFacts, type Store, StoreError } from '#store/store.ts';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';
import { Acceptor } from './accept.ts';
import { accessTables } from './access.ts';
import { accountTables } from './accounts.ts';
import { alertTables } from './alerts.ts';
import { certificateTables } from './certificates.ts';
import { Bell } from './bell.ts';
import { BucketIds } from './buckets.ts';
import { cancel, type CancelTools, isFirstToMove, moveDueTimes } from './cancel.ts';
import { ClaimReader } from './claim.ts';
import { readContent } from './contents.ts';
import { Database, Link } from './database.ts';
import { domainTables } from './domains.ts';
import { egressTables } from './egress.ts';
import { insertEvents } from './event-rows.ts';
import { eventTables } from './events.ts';
import { FactWriter } from './facts.ts';
import { grantTables, useGrants } from './grants.ts';
import { Health } from './health.ts';
import { dayOf, firstIdOfDay, Ids } from './ids.ts';
import { Leases } from './leases.ts';
import { listTables } from './lists.ts';
import { migrate } from './migrate.ts';
import { Nodes } from './nodes.ts';
import { outboxClockSetBack, outboxTables } from './outbox.ts';
import { OutboxSettler } from './outbox-settle.ts';
import { Parking } from './parking.ts';
import { Partitions } from './partitions.ts';
import { Receiver } from './receive.ts';
import { reportTables } from './reports.ts';
import { Retention } from './retention.ts';
import { forwardTables } from './forwards.ts';
import { routeTables, thresholdTables, webhookTables } from './rules.ts';
import { cancelScheduled, listScheduled, moveScheduled } from './scheduled.ts';
import { sandboxTables } from './sandbox.ts';
import type { ScheduledChoice } from '#store/scheduled-store.ts';
import { statsTables } from './stats.ts';
import { Server } from './server.ts';
import { ReturnWriter } from './settle.ts';
import { importTables, suppressionTables } from './suppressions.ts';
import { templateTables } from './templates.ts';
import { validationTables } from './validations.ts';

export interface PostgresOptions {
  readonly url: string;
  /** Default: tool. */
  readonly mode?: 'server' | 'tool';
  /** When what ended nodes had leased is due again. Default: now, by the clock of the database. */
  readonly nowMs?: number;
  /** What a server says of itself. */
  readonly node?: NodeFacts;
  /** Of a server, in all. */
  readonly connections?: number;
  /** A node that is silent for so long is lost. */
  readonly leaseMs?: number;
  /** Milliseconds that a commit waits for company. Default 1: fewer, larger commits. */
  readonly lingerMs?: number;
  /** The store cannot go on: the process must not either. */
  readonly onFatal?: (error: Error) => void;
}

export interface PostgresStore extends Store {
  /** Recipients whose lease a node held that ended. */
  readonly recovered: number;
}

const LEASE_MS = 20_000;
const CONNECTIONS = 10;
/** Accepting, settling, claiming, the bell. */
const OWN_CONNECTIONS = 4;
/** One that is in a transaction may ask for another. */
const POOL_MIN = 2;

export async function openPostgresStore(options: PostgresOptions): Promise<PostgresStore> {
  const place = storePlace(options.url);
  if (place.kind !== 'postgres') throw new StoreError('io', 'the URL does not name a PostgreSQL');
  const server = new Server(place as PostgresPlace);
  await migrate(server);
  return options.mode === 'server' ? openServer(server, options) : openTool(server, options);
}

async function openTool(server: Server, options: PostgresOptions): Promise<PostgresStore> {
  const parts = new Parts(new Database(server, POOL_MIN), options);
  return { ...parts.families(), recovered: 0, onBell: () => undefined, health: () => parts.health.report(), close: () => parts.close() };
}

async function openServer(server: Server, options: PostgresOptions): Promise<PostgresStore> {
  const pool = Math.max(POOL_MIN, (options.connections ?? CONNECTIONS) - OWN_CONNECTIONS);
  const parts = new Parts(new Database(server, pool), options);
  try {
    await parts.partitions.ensure([dayOf(Date.now())]);
    const recovered = await parts.nodes.register(options.nowMs);
    return {
      ...parts.families(),
      recovered,
      onBell: (ring) => parts.bell.onHeard(ring),
      health: () => parts.health.report(),
      close: () => parts.close(),
    };
  } catch (error) {
    await parts.close().catch(() => undefined); // the first trouble is the one to be told
    throw error;
  }
}

/** Everything that one process has of the store. */
class Parts {
  readonly db: Database;
  readonly ids: Ids;
  readonly partitions: Partitions;
  readonly nodes: Nodes;
  readonly bell: Bell;
  readonly health: Health;
  readonly #leases = new Leases();
  readonly #links: readonly Link[];
  readonly #acceptor: Acceptor;
  readonly #returns: ReturnWriter;
  readonly #receiver: Receiver;
  readonly #facts: FactWriter;
  readonly #told: OutboxSettler;
  readonly #claims: ClaimReader;
  readonly #parking: Parking;
  readonly #retention: Retention;
  #closing: Promise<void> | undefined;

  constructor(db: Database, { mode, node, leaseMs = LEASE_MS, lingerMs, onFatal }: PostgresOptions) {
    this.db = db;
    this.ids = new Ids(db);
    this.partitions = new Partitions(db);
    this.bell = new Bell(db.server, db);
    const isServer = mode === 'server';
    const facts = isServer ? (node ?? namelessNode()) : undefined;
    this.nodes = new Nodes(
      {
        db,
        ids: this.ids,
        partitions: this.partitions,
        leases: this.#leases,
        leaseMs,
        ring: () => this.bell.ring(),
        isNode: (id) => this.bell.listen(id),
        onFatal: onFatal ?? (() => undefined),
      },
      facts,
    );
    this.bell.hasHearers = () => this.nodes.hasOthers;
    this.#parking = new Parking(db, () => this.nodes.hasOthers);
    this.#retention = new Retention(db, this.partitions);
    const links = [0, 1, 2].map(() => new Link(db.server, { isHot: true }));
    const [acceptLink, returnLink, claimLink] = links as [Link, Link, Link];
    this.#links = links;
    const common = {
      db,
      ids: this.ids,
      buckets: new BucketIds(),
      partitions: this.partitions,
      node: () => this.nodes.id,
      leases: this.#leases,
      lingerMs: isServer ? (lingerMs ?? 1) : 0,
      ring: () => this.bell.ring(),
    };
    this.#acceptor = new Acceptor({ ...common, link: acceptLink, useGrants });
    this.#returns = new ReturnWriter({ ...common, link: returnLink });
    this.#receiver = new Receiver({ ...common, useGrants });
    this.#facts = new FactWriter(common);
    this.#told = new OutboxSettler(common);
    this.#claims = new ClaimReader({ ...common, link: claimLink, parking: this.#parking });
    this.health = new Health(db, () => Math.max(this.#acceptor.gather.busyMs, this.#returns.gather.busyMs));
    this.health.onRecovered = () => this.nodes.reconcileSoon();
    for (const { gather } of [this.#acceptor, this.#returns, this.#receiver, this.#facts, this.#told])
      gather.onBatch = (ms) => this.health.committed(ms);
  }

  families(): Omit<Store, 'onBell' | 'health' | 'close'> {
    const { db } = this;
    return {
      accounts: accountTables(db),
      access: accessTables(db),
      domains: domainTables(db),
      egress: egressTables(db),
      templates: templateTables(db),
      mail: this.#mail(),
      events: eventTables(db),
      outbox: outboxTables(db, this.#told),
      grants: grantTables(db),
      stats: statsTables(db),
      webhooks: webhookTables(db),
      routes: routeTables(db),
      forwards: forwardTables(db),
      thresholds: thresholdTables(db),
      suppressions: suppressionTables(db),
      imports: importTables(db),
      validations: validationTables(db, () => this.nodes.id),
      alerts: alertTables(db),
      certificates: certificateTables(db),
      reports: reportTables(db),
      lists: listTables(db),
      sandbox: sandboxTables(db),
      nodes: this.nodes,
    };
  }

  /** Finishes what was handed in, gives back what is leased, then ends the connections. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    await Promise.all([
      this.#acceptor.close(),
      this.#claims.close(),
      ...[this.#returns, this.#receiver, this.#facts, this.#told].map(({ gather }) => gather.close()),
    ]);
    try {
      await this.nodes.leave();
    } catch (error) {
      // Where the database is away, the others find this node lost.
      if (!(error instanceof StoreError)) throw error;
    } finally {
      this.bell.close();
      this.health.stop();
      for (const link of this.#links) link.close();
      await this.db.close();
    }
  }

  #mail(): MailStore {
    const { db } = this;
    return {
      accept: (message) =>
        this.health.isFull
          ? Promise.reject(new StoreError('full', 'the database has no space left: what is left is for mail that was accepted before'))
          : this.#acceptor.accept(message),
      receive: (reception) =>
        this.health.isFull
          ? Promise.reject(new StoreError('full', 'the database has no space left: what is left is for mail that was accepted before'))
          : this.#receiver.receive(reception),
      record: (fact) => this.#facts.record(fact),
      settle: (settlement) => this.#returns.settle(settlement),
      release: (release) => this.#returns.release(release),
      dueBuckets: (nowMs, limit) => this.#parking.dueBuckets(nowMs, limit),
      nextDueAtMs: () => this.#parking.nextDueAtMs(),
      claim: (requests, nowMs) => this.#claims.claim(requests, nowMs),
      claimExpired: (nowMs, limit) => this.#claims.claimExpired(nowMs, limit),
      parkBucket: (bucket, untilMs, wait) => this.#parking.park(bucket, untilMs, wait),
      clockSetBack: (byMs, nowMs) => this.#clockSetBack(byMs, nowMs),
      content: (contentId) => readContent(db, contentId),
      expire: (nowMs, limit, eventsRetentionMs, postsRetentionMs) =>
        this.#retention.expire(nowMs, limit, eventsRetentionMs, postsRetentionMs),
      cancel: (accountId, domainId, message, nowMs) => cancel(this.#cancelTools, accountId, domainId, message, nowMs),
      listScheduled: (domainIds, after, limit) => listScheduled(db, domainIds, after, limit),
      moveScheduled: (choice, dueAtMs, nowMs) => this.#moveScheduled(choice, dueAtMs, nowMs),
      cancelScheduled: (choice, nowMs) => cancelScheduled(this.#cancelTools, choice, nowMs),
      deleteContent: (accountId, message) => this.#retention.deleteContent(accountId, message),
      appendEvent: (event) => this.#appendEvent(event),
    };
  }

  get #cancelTools(): CancelTools {
    const { db, ids, partitions } = this;
    return { db, ids, partitions };
  }

  async #moveScheduled(choice: ScheduledChoice, dueAtMs: number, nowMs: number): Promise<number> {
    const { moved, isSooner } = await moveScheduled(this.#cancelTools, choice, dueAtMs, nowMs);
    if (isSooner) this.bell.ring();
    return moved;
  }

  async #clockSetBack(byMs: number, nowMs: number): Promise<void> {
    const link = new Link(this.db.server, { isPatient: true });
    try {
      await link.transaction(async (queries) => {
        if (!(await isFirstToMove(queries, byMs, nowMs))) return;
        await moveDueTimes(queries, byMs, nowMs);
        await outboxClockSetBack(queries, byMs, nowMs);
      });
    } finally {
      link.close();
    }
    this.#parking.clockSetBack(byMs);
  }

  async #appendEvent(event: Omit<EventRow, 'id'>): Promise<void> {
    const day = dayOf(event.atUs / 1000);
    const id = firstIdOfDay(day) + (await this.ids.take('event', 1));
    await this.partitions.having([day], () => insertEvents(this.db, [{ ...event, id }]));
  }
}

function namelessNode(): NodeFacts {
  return { name: `node-${randomHex(4)}`, version: '0', services: ['accept', 'deliver', 'webhooks', 'web'], sources: [] };
}
