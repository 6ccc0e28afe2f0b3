/**
 * The crash test itself. Clients load the real program through SMTP and the API at once while it is killed with SIGKILL at random moments, also while
 * it starts, and started again on the same data. Then the clients stop, the queue runs empty, and what the clients were promised is compared with
 * what the sink received: nothing accepted is lost (P1, P3), nothing unknown is delivered, every repetition is marked as possible (P4), and no event lacks its
 * webhook (P7). Meanwhile a server brings mail from elsewhere, and a route posts it: what was told 250 is posted.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../../bench/child.ts';
import { type Postrider, PostriderHome } from '../../bench/postrider.ts';
import { apiClient } from './api-client.ts';
import { type Delivery, Ledger, type Verdict, judge } from './ledger.ts';
import { isMarked } from './marks.ts';
import { Routed } from './routed.ts';
import { smtpClient } from './smtp-client.ts';
import { atRest, Witness } from './witness.ts';

export interface TortureOptions {
  readonly directory: string;
  readonly cycles: number;
  /** Makes the moments of the kills repeatable (not the scheduling of two processes, so not all of a run). */
  readonly seed: number;
  /** A server lives at most so long. */
  readonly lifeMsMax: number;
  readonly clients: number;
  /** A database, instead of the embedded store. */
  readonly storeUrl?: string;
  readonly say: (line: string) => void;
}

export interface TortureReport {
  readonly verdict: Verdict;
  readonly ledger: Ledger;
  readonly accepted: number;
  readonly delivered: number;
  /** That webhooks were to be told of. */
  readonly events: number;
  /** From elsewhere, that a route was to post. */
  readonly routed: number;
  /** Repetitions whose events do not say so. */
  readonly unmarked: readonly Delivery[];
  /** Everything that must not be; empty when all is well. */
  readonly faults: readonly string[];
}

/** Share of kills that fall before the server says that it is ready: recovery must stand them too. */
const EARLY_SHARE = 0.2;
/** After this the last server is killed although nothing was accepted, which the report tells as a fault. */
const AT_STAKE_WITHIN_MS = 60_000;
const AT_STAKE_LOOK_MS = 20;
const BATCH = 5;
const BATCH_SHARE = 0.1;
/** The sink puts some recipients off, so that retries and their settling are hit too. */
const DEFER_SHARE = 0.03;
const DRAINED_WITHIN_MS = 300_000;
/** Looks at the sink without news after which nothing more is expected: longer than the retry of what it put off last. */
const LOOK_EVERY_MS = 500;
const QUIET_LOOKS = 4;
/** … while something is still missing. */
const QUIET_LOOKS_MAX = 60;
/** How many lost, unknown or unmarked ones are named. */
const NAMED_MAX = 10;

/** A small generator of seeded chance (mulberry32). */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export async function torture(options: TortureOptions): Promise<TortureReport> {
  const sink = new Child(join(import.meta.dirname, '../../bench/sink.ts'));
  const ledger = new Ledger();
  const stop = new AbortController();
  const witness = await Witness.start(chance(options.seed + 2));
  const routed = await Routed.start(chance(options.seed + 3));
  try {
    const sinkPort = await sink.ask<number>('start', { record: true, deferShare: DEFER_SHARE });
    const settings = `delivery.retry = ["1s"]\n${Witness.settings}${routed.settings}`;
    const { directory, storeUrl } = options;
    const shared = storeUrl === undefined ? {} : { shared: { url: storeUrl, node: 'tortured' } };
    const home = await PostriderHome.make({ directory, sinkPort, sign: false, settings, ...shared });
    const first = await home.start();
    await witness.subscribe(first);
    await routed.subscribe(first);
    await first.stop();
    const clients = Promise.all([startClients(home, ledger, options, stop.signal), routed.client(stop.signal)]);
    const isAtStake = (): boolean => ledger.accepted().length > 0 && routed.ledger.accepted().length > 0;
    await killAgainAndAgain(home, options, isAtStake);
    stop.abort();
    const server = await home.start();
    await clients;
    options.say(`${ledger.accepted().length} messages accepted; waiting until all is delivered`);
    await atRest(server);
    const deliveries = await drained(sink, ledger);
    const report = await settle(server, ledger, deliveries, witness, routed);
    await server.stop();
    return report;
  } finally {
    stop.abort();
    sink.stop();
    await Promise.all([witness.close(), routed.close()]);
  }
}

