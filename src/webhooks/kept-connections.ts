/**
 * HTTP/1.1 connections that are kept for the next post, each to one address, for one origin, under one name. A connection carries one request at a time. Those without work are
 * bounded in number, and each ends after a while that is shorter than most servers wait. TLS sessions are not resumed: a resumed one is not asked for its certificate's name again.
 *
 * undici does the protocol; it is loaded when something is posted first. Its client costs less than half of what node:http does for a request.
 */
import type { Client, buildConnector } from 'undici';

export interface KeptConnectionsOptions {
  readonly connectTimeoutMs: number;
  readonly answerHeaderBytesMax: number;
  /** Certificates (PEM) that are trusted instead of the usual ones. */
  readonly roots?: readonly string[];
}

export interface Connection {
  readonly client: Client;
  readonly key: string;
  /** It is connected, and has served a request before. */
  isKept: boolean;
}

/** Connections without work, to all servers. */
const IDLE_MAX = 512;
const IDLE_MS = 4000;

export class KeptConnections {
  readonly #options: KeptConnectionsOptions;
  readonly #idle = new Map<string, Connection[]>();
  readonly #all = new Set<Connection>();
  #idleCount = 0;
  #undici: { readonly Client: typeof Client; readonly connect: buildConnector.connector } | undefined;
  #isClosed = false;

  constructor(options: KeptConnectionsOptions) {
    this.#options = options;
  }

  /** Before the first connection is taken; undefined: it is. */
  load(): Promise<void> | undefined {
    return this.#undici === undefined ? this.#load() : undefined;
  }

  async #load(): Promise<void> {
    const { Client, buildConnector } = await import('undici');
    const { connectTimeoutMs, roots } = this.#options;
    this.#undici ??= {
      Client,
      connect: buildConnector({
        allowH2: false,
        maxCachedSessions: 0,
        timeout: connectTimeoutMs,
        ...(roots !== undefined && { ca: [...roots] }),
      }),
    };
  }

  /**
   * One that was kept, or a new one, which connects when it is used. `origin`: of the URL, by whose host's name a certificate is checked (through the field Host).
   * `isFresh`: not a kept one.
   */
  take(origin: URL, address: string, isFresh = false): Connection {
    const key = `${origin.protocol} ${origin.host} ${address}`;
    const kept = isFresh ? undefined : this.#idle.get(key)?.pop();
    if (kept === undefined) return this.#make(key, origin, address);
    this.#idleCount--;
    return kept;
  }

  /** Its answer was read to the end. */
  give(connection: Connection): void {
    connection.isKept = connection.client.stats.connected;
    if (this.#isClosed || !connection.isKept || this.#idleCount >= IDLE_MAX) return this.drop(connection);
    this.#idleCount++;
    const idle = this.#idle.get(connection.key);
    if (idle === undefined) this.#idle.set(connection.key, [connection]);
    else idle.push(connection);
  }

  /** Ends it, whatever it is doing: a request on it fails with the reason. */
  drop(connection: Connection, reason?: Error): void {
    this.#all.delete(connection);
    connection.client.destroy(reason ?? null).catch(() => undefined);
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#all) this.drop(connection);
    this.#idle.clear();
    this.#idleCount = 0;
  }

  #make(key: string, { protocol, port }: URL, address: string): Connection {
    if (this.#undici === undefined) throw new Error('load() comes first');
    const { Client, connect } = this.#undici;
    const host = address.includes(':') ? `[${address}]` : address;
    const client = new Client(`${protocol}//${host}${port === '' ? '' : `:${port}`}`, {
      connect,
      maxHeaderSize: this.#options.answerHeaderBytesMax,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      // Who posts has a deadline for the whole.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const connection: Connection = { client, key, isKept: false };
    this.#all.add(connection);
    client.on('disconnect', () => this.#onDisconnect(connection));
    return connection;
  }

  #onDisconnect(connection: Connection): void {
    connection.isKept = false;
    const idle = this.#idle.get(connection.key);
    const at = idle?.indexOf(connection) ?? -1;
    if (idle === undefined || at < 0) return;
    idle.splice(at, 1);
    if (idle.length === 0) this.#idle.delete(connection.key);
    this.#idleCount--;
    this.drop(connection);
  }
}
