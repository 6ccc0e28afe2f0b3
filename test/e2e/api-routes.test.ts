/** Routes over the API: what is stored is checked, and `match` tells which one an address meets first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { ask, type Json, startRig } from './api-kit.ts';

test('mailgun.js manages routes', async () => {
  await using rig = await startRig();
  const { routes } = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  const made = await routes.create({
    description: 'Integration Test Route',
    expression: 'match_recipient("alice@")',
    action: ['forward(".*@")', 'stop()'],
  });
  assert.match(made.id, /^[0-9a-f]{24}$/);
  assert.match(made.created_at, /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  assert.deepEqual(made.actions, ['forward(".*@")', 'stop()']);
  assert.deepEqual(await routes.get(made.id), made);
  assert.deepEqual(await routes.list({ limit: 1, skip: 0 }), [made]);
  const updated = await routes.update(made.id, { description: 'd', expression: 'catch_all()', action: ['stop()'] });
  assert.partialDeepStrictEqual(updated, {
    id: made.id,
    priority: 0,
    expression: 'catch_all()',
    actions: ['stop()'],
    message: 'Route has been updated',
  });
  assert.partialDeepStrictEqual(await routes.matchAddress('bob@example.org'), { id: made.id });
  assert.partialDeepStrictEqual(await routes.destroy(made.id), { id: made.id, message: 'Route has been deleted' });
  assert.deepEqual(await routes.list({}), []);
});

test('a change leaves alone what it does not name, and shows the route in both places', async () => {
  await using rig = await startRig();
  const [, made] = await ask(rig, 'POST', '/v3/routes', { expression: 'catch_all()', action: 'stop()', description: 'd', priority: '7' });
  const route = made['route'] as Json;
  const [status, changed] = await ask(rig, 'PUT', `/v3/routes/${route['id']}`, { id: String(route['id']), priority: '3' });
  assert.deepEqual(
    [status, changed],
    [200, { ...route, priority: 3, message: 'Route has been updated', route: { ...route, priority: 3 } }],
  );
});

test('routes are listed by priority, with their number', async () => {
  await using rig = await startRig();
  for (const priority of ['5', '0', '3']) await ask(rig, 'POST', '/v3/routes', { expression: 'catch_all()', action: 'stop()', priority });
  const [, page] = await ask(rig, 'GET', '/v3/routes?skip=1&limit=1');
  assert.equal(page['total_count'], 3);
  assert.deepEqual(
    (page['items'] as Json[]).map((item) => item['priority']),
    [3],
  );
  assert.deepEqual(await ask(rig, 'GET', '/v3/routes?limit=1001'), [400, { message: "The 'limit' parameter can't be larger than 1000" }]);
  assert.equal((await ask(rig, 'GET', '/v3/routes?skip=-1'))[0], 400);
});

test('an address meets the first route by priority that matches it', async () => {
  await using rig = await startRig();
  const add = async (expression: string, priority: string): Promise<unknown> =>
    ((await ask(rig, 'POST', '/v3/routes', { expression, action: 'store()', priority }))[1]['route'] as Json)['id'];
  const meets = async (address: string): Promise<unknown> => {
    const [status, body] = await ask(rig, 'GET', `/v3/routes/match?address=${encodeURIComponent(address)}`);
    return status === 200 ? (body['route'] as Json)['id'] : [status, body['message']];
  };
  assert.deepEqual(await meets('bob@example.org'), [404, 'Route not found']);
  const bob = await add('match_recipient("^bob.*@example\\.org$")', '5');
  const header = await add('match_header("subject", ".*")', '0');
  const others = await add('match_recipient(".*@example\\.org") and not match_recipient("eve")', '6');
  assert.deepEqual([await meets('bob+x@EXAMPLE.org'), await meets('carol@example.org')], [bob, others]);
  assert.deepEqual(await meets('eve@example.org'), [404, 'Route not found']);
  const rest = await add('catch_all()', '9');
  assert.deepEqual([await meets('eve@example.org'), await meets('bob@example.org')], [rest, bob]);
  assert.notEqual(await meets('bob@example.org'), header);
  assert.equal((await ask(rig, 'GET', '/v3/routes/match'))[0], 400);
  assert.equal((await ask(rig, 'GET', '/v3/routes/match?address=nobody'))[0], 400);
});

test('a route that cannot be read any more meets nothing, as with mail', async () => {
  await using rig = await startRig();
  const { accountId } = rig.tenant;
  const old = { id: 'a'.repeat(24), accountId, priority: 0, description: '', actions: ['stop()'], createdMs: 0 };
  assert.equal(await rig.store.routes.createRoute({ ...old, expression: `match_recipient("${'()'.repeat(51)}")` }, 10), true);
  await ask(rig, 'POST', '/v3/routes', { expression: 'catch_all()', action: 'stop()', description: 'rest', priority: '1' });
  const [status, { route }] = await ask(rig, 'GET', '/v3/routes/match?address=bob@example.org');
  assert.deepEqual([status, (route as Json)['description']], [200, 'rest']);
});

test('what cannot be done is refused with a sentence, and nothing is stored', async () => {
  await using rig = await startRig();
  const good = { expression: 'catch_all()', action: 'stop()' };
  for (const fields of [
    { action: 'stop()' },
    { expression: 'catch_all()' },
    { ...good, expression: 'match_recipient("(")' },
    { ...good, expression: 'drop table' },
    { ...good, expression: `match_recipient("${'a'.repeat(5000)}")` },
    { ...good, action: ['stop()', 'exec("x")'] },
    { ...good, action: Array.from({ length: 33 }, () => 'stop()') },
    { ...good, priority: 'first' },
    { ...good, priority: '-1' },
    { ...good, description: 'a\r\nb' },
    { ...good, description: 'x'.repeat(1001) },
  ]) {
    const [status, body] = await ask(rig, 'POST', '/v3/routes', fields as Record<string, string | string[]>);
    assert.equal(status, 400, JSON.stringify(fields).slice(0, 80));
    assert.ok(String(body['message']).length > 10);
  }
  assert.equal((await ask(rig, 'GET', '/v3/routes'))[1]['total_count'], 0);
});

test('a route of another account is not there', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'example.com');
  const [, made] = await ask(rig, 'POST', '/v3/routes', { expression: 'catch_all()', action: 'stop()' });
  const path = `/v3/routes/${(made['route'] as Json)['id']}`;
  for (const [method, fields] of [
    ['GET', undefined],
    ['PUT', { priority: '1' }],
    ['DELETE', undefined],
  ] as const) {
    assert.deepEqual(await ask(rig, method, path, fields, other.key), [404, { message: 'Route not found' }]);
  }
  assert.equal((await ask(rig, 'GET', '/v3/routes/match?address=a@b.example', undefined, other.key))[0], 404);
  assert.equal((await ask(rig, 'GET', path))[0], 200);
});
