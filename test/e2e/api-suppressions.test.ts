/** Suppressions, allowlist and imports over HTTP: what is taken, what is shown, and what it does to mail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { parseEventTime } from '#events/event-time.ts';
import { type ImportRunner, startImports } from '#lists/import-runner.ts';
import Mailgun from 'mailgun.js';
import { until } from '../kit/until.ts';
import { type ApiRig, askWith as ask, type Json, startRig } from './api-kit.ts';

const AT = '/v3/example.org';

const form = (fields: Record<string, string>): URLSearchParams => new URLSearchParams(fields);

function csv(text: string): FormData {
  const body = new FormData();
  body.append('file', new Blob([text], { type: 'text/csv' }), 'list.csv');
  return body;
}

let ring = (): void => undefined;
const rung = { ringImports: () => ring() };

function runImports(rig: ApiRig, imports = rig.store.imports): ImportRunner {
  const runner = startImports({ imports, clock: systemClock, log: silentLog, parseTime: parseEventTime });
  ring = () => runner.ring();
  return runner;
}

async function imported(rig: ApiRig, list: string, text: string): Promise<Json> {
  const response = await rig.fetch(`${AT}/${list}/import`, { method: 'POST', body: csv(text) });
  assert.equal(response.status, 202);
  assert.deepEqual(await response.json(), { message: 'file uploaded successfully for processing. standby...' });
  const place = (response.headers.get('location') as string).replace(rig.url, '');
  return until(async () => {
    const [, job] = await ask(rig, 'GET', place);
    return job['status'] === 'done' && job;
  }, 'the file to be read');
}

test('an unsubscribe for a tag is made by a form or JSON, and taken back tag by tag', async () => {
  await using rig = await startRig();
  const path = `${AT}/unsubscribes`;
  const tagsOf = async (address: string): Promise<unknown> => (await ask(rig, 'GET', `${path}/${address}`))[1]['tags'];
  await ask(rig, 'POST', path, form({ address: 'a@example.net', tag: 'news' }));
  await ask(rig, 'POST', path, { address: 'a@example.net', tags: ['offers', 'news'] });
  assert.deepEqual(await tagsOf('a@example.net'), ['news', 'offers']);
  const added = await ask(rig, 'POST', path, [
    { address: 'b@example.net', tag: '123' },
    { address: 'c@example.net', tags: ['*'] },
  ]);
  assert.deepEqual(added, [200, { message: '2 addresses have been added to the unsubscribes table' }]);
  assert.deepEqual(await tagsOf('b@example.net'), ['123']);
  assert.deepEqual(await tagsOf('c@example.net'), ['*']);
  await ask(rig, 'POST', path, form({ address: 'd@example.net', tags: 'integration' }));
  assert.deepEqual(await tagsOf('d@example.net'), ['*']);
  assert.deepEqual(await ask(rig, 'DELETE', `${path}/a@example.net?tag=news`), [
    200,
    { message: 'Unsubscribe event has been removed', address: 'a@example.net' },
  ]);
  assert.deepEqual(await tagsOf('a@example.net'), ['offers']);
  assert.deepEqual(await ask(rig, 'DELETE', `${path}/a@example.net?tag=news`), [
    404,
    { message: 'Unsubscribe event for this tag does not exist' },
  ]);
});

test('a batch with one bad entry is refused whole', async () => {
  await using rig = await startRig();
  for (const [list, bad] of [
    ['bounces', { address: 'no address' }],
    ['bounces', { address: 'x@example.net', code: 'many' }],
    ['complaints', { address: 'x@example.net', created_at: 'yesterday' }],
    ['unsubscribes', { address: 'x@example.net', tags: ['t'.repeat(200)] }],
    ['unsubscribes', { tags: ['t'] }],
    ['whitelists', { reason: 'neither' }],
    ['whitelists', { domain: 'no domain' }],
  ] as const) {
    const [status, { message }] = await ask(rig, 'POST', `${AT}/${list}`, [{ address: 'good@example.net' }, bad]);
    assert.equal(status, 400, JSON.stringify(bad));
    assert.equal(typeof message, 'string');
    assert.deepEqual((await ask(rig, 'GET', `${AT}/${list}`))[1]['items'], []);
  }
});

test('a whole list is cleared in its own words, and no other with it', async () => {
  await using rig = await startRig();
  const sentences = {
    bounces: 'Bounced addresses for this domain have been removed',
    unsubscribes: 'Unsubscribe addresses for this domain have been removed',
    complaints: 'Complaint addresses for this domain have been removed',
    whitelists: 'Whitelist addresses/domains for this domain have been removed',
  };
  for (const list of Object.keys(sentences)) await ask(rig, 'POST', `${AT}/${list}`, form({ address: 'a@example.net' }));
  for (const [list, message] of Object.entries(sentences)) {
    assert.equal(((await ask(rig, 'GET', `${AT}/${list}`))[1]['items'] as Json[]).length, 1);
    assert.deepEqual(await ask(rig, 'DELETE', `${AT}/${list}`), [200, { message }]);
    assert.deepEqual((await ask(rig, 'GET', `${AT}/${list}`))[1]['items'], []);
    assert.equal((await ask(rig, 'GET', `${AT}/${list}/a@example.net`))[0], 404);
  }
});

test('the allowlist takes addresses and domains, and shows them', async () => {
  await using rig = await startRig();
  const path = `${AT}/whitelists`;
  const message = 'Address/Domain has been added to the whitelists table';
  assert.deepEqual(await ask(rig, 'POST', path, form({ address: 'Kept@Example.net', reason: 'ours' })), [
    200,
    { message, type: 'address', value: 'kept@example.net' },
  ]);
  assert.deepEqual(await ask(rig, 'POST', path, form({ domain: 'Whole.example' })), [
    200,
    { message, type: 'domain', value: 'whole.example' },
  ]);
  assert.deepEqual(await ask(rig, 'POST', path, form({})), [400, { message: 'Missing mandatory parameter: address/domain' }]);
  const [, { items, paging }] = await ask(rig, 'GET', `${path}?limit=1`);
  assert.deepEqual(
    (items as Json[]).map(({ createdAt, ...rest }) => [rest, /^\w{3}, \d\d \w{3} \d{4} [\d:]+ UTC$/.test(String(createdAt))]),
    [[{ type: 'address', value: 'kept@example.net', reason: 'ours' }, true]],
  );
  const [, next] = await ask(rig, 'GET', (paging as Record<string, string>)['next']?.replace(rig.url, '') ?? '');
  assert.deepEqual(
    (next['items'] as Json[]).map(({ value }) => value),
    ['whole.example'],
  );
  assert.equal((await ask(rig, 'GET', `${path}/WHOLE.example`))[1]['type'], 'domain');
  assert.deepEqual(await ask(rig, 'DELETE', `${path}/whole.example`), [
    200,
    { message: 'Whitelist address/domain has been removed', value: 'whole.example' },
  ]);
  assert.deepEqual(await ask(rig, 'GET', `${path}/whole.example`), [404, { message: 'Address/Domain not found in allowlist table' }]);
});

test('files are read into each list, what is no entry is counted and told', async () => {
  await using rig = await startRig({}, rung);
  const runner = runImports(rig);
  try {
    const bounces = await imported(
      rig,
      'bounces',
      'address,code,error,created_at\r\ngone@example.net,551,"moved, they say","Fri, 21 Oct 2011 11:02:55 UTC"\nnonsense,550,,\nlater@example.net\n',
    );
    assert.deepEqual([bounces['added'], bounces['failed'], bounces['list']], [2, 1, 'bounces']);
    assert.match(String(bounces['error']), /^nonsense: .*not a valid address/);
    assert.deepEqual((await ask(rig, 'GET', `${AT}/bounces/gone@example.net`))[1], {
      address: 'gone@example.net',
      code: '551',
      error: 'moved, they say',
      created_at: 'Fri, 21 Oct 2011 11:02:55 UTC',
    });
    await imported(rig, 'unsubscribes', 'tags,address\n"news, offers",a@example.net\n*,b@example.net\n"[""x""]",c@example.net\n');
    const tags = (await ask(rig, 'GET', `${AT}/unsubscribes`))[1]['items'] as Json[];
    assert.deepEqual(
      tags.map((item) => item['tags']),
      [['news', 'offers'], ['*'], ['x']],
    );
    await imported(rig, 'complaints', 'address\nangry@example.net');
    assert.equal((await ask(rig, 'GET', `${AT}/complaints/angry@example.net`))[0], 200);
    await imported(rig, 'whitelists', 'address,domain\na@example.net,\n,whole.example\n');
    assert.equal((await ask(rig, 'GET', `${AT}/whitelists/whole.example`))[0], 200);
    assert.equal(((await ask(rig, 'GET', '/v1/imports'))[1]['items'] as Json[]).length, 4);
  } finally {
    await runner.stop();
  }
});

test('a file without the columns that a list needs, or none at all, is refused', async () => {
  await using rig = await startRig({}, rung);
  const path = `${AT}/bounces/import`;
  assert.deepEqual(await ask(rig, 'POST', path, csv('code,error\n550,x\n')), [400, { message: 'while reading csv header' }]);
  assert.deepEqual(await ask(rig, 'POST', path, csv('')), [400, { message: 'while reading csv header' }]);
  assert.deepEqual(await ask(rig, 'POST', path, form({ other: 'x' })), [400, { message: 'Missing mandatory parameter: file' }]);
  assert.equal((await ask(rig, 'POST', '/v3/stranger.example/bounces/import', csv('address\n')))[0], 404);
  assert.deepEqual((await ask(rig, 'GET', '/v1/imports'))[1], { items: [] });
});

test('a file whose reader stopped in the middle is read on by the next, and each row once', async () => {
  await using rig = await startRig({}, rung);
  const rows = 12_000;
  const text = `address,code\n${Array.from({ length: rows }, (_, i) => `a${i}@example.net,${i === 7 ? 'x' : 550}`).join('\n')}`;
  const response = await rig.fetch(`${AT}/bounces/import`, { method: 'POST', body: csv(text) });
  const place = (response.headers.get('location') as string).replace(rig.url, '');
  const jobOf = async (): Promise<Json> => (await ask(rig, 'GET', place))[1];
  const { imports } = rig.store;
  const gate = Promise.withResolvers<void>();
  const first = runImports(rig, {
    ...imports,
    async advanceImport(step) {
      const isHeld = await imports.advanceImport(step);
      await gate.promise;
      return isHeld;
    },
  });
  await until(async () => Number((await jobOf())['position']) > 0, 'the first rows to be read');
  const stopping = first.stop();
  gate.resolve();
  await stopping;
  const stopped = await jobOf();
  assert.equal(stopped['status'], 'processing');
  const second = runImports(rig);
  try {
    const done = await until(async () => {
      const job = await jobOf();
      return job['status'] === 'done' && job;
    }, 'the rest to be read');
    assert.deepEqual([done['added'], done['failed'], done['position']], [rows - 1, 1, done['size']]);
  } finally {
    await second.stop();
  }
  assert.equal((await ask(rig, 'GET', `${AT}/bounces/a11999@example.net`))[0], 200);
});

test('the SDK makes, lists and destroys entries of every list', async () => {
  await using rig = await startRig();
  const client = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  await client.suppressions.create('example.org', 'unsubscribes', [
    { address: 'a@example.net', tags: ['x'] },
    { address: 'b@example.net', tags: ['x'] },
  ]);
  const page = await client.suppressions.list('example.org', 'unsubscribes', { limit: 1 });
  assert.deepEqual(
    page.items.map((item) => ({ ...item })['tags' as never]),
    [['x']],
  );
  await client.suppressions.create('example.org', 'whitelists', { domain: 'whole.example' } as never);
  const entry = await client.suppressions.get('example.org', 'whitelists', 'whole.example');
  assert.equal({ ...entry }['value' as never], 'whole.example');
  assert.equal((await client.suppressions.destroy('example.org', 'whitelists', 'whole.example')).value, 'whole.example');
});
