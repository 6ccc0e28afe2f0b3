/** The runner over a real store, with a poster and makers that do what a test says. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { HeldClock, systemClock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { openSqliteStore } from '#store/sqlite/open.ts';
import type { OutboxItem, OutboxStore } from '#store/outbox-store.ts';
import { type Store, StoreError } from '#store/store.ts';
import { until } from '../../test/kit/until.ts';
import { messageInfo, newDomain } from '../../test/kit/stored.ts';
import type { PostRequest, PostResult } from './guarded-post.ts';
import type { OutboxMaker } from './outbox-maker.ts';
import { OutboxRunner, type OutboxRunnerOptions } from './outbox-runner.ts';

const MB = 1024 * 1024;
const DONE: PostResult = { kind: 'answered', status: 200, address: '192.0.2.1', text: 'HTTP 200' };

interface Rig {
  readonly store: Store;
  readonly runner: OutboxRunner;
  readonly log: string[];
  /** Delivers a recipient and puts an entry in; resolves to the message's id. */
  put(endpoint: string, payload?: string): Promise<number>;
  told(message: number): Promise<(string | undefined)[]>;
}

type Change = Partial<Omit<OutboxRunnerOptions, 'outbox' | 'poster'>> & {
  readonly giveUpAfterMs?: number;
  readonly post: (request: PostRequest, signal: AbortSignal) => Promise<PostResult>;
  readonly outbox?: (store: OutboxStore) => OutboxStore;
};

async function rig(
  t: TestContext,
  { post, outbox = (store) => store, giveUpAfterMs = 60_000, clock = systemClock, ...change }: Change,
): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-outbox-'));
  const store = await openSqliteStore({ path: join(directory, 'postrider.db'), mode: 'server' });
  const { id: accountId } = await store.accounts.createAccount('a', 1);
  const domain = await store.accounts.createDomain(newDomain({ accountId, name: 'ours.example', createdMs: 1, retentionMs: 1 }));
  const domainId = domain?.id as number;
  const log: string[] = [];
  const say = (_fields: object, sentence: string): void => void log.push(sentence);
  const recording: Log = { debug: () => undefined, info: say, warn: say, error: say };
  const runner = new OutboxRunner({
    outbox: outbox(store.outbox),
    clock,
    log: recording,
    poster: { post, close: () => undefined },
    makers: { archive: maker(giveUpAfterMs) },
    limits: { perEndpointMax: 10, totalMax: 50 },
    timeoutMs: 1000,
    retryMs: [50],
    mayPost: () => true,
    ...change,
  });
  t.after(async () => {
    await runner.stop();
    await store.close();
    rmSync(directory, { recursive: true });
  });
  return {
    store,
    runner,
    log,
    async put(endpoint, payload = '0') {
      const nowMs = clock.nowMs();
      const accepted = await store.mail.accept(acceptable(accountId, domainId, nowMs));
      assert.ok(accepted.kind === 'accepted');
      await store.mail.settle({
        recipient: accepted.firstRecipient,
        epoch: 1,
        accountId,
        domainId,
        message: accepted.id,
        atMs: nowMs,
        attempts: 1,
        ending: 'delivered',
        event: { kind: 'delivered', detail: {} },
        counters: [],
        outbox: [{ kind: 'archive', endpoint, target: `${endpoint}/x`, payload }],
      });
      return accepted.id;
    },
    async told(message) {
      const view = await store.events.messageById(accountId, message);
      return (view?.events ?? []).filter(({ kind }) => kind === 'archived').map(({ detail }) => detail.archive?.result);
    },
  };
}

/** An entry's payload is the octets that it holds. */
function maker(giveUpAfterMs = 60_000): OutboxMaker {
  return {
    giveUpAfterMs,
    isLogged: false,
    eventKind: 'archived',
    sizeBytes: ({ payload }) => Number(payload),
    make: async (item) => ({ url: item.target, headers: {}, body: [] }),
    event: (_item, archive, text) => ({ archive, text }),
  };
}

function acceptable(accountId: number, domainId: number, nowMs: number): Parameters<Store['mail']['accept']>[0] {
  return {
    accountId,
    domainId,
    domain: 'ours.example',
    messageId: `m${Math.random()}@ours.example`,
    sender: 'app@ours.example',
    createdMs: nowMs,
    dueAtMs: nowMs,
    wait: 'due',
    expiresAtMs: nowMs + 1000,
    priority: 0,
    info: messageInfo({ sizeBytes: 1, method: 'HTTP' }),
    content: Uint8Array.of(1),
    recipients: [{ address: 'a@there.example', domain: 'there.example', isLeased: true }],
  };
}

