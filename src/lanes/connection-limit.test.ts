import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Connect, DeliverySession } from '#model/delivery.ts';
import type { EgressSource, Route } from '#model/egress.ts';
import { limitConnections } from './connection-limit.ts';

const route: Route = { site: 'site.test', hosts: [], port: 25 };
const source: EgressSource = { name: 'default', ehlo: 'us.test', pool: 'default' };
const outcome = { disposition: 'deferred', code: 499, text: 'refused', attempt: { number: 0, startedMs: 0, steps: {} } } as const;

function site(answers: ('open' | 'failed')[] = []) {
  let open = 0;
  let most = 0;
  const connect: Connect = async () => {
    open++;
    most = Math.max(most, open);
    await Promise.resolve();
    if (answers.shift() === 'failed') {
      open--;
      return { kind: 'failed', isSiteDown: true, outcome };
    }
    const session = {
      host: 'mx.site.test',
      address: '192.0.2.1',
      uses: 0,
      isUsable: true,
      satisfies: () => true,
    } as unknown as DeliverySession;
    session.close = async () => {
      open--;
    };
    return { kind: 'open', session };
  };
  return { connect, most: () => most };
}

const never = new AbortController().signal;
const opened = async (connect: Connect, signal = never): Promise<DeliverySession> => {
  const result = await connect(route, source, 'opportunistic', signal);
  assert.ok(result.kind === 'open');
  return result.session;
};

test('there are never more connections than allowed, and who waits gets the place of one that closed', async () => {
  const { connect, most } = site();
  const limited = limitConnections(connect, 2);
  const first = await opened(limited);
  await opened(limited);
  let third: DeliverySession | undefined;
  const waiting = opened(limited).then((session) => {
    third = session;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(third, undefined);
  await first.close();
  await waiting;
  assert.ok(third !== undefined);
  assert.equal(most(), 2);
});

test('a connection that fails gives its place back, and closing twice gives it back once', async () => {
  const { connect, most } = site(['failed']);
  const limited = limitConnections(connect, 1);
  assert.equal((await limited(route, source, 'opportunistic', never)).kind, 'failed');
  const session = await opened(limited);
  await session.close();
  await session.close();
  await opened(limited);
  const blocked = new AbortController();
  const another = opened(limited, blocked.signal);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(most(), 1);
  blocked.abort();
  await another;
});

test('sites that hang leave places for one that takes mail, and sites that were unreachable leave places for new ones', async () => {
  const at = (name: string): Route => ({ ...route, site: name });
  const failing = new Set(['down.test']);
  const connect: Connect = async ({ site: name }) => {
    if (failing.has(name)) return { kind: 'failed', isSiteDown: true, outcome };
    const delivered = { ...outcome, disposition: 'delivered' } as const;
    const session = { isUsable: true, deliver: async () => [delivered], close: async () => undefined } as unknown as DeliverySession;
    return { kind: 'open', session };
  };
  const limited = limitConnections(connect, 8);
  const open = async (name: string): Promise<DeliverySession> => {
    const result = await limited(at(name), source, 'opportunistic', never);
    assert.ok(result.kind === 'open');
    return result.session;
  };
  let settled = new Set<string>();
  const count = async (name: string, many: number): Promise<number> => {
    settled = new Set();
    for (let n = 0; n < many; n++) void open(name).then(() => settled.add(`${name}${n}`));
    await new Promise((resolve) => setImmediate(resolve));
    return settled.size;
  };

  const works = await open('works.test');
  await works.deliver({} as never);
  await works.close();
  await limited(at('down.test'), source, 'opportunistic', never);
  failing.clear();

  assert.equal(await count('down.test', 8), 4);
  assert.equal(await count('new.test', 8), 2);
  assert.equal(await count('works.test', 8), 2);
});