function startClients(home: PostriderHome, ledger: Ledger, options: TortureOptions, signal: AbortSignal): Promise<unknown> {
  const random = chance(options.seed + 1);
  let mailbox = 0;
  const recipient = (): string => `user${mailbox++ % 500}@sink${mailbox % 7}.example`;
  const recipients = (): string[] => Array.from({ length: random() < BATCH_SHARE ? BATCH : 1 }, recipient);
  const clients: Promise<void>[] = [];
  for (let i = 0; i < options.clients; i++) {
    clients.push(smtpClient(home.smtpPort, ledger, recipient, signal));
    clients.push(apiClient({ port: home.httpPort, key: home.key }, ledger, recipients, i % 2 === 0, signal));
  }
  return Promise.all(clients);
}

async function killAgainAndAgain(home: PostriderHome, options: TortureOptions, isAtStake: () => boolean): Promise<void> {
  const random = chance(options.seed);
  for (let cycle = 1; cycle <= options.cycles; cycle++) {
    // All lives may have been too short for anything: the last kill comes when there is something to lose.
    const isLate = cycle === options.cycles && !isAtStake();
    const isEarly = random() < EARLY_SHARE && !isLate;
    const lifeMs = random() * options.lifeMsMax;
    if (isEarly) {
      const starting = home.launch();
      await sleep(lifeMs / 4);
      await starting.kill();
    } else {
      const server: Postrider = await home.start();
      if (isLate) await soon(isAtStake);
      await sleep(lifeMs);
      await server.kill();
    }
    const ready = isLate ? 'something was accepted' : 'it was ready';
    const since = isEarly ? 'its start' : ready;
    options.say(`cycle ${cycle}: killed ${Math.round(isEarly ? lifeMs / 4 : lifeMs)} ms after ${since}`);
  }
}

async function soon(is: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + AT_STAKE_WITHIN_MS;
  while (!is() && performance.now() < deadlineMs) await sleep(AT_STAKE_LOOK_MS);
}

/** Waits until all that was accepted has arrived and nothing more comes; gives up after a while, and the verdict tells what is missing. */
async function drained(sink: Child, ledger: Ledger): Promise<Delivery[]> {
  const deadline = performance.now() + DRAINED_WITHIN_MS;
  let quiet = 0;
  let before = -1;
  for (;;) {
    const deliveries = (await sink.ask<[string, number][]>('deliveries')).map(([key, times]) => delivery(key, times));
    const count = deliveries.reduce((sum, { times }) => sum + times, 0);
    quiet = count === before ? quiet + 1 : 0;
    before = count;
    const isDone = quiet >= QUIET_LOOKS && judge(ledger, deliveries).lost.length === 0;
    if (isDone || quiet >= QUIET_LOOKS_MAX || performance.now() > deadline) return deliveries;
    await sleep(LOOK_EVERY_MS);
  }
}

function delivery(key: string, times: number): Delivery {
  const [id = '', recipient = '', messageId = ''] = key.split(' ');
  return { id, recipient, messageId, times };
}

async function settle(
  server: Postrider,
  ledger: Ledger,
  deliveries: readonly Delivery[],
  witness: Witness,
  routed: Routed,
): Promise<TortureReport> {
  const verdict = judge(ledger, deliveries);
  const unmarked: Delivery[] = [];
  for (const repeated of verdict.repeated) if (!(await isMarked(server, repeated))) unmarked.push(repeated);
  const unposted = await routed.missing();
  const told = await witness.compare(server);
  const named = (title: string, all: readonly string[]): string[] =>
    all.length === 0 ? [] : [`${all.length} ${title}: ${all.slice(0, NAMED_MAX).join(', ')}`];
  return {
    verdict,
    ledger,
    accepted: ledger.accepted().length,
    delivered: deliveries.length,
    events: told.events,
    routed: routed.ledger.accepted().length,
    unmarked,
    faults: [
      ...named('accepted and lost', verdict.lost),
      ...named('delivered and unknown', verdict.unknown),
      ...named(
        'repeated without a mark',
        unmarked.map(({ id, recipient, messageId, times }) => `${id} ${recipient} ${messageId} (${times} times)`),
      ),
      ...named('events without their webhook', told.untold),
      ...named('webhooks of events that do not stand', told.unknown),
      ...named('from elsewhere, accepted and not posted', unposted),
      ...named('permanent refusals of good mail', [...ledger.wrongs, ...routed.ledger.wrongs]),
      ...(told.events === 0 ? ['there was nothing to tell webhooks'] : []),
      ...(routed.ledger.accepted().length === 0 ? ['nothing from elsewhere was accepted at all'] : []),
      ...(ledger.accepted().length === 0 ? ['nothing was accepted at all'] : []),
    ],
  };
}