/** Makes a lease of what the runner adds to the time-out, less nearly all of it. */
const LEASE_SHORTER_MS = -14_900;

const hostOf = ({ url }: PostRequest): string => new URL(url).hostname;

test('what waits is posted, told of, and gone', async (t) => {
  const posted: string[] = [];
  const { store, runner, put, told } = await rig(t, {
    post: async (request) => {
      posted.push(request.url);
      return DONE;
    },
  });
  const message = await put('https://a.example:443');
  runner.start();
  await until(async () => (await store.outbox.depth()) === 0, 'it is gone');
  assert.deepEqual(posted, ['https://a.example:443/x']);
  assert.deepEqual(await told(message), ['done']);
  assert.deepEqual(runner.counts, { done: 1, failed: 0, givenUp: 0 });
});

test('bodies in memory are bounded, for one endpoint more than for all', async (t) => {
  let held = 0;
  let peak = 0;
  const heldOf = new Map<string, number>();
  let peakOfOne = 0;
  const sizes = new Map<string, number>([
    ['big', 40 * MB],
    ['many', 6 * MB],
    ['small', MB],
  ]);
  const { store, runner, put } = await rig(t, {
    post: async (request) => {
      const kind = hostOf(request).split('.')[0] as string;
      const bytes = sizes.get(kind) as number;
      held += bytes;
      peak = Math.max(peak, held);
      heldOf.set(kind, (heldOf.get(kind) ?? 0) + bytes);
      peakOfOne = Math.max(peakOfOne, heldOf.get('many') ?? 0);
      await new Promise((resolve) => setTimeout(resolve, 30));
      held -= bytes;
      heldOf.set(kind, (heldOf.get(kind) ?? 0) - bytes);
      return DONE;
    },
  });
  for (let n = 0; n < 2; n++) await put(`https://big.${n}.example:443`, String(40 * MB));
  for (let n = 0; n < 4; n++) await put('https://many.example:443', String(6 * MB));
  await put('https://small.example:443', String(MB));
  runner.start();
  await until(async () => (await store.outbox.depth()) === 0, 'all are posted');
  assert.ok(peak <= 64 * MB, `${peak / MB} MB were held`);
  assert.ok(peakOfOne <= 16 * MB, `${peakOfOne / MB} MB were held for one endpoint`);
});

test('one body that is larger than the bound goes alone', async (t) => {
  const { store, runner, put } = await rig(t, { post: async () => DONE });
  await put('https://a.example:443', String(500 * MB));
  runner.start();
  await until(async () => (await store.outbox.depth()) === 0, 'it is posted');
});

test('a stop cuts what runs, and puts it back for who comes next', async (t) => {
  const begun = Promise.withResolvers<void>();
  const { store, runner, put, told } = await rig(t, {
    post: (_request, signal) =>
      new Promise((resolve) => {
        begun.resolve();
        signal.addEventListener('abort', () => resolve({ kind: 'failed', text: 'it was stopped' }));
      }),
  });
  const message = await put('https://a.example:443');
  runner.start();
  await begun.promise;
  await runner.stop();
  const [endpoint] = await store.outbox.dueEndpoints(Date.now(), 10);
  const [item] = await store.outbox.claim([{ endpoint: endpoint?.id as number, room: 1 }], Date.now(), Date.now() + 1000);
  assert.equal(item?.attempts, 1);
  assert.deepEqual(await told(message), []);
});

test('while the store cannot be written, what came of a post is kept and written later', async (t) => {
  let refusals = 3;
  const { store, runner, put, told } = await rig(t, {
    post: async () => DONE,
    outbox: (real) => ({
      ...real,
      settle: async (settlement) => {
        if (refusals-- > 0) throw new StoreError('full', 'no space');
        return real.settle(settlement);
      },
    }),
  });
  const message = await put('https://a.example:443');
  runner.start();
  await until(async () => (await store.outbox.depth()) === 0, 'it is written');
  assert.deepEqual(await told(message), ['done']);
});

test('a bug in making one costs neither the others nor the entry', async (t) => {
  let isBroken = true;
  const archive = {
    ...maker(),
    async make(item: OutboxItem): Promise<PostRequest> {
      if (isBroken && item.payload === '1') throw new TypeError('a bug');
      return { url: item.target, headers: {}, body: [] };
    },
  };
  const { store, runner, put, told, log } = await rig(t, { post: async () => DONE, makers: { archive }, timeoutMs: LEASE_SHORTER_MS });
  const broken = await put('https://a.example:443', '1');
  const whole = await put('https://a.example:443', '0');
  runner.start();
  await until(async () => (await told(whole))[0] === 'done', 'the other is posted');
  await until(() => log.includes('a post met a bug of ours'), 'it is in the log');
  isBroken = false;
  await until(async () => (await told(broken))[0] === 'done', 'it is posted when its lease was over');
  assert.equal(await store.outbox.depth(), 0);
});

