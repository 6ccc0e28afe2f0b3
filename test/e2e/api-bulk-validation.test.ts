/** Lists of addresses that are validated in the background: over HTTP, and by the runner. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import Mailgun from 'mailgun.js';
import { type Clock, HeldClock, systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { type ListRunner, startListRunner } from '#validation/list-runner.ts';
import type { Validate } from '#validation/validate.ts';
import { until } from '../kit/until.ts';
import { type ApiRig, startRig, validation } from './api-kit.ts';

type Json = Record<string, unknown>;

const URL = '/v4/address/validate/bulk';
const LIST = 'name,email\r\nAnn,ann@example.net\r\n"B, C",info@mailinator.com\r\nD,nonsense\r\n';

function runner(t: TestContext, rig: ApiRig, validate: Validate = validation(rig.store), clock: Clock = systemClock): ListRunner {
  const started = startListRunner({ validations: rig.store.validations, validate, clock, log: silentLog });
  t.after(() => started.stop());
  return started;
}

function upload(rig: ApiRig, id: string, text: string, options: { readonly key?: string } = {}): Promise<Response> {
  const body = new FormData();
  body.append('file', new File([text], 'list.csv'));
  return rig.fetch(`${URL}/${id}`, { method: 'POST', body, ...options });
}

async function job(rig: ApiRig, id: string, key?: string): Promise<Json> {
  const response = await rig.fetch(`${URL}/${id}`, { ...(key !== undefined && { key }) });
  assert.equal(response.status, 200);
  return (await response.json()) as Json;
}

function done(rig: ApiRig, id: string): Promise<Json> {
  return until(async () => {
    const seen = await job(rig, id);
    return seen['status'] === 'uploaded' && seen;
  }, 'the list is validated');
}

test('a list is validated in the background, and what came of it is fetched as CSV and JSON', async (t) => {
  await using rig = await startRig();
  const created = await upload(rig, 'news 1', LIST);
  assert.deepEqual([created.status, await created.json()], [202, { id: 'news 1', message: 'The validation job was submitted.' }]);
  const before = await job(rig, 'news%201');
  assert.deepEqual([before['status'], before['quantity'], before['records_processed'], before['download_url']], ['created', 3, 0, null]);
  assert.equal((await rig.fetch(`${URL}/news%201/results.csv`)).status, 404);
  runner(t, rig);
  const after = await done(rig, 'news%201');
  assert.deepEqual(after['summary'], {
    result: { catch_all: 0, deliverable: 0, do_not_send: 1, undeliverable: 1, unknown: 1 },
    risk: { high: 2, low: 0, medium: 0, unknown: 1 },
  });
  assert.equal(after['records_processed'], 3);
  const urls = after['download_url'] as Readonly<Record<'csv' | 'json', string>>;
  const csv = await rig.fetch(urls.csv.slice(rig.url.length));
  assert.match(csv.headers.get('content-type') ?? '', /^text\/csv/);
  assert.match(csv.headers.get('content-disposition') ?? '', /news 1\.csv/);
  assert.deepEqual((await csv.text()).split('\r\n'), [
    'address,is_role_address,is_disposable_address,did_you_mean,result,reason,risk,root_address',
    'ann@example.net,false,false,,unknown,the domain could not be looked up,unknown,',
    'info@mailinator.com,true,true,,do_not_send,mailbox_is_disposable_address; mailbox_is_role_address; the domain could not be looked up,high,',
    'nonsense,false,false,,undeliverable,malformed address; missing @ sign,high,',
    '',
  ]);
  const records = (await (await rig.fetch(urls.json.slice(rig.url.length))).json()) as Json[];
  assert.deepEqual(
    records.map(({ address, result }) => [address, result]),
    [
      ['ann@example.net', 'unknown'],
      ['info@mailinator.com', 'do_not_send'],
      ['nonsense', 'undeliverable'],
    ],
  );
  assert.equal((await rig.fetch(urls.json.slice(rig.url.length), { key: 'wrong' })).status, 401);
});

test('mailgun.js submits, looks at, lists and cancels lists', async (t) => {
  const bell: { ring(): void } = { ring: () => undefined };
  await using rig = await startRig({}, { ringValidations: () => bell.ring() });
  bell.ring = runner(t, rig).ring;
  const { validate } = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  for (const name of ['one', 'two', 'three'])
    assert.equal((await validate.multipleValidation.create(name, { file: { data: LIST, filename: 'list.csv' } })).id, name);
  for (const name of ['one', 'two', 'three']) await done(rig, name);
  const got = await validate.multipleValidation.get('one');
  assert.deepEqual([got.quantity, got.recordsProcessed, got.summary?.result.doNotSend], [3, 3, 1]);
  const first = await validate.multipleValidation.list({ limit: 2 });
  assert.deepEqual([first.jobs.map(({ id }) => id), first.total], [['three', 'two'], 3]);
  const next = (await (await rig.fetch(first.pages['next']?.url.slice(rig.url.length) ?? '')).json()) as { jobs: Json[]; paging: Json };
  assert.deepEqual(
    next.jobs.map(({ id }) => id),
    ['one'],
  );
  const back = (await (await rig.fetch(String(next.paging['previous']).slice(rig.url.length))).json()) as { jobs: Json[] };
  assert.deepEqual(
    back.jobs.map(({ id }) => id),
    ['three', 'two'],
  );
  assert.equal((await validate.multipleValidation.destroy('two')).message, 'Validation job canceled.');
  await assert.rejects(validate.multipleValidation.get('two'), { status: 404 });
  await until(async () => !(await rig.store.validations.purgeValidations(1)), 'what it left is taken away');
});

test('a runner that is stopped in the middle leaves the rest to the next: nothing is validated twice or left out', async (t) => {
  await using rig = await startRig();
  const count = 1000;
  await upload(rig, 'long', `email\n${Array.from({ length: count }, (_, n) => `user${n}@example.net`).join('\n')}\n`);
  const asked: string[] = [];
  const gate = Promise.withResolvers<void>();
  const validate = validation(rig.store);
  const slow = runner(t, rig, async (accountId, address) => {
    asked.push(address);
    if (asked.length > 500) await gate.promise;
    return validate(accountId, address);
  });
  await until(() => asked.length > 500, 'it is in the middle');
  const stopped = slow.stop();
  gate.resolve();
  await stopped;
  const half = await job(rig, 'long');
  assert.ok(Number(half['records_processed']) >= 400 && Number(half['records_processed']) < count);
  assert.equal(half['status'], 'processing');
  runner(t, rig);
  await done(rig, 'long');
  const records = (await (await rig.fetch(`${URL}/long/results.json`)).json()) as Json[];
  assert.deepEqual(
    records.map(({ address }) => address),
    Array.from({ length: count }, (_, n) => `user${n}@example.net`),
  );
});

test('a list is its account’s, its name is taken once, and what is no list is refused', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'other.example');
  assert.equal((await upload(rig, 'mine', LIST)).status, 202);
  assert.equal((await upload(rig, 'mine', LIST)).status, 400);
  assert.equal((await upload(rig, 'mine', LIST, { key: other.key })).status, 202);
  assert.equal((await upload(rig, 'theirs', LIST, { key: other.key })).status, 202);
  for (const method of ['GET', 'DELETE']) assert.equal((await rig.fetch(`${URL}/theirs`, { method })).status, 404);
  assert.equal((await rig.fetch(`${URL}/theirs/results.csv`)).status, 404);
  assert.equal(((await (await rig.fetch(URL)).json()) as Json)['total'], 1);
  for (const wrong of ['', 'name,age\nx,7\n', '[]', '{"a":1}', 'email\n'])
    assert.equal((await upload(rig, 'wrong', wrong)).status, 400, wrong);
  assert.equal((await rig.fetch(`${URL}/wrong`, { method: 'POST' })).status, 400);
  assert.equal((await upload(rig, 'x'.repeat(256), LIST)).status, 400);
  for (let n = 0; n < 9; n++) assert.equal((await upload(rig, `n${n}`, LIST)).status, 202);
  const full = await upload(rig, 'full', LIST);
  assert.deepEqual([full.status, full.headers.get('retry-after')], [429, '60']);
});

test('lists are refused to an account that may not have them, while single addresses are not', async () => {
  await using rig = await startRig();
  await rig.fetch('/v5/accounts/features', { method: 'PUT', body: new URLSearchParams({ validations_bulk: '{"enabled":false}' }) });
  assert.equal((await upload(rig, 'mine', LIST)).status, 403);
  assert.equal((await rig.fetch('/v4/address/validate?address=a@example.net')).status, 200);
});

test('what was validated is counted in what the account used, by itself and in lists', async (t) => {
  // All on one day.
  const clock = new HeldClock(Date.now());
  await using rig = await startRig({}, { clock });
  const usage = async (path: string, query: Json): Promise<{ aggregates: { metrics: Json }; items: { metrics: Json }[] }> => {
    const body = JSON.stringify({ duration: '1d', include_aggregates: true, ...query });
    const response = await rig.fetch(path, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    return (await response.json()) as Awaited<ReturnType<typeof usage>>;
  };
  const known: Validate = (accountId, address) =>
    validation(rig.store)(accountId, address).then((found) => ({
      ...found,
      ...(address.startsWith('ann') && { result: 'deliverable' as const }),
    }));
  for (const address of ['ann@example.net', 'nonsense']) await rig.fetch(`/v4/address/validate?address=${address}`);
  await upload(rig, 'news', LIST);
  runner(t, rig, known, clock);
  await done(rig, 'news');
  const metrics = [
    'email_validation_count',
    'email_validation_single_count',
    'email_validation_bulk_count',
    'email_validation_valid_count',
  ];
  const { aggregates, items } = await usage('/v1/analytics/usage/metrics', { metrics });
  const expected = {
    email_validation_count: 5,
    email_validation_single_count: 2,
    email_validation_bulk_count: 3,
    email_validation_valid_count: 1,
  };
  assert.deepEqual(aggregates.metrics, expected);
  assert.equal(items.length, 1);
  const narrowed = { metrics, filter: { AND: [{ attribute: 'domain', comparator: '=', values: [{ value: 'example.org' }] }] } };
  assert.equal(
    (await usage('/v1/analytics/usage/metrics', narrowed)).aggregates.metrics['email_validation_count'],
    0,
    'they are of no domain',
  );
  assert.deepEqual((await usage('/v1/analytics/metrics', { metrics: ['accepted_count'] })).items, [], 'and are no mail');
});
