/**
 * A webhook of the crash test: it is to be told of every event, refuses some of them the first time, and remembers which it was told of. At the end what the events API has is compared with
 * that: no event lacks its webhook, and none is told that does not stand.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { SENDER_DOMAIN } from '../../bench/message.ts';
import type { Postrider } from '../../bench/postrider.ts';

const TYPES = ['accepted', 'delivered', 'temporary_fail', 'permanent_fail'];
const REFUSED_SHARE = 0.02;
const TOLD_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 200;
const ANSWER_MS = 30_000;

export class Witness {
  /** Configuration of the program under test, TOML. */
  static readonly settings = 'webhooks.allow_networks = ["127.0.0.0/8"]\nwebhooks.retry = ["500ms"]\nwebhooks.timeout = "1s"\n';
  readonly #server: Server;
  readonly #told = new Set<string>();

  private constructor(random: () => number) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.once('error', () => undefined);
      request.once('end', () => {
        if (random() < REFUSED_SHARE) return void response.writeHead(503).end();
        const body = JSON.parse(Buffer.concat(chunks).toString()) as { 'event-data': { id: string } };
        this.#told.add(body['event-data'].id);
        response.end();
      });
    });
  }

  static async start(random: () => number): Promise<Witness> {
    const witness = new Witness(random);
    witness.#server.listen(0, '127.0.0.1');
    await once(witness.#server, 'listening');
    return witness;
  }

  /** Makes it a webhook of the account. */
  async subscribe(server: Postrider): Promise<void> {
    const { port } = this.#server.address() as AddressInfo;
    const body = new URLSearchParams([['url', `http://127.0.0.1:${port}/`], ...TYPES.map((type) => ['event_types', type])] as [
      string,
      string,
    ][]);
    const response = await ask(server, '/v1/webhooks', { method: 'POST', body });
    if (response.status !== 200) throw new Error(`POST /v1/webhooks: ${response.status} ${await response.text()}`);
  }

  /** Events that it was not told of, and what it was told of that is no event; both are known when nothing is under way any more (`atRest`). */
  async compare(server: Postrider): Promise<{ readonly untold: string[]; readonly unknown: string[]; readonly events: number }> {
    const events = new Map<string, string>();
    let path: string | undefined = `/v3/${SENDER_DOMAIN}/events?ascending=yes&limit=300&event=accepted%20OR%20delivered%20OR%20failed`;
    while (path !== undefined) {
      const response = await ask(server, path);
      const page = (await response.json()) as {
        items: { id: string; event: string; recipient: string }[];
        paging: { next: string };
      };
      for (const { id, event, recipient } of page.items) events.set(id, `${event} of ${recipient}`);
      const next: URL = new URL(page.paging.next);
      path = page.items.length === 0 ? undefined : next.pathname + next.search;
    }
    return {
      untold: [...events].filter(([id]) => !this.#told.has(id)).map(([id, what]) => `${id} ${what}`),
      unknown: [...this.#told].filter((id) => !events.has(id)),
      events: events.size,
    };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Once what became of all mail is written, and nothing waits to be told any more; or after a while, and the comparison tells. */
export async function atRest(server: Postrider): Promise<void> {
  const deadline = performance.now() + TOLD_WITHIN_MS;
  // In this order: what is written puts more there to be told.
  for (const figures of [['queue_recipients{state="queued"}', 'queue_recipients{state="leased"}'], ['outbox_entries']]) {
    while (performance.now() < deadline) {
      const metrics = await (await ask(server, '/metrics')).text();
      if (figures.every((figure) => metrics.includes(`\npostrider_${figure} 0\n`))) break;
      await sleep(LOOK_EVERY_MS);
    }
  }
}

function ask({ api }: Postrider, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${api.port}${path}`, {
    ...init,
    headers: { authorization: `Basic ${Buffer.from(`api:${api.key}`).toString('base64')}` },
    signal: AbortSignal.timeout(ANSWER_MS),
  });
}
