/**
 * Mail from elsewhere in the crash test: a server brings it to the program's own listener, and a route posts it to a receiver that refuses some of it the first time. At the end no message
 * that was told 250 lacks its post.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ID_HEADER, SENDER_DOMAIN } from '../../bench/message.ts';
import type { Postrider } from '../../bench/postrider.ts';
import { freePort } from '../kit/free-port.ts';
import { Ledger } from './ledger.ts';
import { smtpClient } from './smtp-client.ts';

const REFUSED_SHARE = 0.02;
const POSTED_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 200;
const ANSWER_MS = 30_000;

export class Routed {
  readonly ledger = new Ledger();
  readonly #port: number;
  readonly #server: Server;
  /** Ids of messages that were posted. */
  readonly #posted = new Set<string>();

  private constructor(port: number, random: () => number) {
    this.#port = port;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.once('error', () => undefined);
      request.once('end', () => {
        if (random() < REFUSED_SHARE) return void response.writeHead(503).end();
        this.#posted.add(new URLSearchParams(Buffer.concat(chunks).toString()).get(ID_HEADER) ?? '');
        response.end();
      });
    });
  }

  static async start(random: () => number): Promise<Routed> {
    const routed = new Routed(await freePort(), random);
    routed.#server.listen(0, '127.0.0.1');
    await once(routed.#server, 'listening');
    return routed;
  }

  /** Configuration of the program under test, TOML. */
  get settings(): string {
    return `smtp.inbound = ["127.0.0.1:${this.#port}"]\ninbound.greeting_delay = "0s"\ninbound.unknown_sender = "accept"\ninbound.authentication = false\ninbound.rate_per_address = "100000/m"\n`;
  }

  /** Makes the route. */
  async subscribe({ api }: Postrider): Promise<void> {
    const { port } = this.#server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${api.port}/v3/routes`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`api:${api.key}`).toString('base64')}` },
      body: new URLSearchParams({ expression: 'match_recipient("in@")', action: `forward("http://127.0.0.1:${port}/")` }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (response.status !== 200) throw new Error(`POST /v3/routes: ${response.status} ${await response.text()}`);
  }

  client(signal: AbortSignal): Promise<void> {
    return smtpClient(this.#port, this.ledger, () => `in@${SENDER_DOMAIN}`, signal);
  }

  /** Accepted and not posted, once there was time enough. */
  async missing(): Promise<string[]> {
    const deadline = performance.now() + POSTED_WITHIN_MS;
    for (;;) {
      const missing = this.ledger.accepted().flatMap(({ id }) => (this.#posted.has(id) ? [] : [id]));
      if (missing.length === 0 || performance.now() > deadline) return missing;
      await sleep(LOOK_EVERY_MS);
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
