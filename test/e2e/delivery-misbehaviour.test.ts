/**
 * Whatever a receiving server does, every recipient gets exactly one outcome, within the time-outs, and "delivered" only when the
 * server acknowledged it; and the message that arrives is the message that was sent. The misbehaviour is drawn from a seed, so that a
 * failure can be repeated: POSTRIDER_TEST_SEED.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createAddressGuard } from '#base/address-guard.ts';
import { createConnect } from '#delivery/attempt.ts';
import type { Connect, DeliveryJob } from '#model/delivery.ts';
import type { Route } from '#model/egress.ts';
import type { Outcome } from '#model/outcome.ts';
import { ACTIONS } from '../kit/sink-behaviour.ts';
import type { Behaviour } from '../kit/sink-behaviour.ts';
import { startSink } from '../kit/sink.ts';
import type { Sink, SinkOptions } from '../kit/sink.ts';

const SEED = Number(process.env['POSTRIDER_TEST_SEED'] ?? Date.now() % 1_000_000);
const ROUNDS = 60;
const AT_ONCE = 15;
const TIMEOUTS = { connectMs: 1000, greetingMs: 250, commandMs: 250, dataMs: 250, dotMs: 250 };
/** Every step's time-out once, with room for a busy machine. */
const OUTCOME_MS_MAX = 60_000;
const SOURCE = { name: 'default', ehlo: 'us.test', pool: 'default' };
const { signal } = new AbortController();

const connect: Connect = createConnect({
  resolver: { addresses: async () => ({ kind: 'none' }) },
  guard: createAddressGuard({ allowNetworks: ['127.0.0.0/8'], ownListeners: [], localAddresses: [] }),
  timeouts: TIMEOUTS,
  clock: systemClock,
  log: silentLog,
});

/** A small generator of numbers that a seed repeats (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function routeTo(sink: Sink): Route {
  return { site: 'sink.test', hosts: [{ host: '127.0.0.1', preference: 0 }], port: sink.port };
}

function jobFor(text: string, recipients: readonly string[], sender = 'sender@us.test'): DeliveryJob {
  const bytes = Buffer.from(text);
  return {
    sender,
    recipients: recipients.map((address) => ({ address })),
    tls: 'opportunistic',
    compose: async () => ({ chunks: [bytes], sizeBytes: bytes.length, body: '7BIT', smtputf8: false }),
  };
}

async function withinTime<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no outcome in time`)), OUTCOME_MS_MAX);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

interface Round {
  readonly options: SinkOptions;
  readonly messages: readonly { readonly sender: string; readonly recipients: readonly string[]; readonly text: string }[];
}

const STAGES = ['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'dot', 'rset', 'starttls'] as const;
const MAILBOXES = ['good', '450', '550', '452-after-2', '552-after-1', 'reject-552', 'defer-451', 'drop-after-data', 'drop-after-dot'];

/** A server that answers a command twice is one reply ahead from then on; what it means by the next ones nobody can tell. */
const OUT_OF_STEP = /(double|early)-at-(mail|rcpt)|"(mail|rcpt|rset)":"(double|early)"/;

function draw(pick: (below: number) => number, round: number): Round {
  const one = <T>(items: readonly T[]): T => items[pick(items.length)] as T;
  const mailbox = (): string => {
    const kind = pick(3);
    if (kind === 0) return 'good';
    if (kind === 1) return one(MAILBOXES);
    return `${one(ACTIONS)}-at-${one(['rcpt', 'data', 'dot'])}${pick(3) === 0 ? '-once' : ''}`;
  };
  const at: Record<string, Behaviour> = pick(4) === 0 ? { [one(STAGES)]: one(ACTIONS) } : {};
  const options: SinkOptions = {
    pipelining: pick(4) !== 0,
    chunking: pick(2) === 0,
    eightBitMime: pick(2) === 0,
    ...(pick(3) === 0 ? { tls: 'starttls' } : {}),
    ...(pick(8) === 0 ? { tls: 'starttls', tlsTrouble: one(['refuse', 'garbage', 'drop', 'hang', 'inject', 'old'] as const) } : {}),
    ...(pick(8) === 0 ? { transactionsMax: 1 + pick(2) } : {}),
    ...(pick(10) === 0 ? { heloOnly: true } : {}),
    at,
  };
  const messages = Array.from({ length: 3 }, (_, message) => ({
    sender: pick(8) === 0 ? `${one(ACTIONS)}-at-mail-once@us.test` : 'sender@us.test',
    recipients: Array.from({ length: 1 + pick(5) }, (_unused, i) => `${mailbox()}-${round}-${message}-${i}@x.test`),
    text: `X-Message: ${round}-${message}\r\n\r\n${'.dots and words\r\n'.repeat(1 + pick(pick(10) === 0 ? 40_000 : 50))}`,
  }));
  return { options, messages };
}

