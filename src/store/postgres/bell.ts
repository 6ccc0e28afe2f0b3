/**
 * The bell between nodes: who made mail due that others may take tells them, by NOTIFY, outside of the transaction and not too often. A hint: a bell that is not heard costs a poll's
 * delay. Its connection also holds the lock that says that this process is there (nodes.ts).
 */
import type { Client } from 'pg';
import type { Database } from './database.ts';
import { NODE_LOCK } from './nodes.ts';
import { discard, type Server } from './server.ts';

const CHANNEL = 'postrider_due';
/** Notifications of this node are so far apart at least. */
const GAP_MS = 100;
const RECONNECT_MS = 1000;

export class Bell {
  readonly #server: Server;
  readonly #db: Database;
  #client: Client | undefined;
  #node = 0;
  #heard: () => void = () => undefined;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #reconnectTimer: NodeJS.Timeout | undefined;
  #rungAtMs = Number.NEGATIVE_INFINITY;
  /** Whether anybody is there to hear it. */
  hasHearers: () => boolean = () => true;

  constructor(server: Server, db: Database) {
    this.#server = server;
    this.#db = db;
  }

  /** Another node rings, or might have rung while the connection was away. */
  onHeard(heard: () => void): void {
    this.#heard = heard;
  }

  ring(): void {
    if (this.#timer !== undefined || this.#isClosed || !this.hasHearers()) return;
    this.#timer = setTimeout(() => void this.#notify(), Math.max(0, this.#rungAtMs + GAP_MS - performance.now()));
  }

  /** Listens as that node, from now on. */
  async listen(node: number): Promise<void> {
    this.#node = node;
    clearTimeout(this.#reconnectTimer);
    if (this.#client !== undefined) discard(this.#client);
    this.#client = undefined;
    await this.#connect();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#reconnectTimer);
    if (this.#client !== undefined) discard(this.#client);
    this.#client = undefined;
  }

  async #notify(): Promise<void> {
    this.#timer = undefined;
    this.#rungAtMs = performance.now();
    try {
      await this.#db.run('SELECT pg_notify($1, $2)', CHANNEL, String(this.#node));
    } catch {
      // Whoever was to hear it polls.
    }
  }

  async #connect(): Promise<void> {
    try {
      const client = await this.#server.connect();
      if (this.#isClosed) {
        discard(client);
        return;
      }
      this.#client = client;
      client.on('notification', ({ payload }) => {
        if (payload !== String(this.#node)) this.#heard();
      });
      client.once('end', () => {
        if (this.#client === client) this.#reconnectLater();
      });
      await client.query('SELECT pg_try_advisory_lock($1::integer, $2::integer)', [NODE_LOCK, this.#node]);
      await client.query(`LISTEN ${CHANNEL}`);
      this.#heard();
    } catch {
      // The server tells its trouble by itself (health); until then there is the poll.
      this.#reconnectLater();
    }
  }

  #reconnectLater(): void {
    if (this.#client !== undefined) discard(this.#client);
    this.#client = undefined;
    clearTimeout(this.#reconnectTimer);
    if (!this.#isClosed) this.#reconnectTimer = setTimeout(() => void this.#connect(), RECONNECT_MS);
  }
}
