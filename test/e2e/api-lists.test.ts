/** Mailing lists and members over HTTP, in the words and shapes that clients of the hosted service expect. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { type ApiRig, askWith as ask, type Json, startRig } from './api-kit.ts';

const LIST = 'news@example.org';
const AT = `/v3/lists/${LIST}`;

function form(fields: Record<string, string | Blob>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') data.append(name, value);
    else data.append(name, value, 'members.csv');
  }
  return data;
}

const make = (rig: ApiRig, fields: Record<string, string> = {}): Promise<[number, Json]> =>
  ask(rig, 'POST', '/v3/lists', form({ address: LIST, ...fields }));
const items = ([, { items: found }]: [number, Json]): unknown[] => (found as Json[]).map(({ address }) => address);

test('a list is made, shown, changed and removed', async () => {
  await using rig = await startRig();
  const [status, made] = await make(rig, { name: 'News', description: 'What is new', access_level: 'members' });
  const { created_at: createdAt, ...list } = made['list'] as Json;
  assert.match(String(createdAt), /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d -0000$/);
  assert.deepEqual(
    [status, made['message'], list],
    [
      200,
      'Mailing list has been created',
      { access_level: 'members', address: LIST, description: 'What is new', members_count: 0, name: 'News', reply_preference: 'list' },
    ],
  );
  assert.deepEqual(await make(rig), [400, { message: 'Duplicate object' }]);
  const changed = await ask(rig, 'PUT', AT, form({ address: 'letters@example.org', reply_reference: 'sender' }));
  assert.deepEqual(
    [changed[0], changed[1]['message'], (changed[1]['list'] as Json)['reply_preference'], (changed[1]['list'] as Json)['name']],
    [200, 'Mailing list has been updated', 'sender', 'News'],
  );
  assert.deepEqual(await ask(rig, 'GET', AT), [404, { message: `Mailing list ${LIST} not found` }]);
  assert.deepEqual(await ask(rig, 'DELETE', '/v3/lists/Letters@example.org'), [
    200,
    { address: 'letters@example.org', message: 'Mailing list has been removed' },
  ]);
  assert.equal((await ask(rig, 'GET', '/v3/lists/letters@example.org'))[0], 404);
});

test('what is no list is refused in a sentence', async () => {
  await using rig = await startRig();
  for (const [fields, message] of [
    [{ access_level: 'fake' }, "Invalid access level 'fake'. It can be any of: 'readonly', 'members', 'everyone'."],
    [{ reply_preference: 'x' }, "Invalid reply preference 'x'. It can be any of: 'sender', 'list'"],
    [{ address: 'nobody' }, 'address parameter is not a valid address. please check documentation'],
    [{ address: 'a@stranger.example' }, 'The domain of a@stranger.example does not belong to this account'],
    [{ address: '' }, 'Missing mandatory parameter: address'],
  ] as const) {
    assert.deepEqual(await make(rig, fields), [400, { message }]);
  }
  assert.deepEqual((await ask(rig, 'GET', '/v3/lists'))[1], { total_count: 0, items: [] });
});

test('lists are paged by skipping and by entries', async () => {
  await using rig = await startRig();
  for (const name of ['a', 'b', 'c']) await make(rig, { address: `${name}@example.org` });
  const skipped = await ask(rig, 'GET', '/v3/lists?skip=1&limit=1');
  assert.deepEqual([skipped[1]['total_count'], items(skipped)], [3, ['b@example.org']]);
  const first = await ask(rig, 'GET', '/v3/lists/pages?limit=2');
  const next = await ask(rig, 'GET', (first[1]['paging'] as Json)['next'] as string);
  assert.deepEqual([items(first), items(next)], [['a@example.org', 'b@example.org'], ['c@example.org']]);
  assert.deepEqual(items(await ask(rig, 'GET', (next[1]['paging'] as Json)['previous'] as string)), items(first));
});

test('a member is added once, replaced when asked to, changed and removed', async () => {
  await using rig = await startRig();
  await make(rig);
  const bob = { address: 'bob@example.net', name: 'Bob', subscribed: true, vars: { age: 26 } };
  const add = (fields: Record<string, string>) => ask(rig, 'POST', `${AT}/members`, form({ address: 'Bob@Example.net', ...fields }));
  assert.deepEqual(await add({ name: 'Bob', vars: '{"age": 26}' }), [
    200,
    { member: bob, message: 'Mailing list member has been created' },
  ]);
  assert.deepEqual(await add({}), [400, { message: "Address already exists 'bob@example.net'" }]);
  assert.equal((await add({ name: 'Robert', upsert: 'yes', subscribed: 'no' }))[0], 200);
  assert.deepEqual((await ask(rig, 'GET', `${AT}/members/bob@example.net`))[1], {
    member: { ...bob, name: 'Robert', subscribed: false, vars: {} },
  });
  assert.deepEqual(await ask(rig, 'PUT', `${AT}/members/bob@example.net`, form({ address: 'rob@example.net', subscribed: 'True' })), [
    200,
    { member: { ...bob, address: 'rob@example.net', name: 'Robert', vars: {} }, message: 'Mailing list member has been updated' },
  ]);
  assert.equal(((await ask(rig, 'GET', AT))[1]['list'] as Json)['members_count'], 1);
  assert.deepEqual(await ask(rig, 'DELETE', `${AT}/members/rob@example.net`), [
    200,
    { member: { address: 'rob@example.net' }, message: 'Mailing list member has been deleted' },
  ]);
  assert.deepEqual(await ask(rig, 'DELETE', `${AT}/members/rob@example.net`), [
    404,
    { message: `Member rob@example.net of mailing list ${LIST} not found` },
  ]);
  for (const vars of ['[1]', '{', '"x"', '{"a":'.repeat(20) + '1' + '}'.repeat(20)]) assert.equal((await add({ vars }))[0], 400, vars);
});

test('many are added as JSON, in a form or a body, or none of them', async () => {
  await using rig = await startRig();
  await make(rig);
  const many = JSON.stringify([{ address: 'a@example.net', vars: { n: 1 }, subscribed: false }, 'Bea <b@example.net>']);
  const [status, answer] = await ask(rig, 'POST', `${AT}/members.json`, form({ members: many, upsert: 'yes' }));
  assert.deepEqual(
    [status, Object.keys(answer).sort(), answer['message'], (answer['list'] as Json)['members_count']],
    [200, ['list', 'message', 'task-id'], 'Mailing list has been updated', 2],
  );
  const clash = await ask(rig, 'POST', `${AT}/members.json`, { members: ['c@example.net', 'a@example.net'] });
  assert.deepEqual(clash, [400, { message: "Address already exists 'a@example.net'" }]);
  assert.equal((await ask(rig, 'POST', `${AT}/members.json`, { members: ['c@example.net', 'nobody'] }))[0], 400);
  assert.equal((await ask(rig, 'POST', `${AT}/members.json`, { members: 'x' }))[0], 400);
  assert.deepEqual((await ask(rig, 'GET', `${AT}/members`))[1], {
    total_count: 2,
    items: [
      { address: 'a@example.net', name: '', subscribed: false, vars: { n: 1 } },
      { address: 'b@example.net', name: 'Bea', subscribed: true, vars: {} },
    ],
  });
  assert.deepEqual(items(await ask(rig, 'GET', `${AT}/members?subscribed=yes`)), ['b@example.net']);
  const large = Array.from({ length: 101 }, (_, i) => `m${i}@example.net`);
  assert.equal(
    (await ask(rig, 'POST', `${AT}/members.json`, { members: large }))[1]['message'],
    'Mailing list upload started in background',
  );
});

test('members come out of a CSV file, and are paged from one to the next', async () => {
  await using rig = await startRig();
  await make(rig);
  const upload = (text: string) =>
    ask(rig, 'POST', `${AT}/members.csv`, form({ members: new Blob([text]), subscribed: 'yes', upsert: 'yes' }));
  const [status] = await upload('address,name,vars,subscribed\na@example.net,"Ann, A.","{""n"": 1}",\nb@example.net,,,no\nc@example.net\n');
  assert.equal(status, 200);
  assert.deepEqual((await ask(rig, 'GET', `${AT}/members/a@example.net`))[1], {
    member: { address: 'a@example.net', name: 'Ann, A.', subscribed: true, vars: { n: 1 } },
  });
  const first = await ask(rig, 'GET', `${AT}/members/pages?limit=1&subscribed=yes`);
  const next = await ask(rig, 'GET', (first[1]['paging'] as Json)['next'] as string);
  assert.deepEqual([items(first), items(next)], [['a@example.net'], ['c@example.net']]);
  assert.equal((await upload('address\nd@example.net\nnobody\n'))[0], 400);
  assert.deepEqual(await upload('name\nx\n'), [400, { message: 'while reading csv header' }]);
  assert.equal(((await ask(rig, 'GET', AT))[1]['list'] as Json)['members_count'], 3);
});

test('another account’s list is not there', async () => {
  await using rig = await startRig();
  await make(rig);
  await ask(rig, 'POST', `${AT}/members`, form({ address: 'a@example.net' }));
  const { key } = await rig.addTenant('other', 'other.example');
  for (const [method, path] of [
    ['GET', AT],
    ['PUT', AT],
    ['DELETE', AT],
    ['GET', `${AT}/members`],
    ['GET', `${AT}/members/pages`],
    ['GET', `${AT}/members/a@example.net`],
    ['PUT', `${AT}/members/a@example.net`],
    ['DELETE', `${AT}/members/a@example.net`],
    ['POST', `${AT}/members`],
    ['POST', `${AT}/members.json`],
    ['POST', `${AT}/members.csv`],
  ] as const) {
    const body = method === 'GET' ? undefined : form({ address: 'x@example.net' });
    assert.deepEqual(await ask(rig, method, path, body, key), [404, { message: `Mailing list ${LIST} not found` }], `${method} ${path}`);
  }
  assert.deepEqual((await ask(rig, 'GET', '/v3/lists', undefined, key))[1], { total_count: 0, items: [] });
});

test('the SDK finds what it knows', async () => {
  await using rig = await startRig();
  const { lists } = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  const made = await lists.create({ address: LIST, name: 'News' });
  assert.equal(made.address, LIST);
  await lists.members.createMember(LIST, {
    address: 'a@example.net',
    name: 'A',
    vars: JSON.stringify({ n: 1 }),
    subscribed: 'yes',
    upsert: 'yes',
  } as never);
  await lists.members.createMembers(LIST, { members: [{ address: 'b@example.net', name: 'B', subscribed: true }], upsert: 'yes' } as never);
  assert.deepEqual(
    (await lists.members.listMembers(LIST)).items.map(({ address }) => address),
    ['a@example.net', 'b@example.net'],
  );
  assert.deepEqual((await lists.members.getMember(LIST, 'a@example.net')).vars, { n: 1 });
  assert.equal((await lists.members.updateMember(LIST, 'a@example.net', { name: 'Z' } as never)).name, 'Z');
  assert.equal((await lists.members.destroyMember(LIST, 'a@example.net')).member.address, 'a@example.net');
  assert.equal((await lists.update(LIST, { name: 'Other' } as never)).name, 'Other');
  assert.equal((await lists.list({ limit: 5 })).items.length, 1);
  assert.equal((await lists.destroy(LIST)).message, 'Mailing list has been removed');
});