async function play({ options, messages }: Round, sink: Sink): Promise<{ texts: string[]; outcomes: (readonly Outcome[])[] }> {
  const outcomes: (readonly Outcome[])[] = [];
  let session: Awaited<ReturnType<Connect>> | undefined;
  for (const { text, recipients, sender } of messages) {
    if (session?.kind !== 'open' || !session.session.isUsable) {
      session = await withinTime(connect(routeTo(sink), SOURCE, 'opportunistic', signal), `connecting ${JSON.stringify(options)}`);
    }
    if (session.kind === 'failed') outcomes.push(recipients.map(() => (session as { outcome: Outcome }).outcome));
    else outcomes.push(await withinTime(session.session.deliver(jobFor(text, recipients, sender)), recipients.join()));
  }
  if (session?.kind === 'open') await withinTime(session.session.close(), 'closing');
  return { texts: messages.map(({ text }) => text), outcomes };
}

function judge(round: Round, sink: Sink, outcomes: readonly (readonly Outcome[])[]): void {
  round.messages.forEach(({ text, recipients, sender }, message) => {
    const isOutOfStep =
      [sender, ...recipients].some((address) => OUT_OF_STEP.test(address)) || OUT_OF_STEP.test(JSON.stringify(round.options.at));
    const own = outcomes[message] as readonly Outcome[];
    assert.equal(own.length, recipients.length, 'one outcome for each recipient');
    recipients.forEach((recipient, position) => {
      const outcome = own[position] as Outcome;
      const of = `${recipient}: ${outcome.disposition} ${outcome.code} ${outcome.text} with ${JSON.stringify(round.options)}\n${(outcome.attempt.dialogue ?? []).join('\n')}`;
      assert.ok(['delivered', 'deferred', 'failed'].includes(outcome.disposition), of);
      assert.doesNotMatch(outcome.text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/, of);
      assert.notEqual(outcome.text, 'an internal error stopped the attempt; the log has it', of);
      const arrived = sink.transactions.filter((transaction) => transaction.recipients.some(({ address }) => address === recipient));
      const acknowledged = arrived.filter(({ isAcknowledged }) => isAcknowledged);
      assert.ok(arrived.length <= 1, `handed over more than once: ${of}`);
      if (outcome.disposition === 'delivered') {
        if (!isOutOfStep) assert.equal(acknowledged.length, 1, of);
        if (!isOutOfStep) assert.equal(arrived[0]?.bytes.toString(), text, of);
        assert.equal(outcome.attempt.dialogue, undefined, of);
      } else {
        if (acknowledged.length > 0 && !isOutOfStep) assert.equal(outcome.unclear, true, `acknowledged, but not told: ${of}`);
        assert.notEqual(outcome.bounceClass, undefined, of);
      }
      if (outcome.disposition === 'failed') assert.ok(outcome.code >= 500 && outcome.code <= 599, of);
    });
  });
}

async function oneRound(round: Round): Promise<void> {
  const sink = await startSink(round.options);
  try {
    const { outcomes } = await play(round, sink);
    judge(round, sink, outcomes);
    assert.deepEqual(sink.violations, [], JSON.stringify(round.options));
  } finally {
    await sink.close();
  }
}

test(`a server that does anything at all cannot make us lie, wait for ever or break the protocol (seed ${SEED})`, async () => {
  const pick = generator(SEED);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => draw(pick, round));
  for (let first = 0; first < rounds.length; first += AT_ONCE) {
    await Promise.all(rounds.slice(first, first + AT_ONCE).map((round) => oneRound(round)));
  }
});
