import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import type { EgressSource } from '#model/egress.ts';
import type { WorkItem } from '#queue/work-item.ts';
import type { DomainSettings, IpPool } from '#store/domain-store.ts';
import type { Domain } from '#store/store.ts';
import { createSourceChoice } from './source-choice.ts';

const SOURCES: readonly EgressSource[] = [
  { name: 'a', address: '192.0.2.1', ehlo: 'a', pool: 'default' },
  { name: 'b', address: '192.0.2.2', ehlo: 'b', pool: 'default' },
  { name: 'c', address: '192.0.2.3', ehlo: 'c', pool: 'bulk' },
];

const pool = (id: string, name: string, ips: readonly string[]): IpPool => ({ id, accountId: 1, name, description: '', ips, createdMs: 0 });

interface Given {
  readonly settings?: DomainSettings;
  readonly own?: readonly IpPool[];
  readonly lent?: IpPool;
  readonly sources?: readonly EgressSource[];
  readonly dynamic?: readonly string[];
  readonly isUsedUp?: (source: EgressSource) => boolean;
}

function choiceOf({ settings = {}, own = [], lent, sources = SOURCES, isUsedUp, dynamic }: Given) {
  return createSourceChoice({
    sources,
    domains: { listPools: async () => [...own], poolLentTo: async () => lent },
    dynamicAddresses: async () => dynamic,
    domainById: async () => ({ id: 1, settings }) as unknown as Domain,
    ...(isUsedUp !== undefined && { isUsedUp }),
    clock: systemClock,
  });
}

/** The names of the sources that four recipients of a message leave from. */
async function taken(given: Given, options: { sendingIp?: string; sendingIpPool?: string } = {}): Promise<string> {
  const choice = choiceOf(given);
  const found = await Promise.all(
    [0, 1, 2, 3].map((id) =>
      choice.sourceFor({ message: { accountId: 1, domainId: 1, info: { options } }, recipient: { id } } as unknown as WorkItem),
    ),
  );
  return found.map((source) => source?.name).join('');
}

test('mail of a domain without any wish takes turns in the default pool', async () => {
  assert.equal(await taken({}), 'abab');
});

test('the domain’s own addresses go before its pool, and that before one that was lent', async () => {
  const [mine, theirs] = [pool('p1', 'mine', ['192.0.2.3']), pool('p2', 'theirs', ['192.0.2.2'])];
  assert.equal(await taken({ lent: theirs }), 'bbbb');
  assert.equal(await taken({ settings: { poolId: 'p1' }, own: [mine], lent: theirs }), 'cccc');
  assert.equal(await taken({ settings: { poolId: 'p1', ips: ['192.0.2.1'] }, own: [mine], lent: theirs }), 'aaaa');
});

test('what the message names goes before all: an address, a pool of the configuration, or one of the account by name or id', async () => {
  const own = [pool('p1', 'mine', ['192.0.2.1', '192.0.2.3'])];
  const settings = { ips: ['192.0.2.2'] };
  assert.equal(await taken({ settings, own }, { sendingIp: '192.0.2.3' }), 'cccc');
  assert.equal(await taken({ settings, own }, { sendingIpPool: 'bulk' }), 'cccc');
  assert.equal(await taken({ settings, own }, { sendingIpPool: 'mine' }), 'acac');
  assert.equal(await taken({ settings, own }, { sendingIpPool: 'p1' }), 'acac');
});

test('a pool that is gone, or has nothing of this node, does not keep mail waiting', async () => {
  assert.equal(await taken({ settings: { poolId: 'gone' } }), 'abab');
  assert.equal(await taken({ settings: { ips: ['198.51.100.1'] } }), 'abca');
});

test('a domain may leave its pool to how its mail fares', async () => {
  const settings = { poolId: 'dynamic' };
  assert.equal(await taken({ settings, dynamic: ['192.0.2.3'], lent: pool('p2', 'lent', ['192.0.2.2']) }), 'cccc');
  assert.equal(await taken({ settings }), 'abca');
});

test('what an address may not send any more today leaves from the others, and waits for it where there are none', async () => {
  const isUsedUp = ({ name }: EgressSource): boolean => name === 'a';
  assert.equal(await taken({ isUsedUp }), 'bbbb');
  assert.equal(await taken({ isUsedUp }, { sendingIp: '192.0.2.1' }), 'aaaa');
});

test('a pool may be named that is of the configuration, of the account, or lent to it', async () => {
  const choice = choiceOf({ own: [pool('p1', 'mine', [])], lent: pool('p2', 'lent', []) });
  for (const name of ['bulk', 'mine', 'p1', 'lent']) assert.equal(await choice.mayUsePool(1, name), true, name);
  assert.equal(await choice.mayUsePool(1, 'other'), false);
});
