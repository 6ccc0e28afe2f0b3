/** One node as its operator sees it: listed, drained and resumed by the command line and the API, and doing only the services it was given. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { NodeRow } from '#store/store.ts';
import { DOMAIN, Installation, type Server } from '../kit/installation.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';
import { startRig } from './api-kit.ts';

/** A beat comes four times in a lease: what an operator wants is learnt so soon. Long enough that a node which stands still for some seconds has not lost its lease. */
const home = await Installation.make({ after }, { 'store.lease': '10s', 'delivery.connection_idle': '1s' });

async function nodesOf(server: Server): Promise<readonly NodeRow[]> {
  const { body } = await server.mustCall('GET', '/v1/nodes');
  return body['items'] as readonly NodeRow[];
}

async function own(server: Server): Promise<NodeRow> {
  const [row] = (await nodesOf(server)).filter(({ state }) => state !== 'stopped' && state !== 'lost');
  assert.ok(row);
  return row;
}

const stateIs = (server: Server, state: NodeRow['state']): Promise<boolean> =>
  until(async () => (await own(server)).state === state, `the node is ${state}`);

/** Every recipient of it. */
async function delivered(server: Server, id: string): Promise<void> {
  await until(async () => (await server.recipients(id)).every(({ status }) => status === 'delivered'), `${id} is delivered`);
}

test('a node is listed with what it does, by the API and by the command line, and as stopped when it ended', async () => {
  const server = await home.start({ 'node.name': 'mail-1', 'delivery.sources': JSON.stringify([{ name: 'out-1' }]) });
  const row = await own(server);
  assert.partialDeepStrictEqual(row, {
    name: 'mail-1',
    state: 'running',
    services: ['accept', 'deliver', 'webhooks', 'web'],
    sources: ['out-1'],
    leased: 0,
  });
  const told = await home.command('nodes');
  assert.match(told.out, /^ *id +name +state .*\n *\d+ +mail-1 +running +accept,deliver,webhooks,web +out-1 +0 +\d+s ago /);
  await server.stop();
  const { items } = JSON.parse((await home.command('nodes', '--json')).out) as { items: NodeRow[] };
  assert.equal(items.find(({ id }) => id === row.id)?.state, 'stopped');
});

test('a drained node takes no mail, gives back what waits, finishes what it is sending, and goes on when it is resumed', async (t) => {
  const answer = Promise.withResolvers<void>();
  home.sink.configure({ gates: { dot: answer.promise } });
  // Whatever becomes of this test, the next ones find a server that answers.
  t.after(() => {
    answer.resolve();
    home.sink.configure({});
  });
  const server = await home.start({ 'node.name': 'mail-1', 'delivery.shaping': JSON.stringify([{ match: '*', connections: 1 }]) });
  const talk = await server.smtp();
  const sending = await server.send('a@x.test');
  await until(() => home.sink.transactions.length > 0, 'one is being sent');
  const waiting = await server.sendBatch(['b@x.test', 'c@x.test']);
  await until(async () => (await own(server)).leased === 3, 'the others wait in the lane');

  const asked = await home.command('nodes', 'drain', 'mail-1');
  assert.match(asked.out, /node \d+ \(mail-1\) is asked to drain/);
  await stateIs(server, 'draining');
  assert.match(await talk.say(`MAIL FROM:<app@${DOMAIN}>`), /^421 4\.3\.2 /);
  const late = await SmtpTalk.open(server.smtpPort, { expectGreeting: false });
  assert.match(await late.reply(), /421 4\.3\.2 .*asked to take no mail/);
  const refused = await server.call('POST', `/v3/${DOMAIN}/messages`, { from: `a@${DOMAIN}`, to: 'd@x.test', text: 'x' });
  assert.deepEqual([refused.status, refused.headers.has('retry-after')], [503, true]);
  assert.match(refused.text, /asked to take no mail/);
  const readiness = await server.call('GET', '/readyz');
  assert.deepEqual([readiness.status, /asked to take no mail/.test(readiness.text)], [503, true]);
  assert.equal((await server.call('GET', '/healthz')).status, 200);
  await until(async () => (await own(server)).leased === 1, 'what waited was given back');
  const waits = (await server.recipients(waiting)).map(({ next }) => next?.reason);
  assert.deepEqual(waits, ['draining', 'draining']);

  answer.resolve();
  await stateIs(server, 'drained');
  await delivered(server, sending);
  home.sink.configure({});
  await server.mustCall('POST', `/v1/nodes/${(await own(server)).id}/resume`);
  await stateIs(server, 'running');
  await delivered(server, waiting);
  await delivered(server, await server.send('after@x.test'));
  assert.equal((await server.call('GET', '/readyz')).status, 200);
  await server.stop();
});

test('a node that was killed, with no other to give it up, is listed as silent', async () => {
  const server = await home.start({ 'node.name': 'mail-1' });
  await server.kill();
  await until(async () => /mail-1 +running, silent/.test((await home.command('nodes')).out), 'it is silent');
});

test('who is asked for a node that does not run is told so', async () => {
  const server = await home.start({ 'node.name': 'mail-1' });
  assert.equal((await server.call('POST', '/v1/nodes/999999/drain')).status, 404);
  assert.equal((await server.call('POST', '/v1/nodes/mail-1/drain')).status, 404);
  const asked = await home.command('nodes', 'drain', 'nobody');
  assert.deepEqual([asked.status, /no node nobody runs/.test(asked.error)], [1, true]);
  await server.stop();
});

test('a node that does not deliver keeps what it takes for those that do, and leases nothing of it', async () => {
  const taking = await home.start({ 'node.name': 'door', 'node.services': 'accept,web' });
  const id = await taking.send('later@x.test');
  const [before] = await taking.recipients(id);
  assert.deepEqual([before?.status, before?.next?.reason, (await own(taking)).leased], ['waiting', 'due', 0]);
  await taking.stop();
  const delivering = await home.start({ 'node.name': 'back' });
  await delivered(delivering, id);
  await delivering.stop();
});

test('a node that takes no mail has no door for it, and its API says so; health is told by every node', async () => {
  const server = await home.start({ 'node.name': 'back', 'node.services': 'deliver,web' });
  assert.deepEqual([...server.program.doors.keys()], ['http']);
  const refused = await server.call('POST', `/v3/${DOMAIN}/messages`, { from: `a@${DOMAIN}`, to: 'd@x.test', text: 'x' });
  assert.equal(refused.status, 503);
  assert.match(refused.text, /another one of the installation/);
  assert.equal((await server.call('GET', '/readyz')).status, 200);
  await server.stop();
});

test('a node without the web service takes mail, and shows nothing but its health, metrics and description', async () => {
  await using rig = await startRig({ metricsNetworks: ['127.0.0.0/8'] }, { services: ['accept'] });
  const body = new URLSearchParams({ from: `a@${rig.tenant.domain.name}`, to: 'b@x.test', text: 'x' });
  assert.equal((await rig.fetch(`/v3/${rig.tenant.domain.name}/messages`, { method: 'POST', body })).status, 200);
  for (const path of ['/v1/queue', '/v1/nodes', `/v3/${rig.tenant.domain.name}/events`])
    assert.equal((await rig.fetch(path)).status, 503, path);
  assert.equal((await rig.fetch('/')).status, 404);
  for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json']) assert.equal((await rig.fetch(path)).status, 200, path);
});