test('what is too old is given up though its endpoint is left alone', async (t) => {
  let posts = 0;
  const clock = new HeldClock(Date.now());
  const { store, runner, put, told, log } = await rig(t, {
    clock,
    async post() {
      posts++;
      return { kind: 'answered', status: 503, address: '192.0.2.1', text: 'HTTP 503', retryAfterMs: 3_600_000 };
    },
    giveUpAfterMs: 60_000,
  });
  const first = await put('https://a.example:443');
  runner.start();
  await until(async () => (await told(first)).at(-1) === 'failed', 'it would be too old by the time that was asked for');
  const second = await put('https://a.example:443');
  clock.advance(61_000);
  runner.ring();
  await until(async () => (await told(second)).at(-1) === 'failed', 'it has become too old');
  assert.equal(posts, 1);
  assert.equal(await store.outbox.depth(), 0);
  assert.equal(log.filter((sentence) => sentence.startsWith('given up')).length, 2);
});

test('a node that may not post leaves everything where it is', async (t) => {
  let isAllowed = false;
  let asked = 0;
  const mayPost = (): boolean => {
    asked++;
    return isAllowed;
  };
  const { store, runner, put } = await rig(t, { post: async () => DONE, mayPost });
  await put('https://a.example:443');
  runner.start();
  await until(() => asked > 0, 'it has looked');
  runner.ring();
  await until(() => asked > 1, 'it has looked again');
  assert.equal((await store.outbox.dueEndpoints(Date.now(), 10)).length, 1);
  isAllowed = true;
  await until(async () => (await store.outbox.depth()) === 0, 'it is posted when it may');
});

test('what a quick endpoint will take is claimed ahead of its turns', async (t) => {
  let claims = 0;
  const { store, runner, put } = await rig(t, {
    // It stands: however long the store takes on a loaded machine, the endpoint is a quick one.
    clock: new HeldClock(Date.now()),
    post: async () => DONE,
    limits: { perEndpointMax: 2, totalMax: 50 },
    outbox: (real) => ({
      ...real,
      async claim(...request) {
        claims++;
        return real.claim(...request);
      },
    }),
  });
  for (let n = 0; n < 200; n++) await put('https://a.example:443');
  runner.start();
  await until(async () => (await store.outbox.depth()) === 0, 'all are posted');
  assert.ok(claims < 50, `${claims} claims for 200 entries`);
});

test('an endpoint’s turn ends with the answer: what came of it is written while the next is posted', async (t) => {
  const held = Promise.withResolvers<void>();
  let posts = 0;
  const { runner, put } = await rig(t, {
    post: async () => {
      posts++;
      return DONE;
    },
    limits: { perEndpointMax: 1, totalMax: 50 },
    outbox: (real) => ({
      ...real,
      async settle(settlement) {
        await held.promise;
        return real.settle(settlement);
      },
    }),
  });
  for (let n = 0; n < 3; n++) await put('https://a.example:443');
  runner.start();
  await until(() => posts === 3, 'all are posted before anything is written');
  held.resolve();
  await until(() => runner.running === 0, 'all is written');
});

test('what was claimed ahead of an endpoint that fails goes back untried', async (t) => {
  let posts = 0;
  let isWell = true;
  const { store, runner, put } = await rig(t, {
    post: async () => {
      posts++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      return isWell ? DONE : { kind: 'answered', status: 500, address: '192.0.2.1', text: 'HTTP 500' };
    },
    limits: { perEndpointMax: 1, totalMax: 50 },
    // Far beyond the end of this test: only what is untried is due.
    retryMs: [3_600_000],
    giveUpAfterMs: 86_400_000,
  });
  for (let n = 0; n < 60; n++) await put('https://a.example:443');
  runner.start();
  await until(() => posts > 30, 'it is going well');
  isWell = false;
  await until(() => runner.counts.failed >= 3 && runner.running === 0, 'it is left alone');
  const { failed, done } = runner.counts;
  assert.equal(await store.outbox.depth(), 60 - done);
  await runner.stop();
  const [endpoint] = await store.outbox.dueEndpoints(Date.now() + 3_600_000, 10);
  const left = await store.outbox.claim([{ endpoint: endpoint?.id as number, room: 100 }], Date.now(), Date.now() + 1000);
  assert.ok(left.length > 0 && left.length >= 60 - done - failed - 1, `${left.length} are due`);
  assert.ok(left.every(({ attempts }) => attempts === 0));
});
