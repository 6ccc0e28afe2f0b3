/** Dynamic pools on the running program: the band that a domain is in decides the address that its mail leaves from. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const ADDRESSES = { good_reputation: '127.0.0.3', poor_reputation: '127.0.0.4', new_senders: '127.0.0.5' };
const home = await Installation.make(
  { after },
  { 'delivery.sources': JSON.stringify(['127.0.0.2', ...Object.values(ADDRESSES)].map((address) => ({ address, name: address }))) },
);
const server = await home.start();
let serial = 0;

/** Where the next message leaves from. */
async function leavesFrom(): Promise<string> {
  const to = `user${++serial}@x.test`;
  await server.send(to);
  return until(async () => {
    const { body } = await server.call('GET', `/v3/${DOMAIN}/events?recipient=${to}&event=delivered`);
    const [event] = body['items'] as { envelope: { 'sending-ip'?: string } }[];
    return event?.envelope['sending-ip'];
  }, `${to} is delivered`);
}

test('a domain sends from the pool that it is in, whoever put it there, and from any when it has left', async () => {
  await server.mustCall('POST', '/v3/dynamic_pools/all', ADDRESSES);
  await server.mustCall('POST', `/v3/domains/${DOMAIN}/dynamic_pools`);
  await until(async () => (await leavesFrom()) === ADDRESSES.new_senders, 'a new sender has its address');
  await server.mustCall('PUT', `/v1/dynamic_pools/domains/${DOMAIN}/override`, { pool: 'dynamic_poor' });
  await until(async () => (await leavesFrom()) === ADDRESSES.poor_reputation, 'the other pool acts within seconds');
  const froms = await Promise.all(Array.from({ length: 6 }, leavesFrom));
  assert.deepEqual(new Set(froms), new Set([ADDRESSES.poor_reputation]));
  await server.mustCall('DELETE', `/v3/domains/${DOMAIN}/dynamic_pools?replacement_ip=127.0.0.2`);
  await until(async () => (await leavesFrom()) === '127.0.0.2', 'the replacement acts within seconds');
});
