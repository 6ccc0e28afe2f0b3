/**
 * How many webhooks one node tells in a second, and what each costs: events of accepted messages are put into the outbox of a real store, then claimed, signed, posted over kept
 * connections to a receiver in a process of its own on this machine, and settled, as the program does it.
 *
 *   node bin/pinned-node.js bench/webhooks.ts [--count 30000] [--store postgres] [--concurrency 20]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createAddressGuard } from '#base/address-guard.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { mailgunEvent } from '#events/mailgun-json.ts';
import type { AcceptMessage, Store } from '#store/store.ts';
import { createEventMaker } from '#webhooks/event-maker.ts';
import { createPoster } from '#webhooks/guarded-post.ts';
import { OutboxRunner } from '#webhooks/outbox-runner.ts';
import { eventEntry } from '#webhooks/subscriptions.ts';
import { until } from '../test/kit/until.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '30000' },
    store: { type: 'string', default: 'sqlite' },
    concurrency: { type: 'string', default: '20' },
  },
});
const PER_MESSAGE = 100;
const WAIT_MS = 120_000;

const directory = mkdtempSync(join(tmpdir(), 'postrider-bench-'));
const receiver = fork(join(import.meta.dirname, 'webhook-receiver.ts'), { execArgv: process.execArgv });
const [{ port }] = (await once(receiver, 'message')) as [{ port: number }];
process.env['TEST_STORE'] = values.store;
const { openTestStore } = await import('../test/kit/stores.ts');
const store = await openTestStore(directory, { mode: 'server' });
try {
  await fill(store, Number(values.count));
  await measure(store, Number(values.count));
} finally {
  receiver.kill();
  await store.close();
  rmSync(directory, { recursive: true });
}

async function fill({ accounts, mail }: Store, count: number): Promise<void> {
  const nowMs = Date.now();
  const account = await accounts.createAccount('bench', nowMs);
  const domain = await accounts.createDomain({
    accountId: account.id,
    name: 'bench.test',
    type: 'custom',
    state: 'active',
    createdMs: nowMs,
    retentionMs: 86_400_000,
    requireTls: false,
    skipVerification: false,
  });
  const outbox = [eventEntry(`http://127.0.0.1:${port}/hook`)];
  const accepts = Array.from({ length: Math.ceil(count / PER_MESSAGE) }, (_, n) =>
    mail.accept({ ...message(account.id, domain?.id ?? 0, n, nowMs), outbox } as AcceptMessage),
  );
  await Promise.all(accepts);
}

function message(accountId: number, domainId: number, n: number, nowMs: number): AcceptMessage {
  return {
    accountId,
    domainId,
    domain: 'bench.test',
    messageId: `${n}.bench@bench.test`,
    sender: 'app@bench.test',
    createdMs: nowMs,
    dueAtMs: nowMs + 86_400_000,
    wait: 'scheduled',
    expiresAtMs: nowMs + 2 * 86_400_000,
    priority: 1,
    info: {
      from: 'App <app@bench.test>',
      to: 'you@there.test',
      subject: 'A webhook of the bench',
      sizeBytes: 10_000,
      attachments: [],
      method: 'HTTP',
      origin: { address: '127.0.0.1' },
      options: { tags: ['bench'], variables: { order: '17' }, testMode: false },
      smtputf8: false,
      body: '7BIT',
    },
    content: Uint8Array.of(1),
    recipients: Array.from({ length: PER_MESSAGE }, (_, at) => ({ address: `r${at}@there.test`, domain: 'there.test', isLeased: false })),
  };
}

async function measure({ outbox }: Store, count: number): Promise<void> {
  const runner = new OutboxRunner({
    outbox,
    clock: systemClock,
    log: silentLog,
    poster: createPoster({
      resolver: { addresses: async () => ({ kind: 'none' }) },
      guard: createAddressGuard({ allowNetworks: ['127.0.0.0/8'], ownListeners: [] }),
      timeoutMs: 30_000,
      connectTimeoutMs: 10_000,
    }),
    makers: {
      event: createEventMaker({
        clock: systemClock,
        eventData: (view) => mailgunEvent(view, { storage: (domain, key) => `http://localhost/v3/domains/${domain}/messages/${key}` }),
        signingKeys: () => ({ own: '0'.repeat(32) }),
        isWanted: async () => true,
        giveUpAfterMs: 3_600_000,
      }),
    },
    limits: { perEndpointMax: Number(values.concurrency), totalMax: 400 },
    timeoutMs: 30_000,
    retryMs: [300_000],
    mayPost: () => true,
  });
  const begunMs = performance.now();
  const before = process.cpuUsage();
  runner.start();
  await until(() => runner.counts.done >= count && runner.running === 0, 'all are told', WAIT_MS);
  const seconds = (performance.now() - begunMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  await runner.stop();
  process.stdout.write(
    `${values.store}: ${count} webhooks in ${seconds.toFixed(2)} s: ${Math.round(count / seconds)}/s, ${((user + system) / count).toFixed(0)} µs of processor time each (without the receiver's)\n`,
  );
  if (runner.counts.failed > 0) process.stdout.write(`${runner.counts.failed} posts failed\n`);
}
