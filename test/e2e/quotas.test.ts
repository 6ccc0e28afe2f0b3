/**
 * Limits of accounts on the running program: recipients by the hour and by the day, whichever door they come by, and API requests by the second. A message is taken whole or
 * refused whole.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Answered, DOMAIN, Installation, KEY, type Server, submit } from '../kit/installation.ts';
import { hourLasts } from '../kit/hour.ts';
import { until } from '../kit/until.ts';

const PER_HOUR = 20;
const PER_DAY = 50;
const HOUR_MS = 3_600_000;

await hourLasts(120_000);
const home = await Installation.make(
  { after },
  { 'limits.recipients_per_hour': String(PER_HOUR), 'limits.recipients_per_day': String(PER_DAY) },
  { zone: { 'x.test': { A: ['127.0.0.1'] } } },
);
let server = await home.start();
const others: { id: number; key: string; domain: string }[] = [];

/** An account of its own, so that no test uses up another's. */
async function account(name: string): Promise<{ readonly id: number; readonly key: string; readonly domain: string }> {
  const { out } = await home.command('account', 'add', name, '--json');
  const { id, apiKey } = JSON.parse(out) as { id: number; apiKey: string };
  const made = { id, key: apiKey, domain: `${name}.test` };
  others.push(made);
  const { status } = await server.call('POST', '/v4/domains', { name: made.domain }, {}, made.key);
  assert.equal(status, 200);
  return made;
}

const many = (count: number): string[] => Array.from({ length: count }, (_, n) => `user${n}@x.test`);

interface Sent extends Answered {
  readonly askedMs: number;
}

async function send(to: Server, from: { readonly key: string; readonly domain: string }, count: number, headers = {}): Promise<Sent> {
  const fields = { from: `app@${from.domain}`, to: many(count), subject: 's', text: 't' };
  const askedMs = Date.now();
  return { askedMs, ...(await to.call('POST', `/v3/${from.domain}/messages`, fields, headers, from.key)) };
}

function isRefused(answered: Sent, domain: string): void {
  assert.equal(answered.status, 429);
  const message = String(answered.body['message']);
  const told =
    /^Domain (\S+) is not allowed to send: recipient limit exceeded, try again after (\w{3}, \d\d \w{3} \d{4} \d\d:00:00 UTC)$/.exec(
      message,
    );
  assert.equal(told?.[1], domain, message);
  const [mostMs, leastMs] = [answered.askedMs, Date.now()].map((atMs) => Date.parse(told?.[2] ?? '') - atMs) as [number, number];
  assert.ok(leastMs > -1000 && mostMs <= 24 * HOUR_MS, message);
  const retryMs = Number(answered.headers.get('retry-after')) * 1000;
  assert.ok(retryMs > leastMs - 2000 && retryMs < mostMs + 2000, 'Retry-After tells the same time');
}

test('an account over its hour is refused with the time at which it may send again, and nothing of the message is kept', async () => {
  const mine = await account('hourly');
  const first = await send(server, mine, 15);
  assert.equal(first.status, 200);
  assert.deepEqual(
    [first.headers.get('x-recipient-limit'), first.headers.get('x-recipient-remaining')],
    [String(PER_HOUR), String(PER_HOUR - 15)],
  );
  assert.equal(Number(first.headers.get('x-recipient-reset')) % HOUR_MS, 0);
  isRefused(await send(server, mine, 6), mine.domain);
  assert.equal((await send(server, mine, 5)).status, 200);
  const refused = await send(server, mine, 1);
  isRefused(refused, mine.domain);
  assert.equal(refused.headers.get('x-recipient-remaining'), '0');
  const { body } = await server.call('GET', `/v3/${mine.domain}/events?event=accepted&limit=100`, undefined, {}, mine.key);
  assert.equal((body['items'] as unknown[]).length, PER_HOUR);
});

test('mail by SMTP counts, and is put off with 452', async () => {
  const talk = await server.smtp();
  assert.match(await submit(talk, many(12), 'Subject: s\r\nFrom: app@ours.test\r\n\r\nt'), /^250 /);
  assert.match(
    await submit(talk, many(9), 'Subject: s\r\nFrom: app@ours.test\r\n\r\nt'),
    /^452 4\.7\.1 Domain ours\.test is not allowed to send: recipient limit exceeded, try again after .* UTC/,
  );
  assert.match(await submit(talk, many(8), 'Subject: s\r\nFrom: app@ours.test\r\n\r\nt'), /^250 /);
  isRefused(await send(server, { key: KEY, domain: DOMAIN }, 1), DOMAIN);
});

test('one account over its quota costs others nothing', async () => {
  const [loud, quiet] = [await account('loud'), await account('quiet')];
  assert.equal((await send(server, loud, PER_HOUR)).status, 200);
  isRefused(await send(server, loud, 1), loud.domain);
  assert.equal((await send(server, quiet, 1)).status, 200);
});

test('a repeat of what was accepted is answered as then, also over the quota, and uses nothing', async () => {
  const mine = await account('again');
  const key = { 'idempotency-key': 'one and the same' };
  const first = await send(server, mine, PER_HOUR - 1, key);
  assert.equal((await send(server, mine, PER_HOUR - 1, key)).body['id'], first.body['id']);
  assert.equal((await send(server, mine, 1)).status, 200);
  const again = await send(server, mine, PER_HOUR - 1, key);
  assert.deepEqual([again.status, again.body['id']], [200, first.body['id']]);
  isRefused(await send(server, mine, 1, { 'idempotency-key': 'another' }), mine.domain);
});

test('an operator gives one account other limits than the rest, and a running server follows', async () => {
  const mine = await account('special');
  assert.equal((await send(server, mine, PER_HOUR)).status, 200);
  await home.command('account', 'limit', 'special', '--per-hour', 'none', '--per-day', String(PER_HOUR + 3));
  await until(async () => (await send(server, mine, 1)).status === 200, 'the hour is unlimited');
  assert.equal((await send(server, mine, 2)).status, 200);
  const refused = await send(server, mine, 1);
  isRefused(refused, mine.domain);
  assert.match(String(refused.body['message']), / 00:00:00 UTC$/);
  await home.command('account', 'limit', 'special', '--per-day', String(PER_HOUR + 5));
  await until(async () => (await send(server, mine, 2)).status === 200, 'the day has two more');
});

test('what was accepted stays counted when the program is killed, and what it had only been given comes back within a lease', async () => {
  await server.stop();
  // So short a lease may have run out on a busy machine, and then nothing is taken for a moment.
  server = await home.start({ 'store.lease': '2s' });
  const mine = await account('survivor');
  await until(async () => (await send(server, mine, 7)).status === 200, 'mail is taken');
  await server.kill();
  server = await home.start();
  await until(async () => (await send(server, mine, PER_HOUR - 7)).status === 200, 'the rest of the hour is there');
  isRefused(await send(server, mine, 1), mine.domain);
});

test('an account that asks too often in a second is told so, and when; others and health are not', async () => {
  const [eager, patient] = [await account('eager'), await account('patient')];
  await home.command('account', 'limit', 'eager', '--requests-per-second', '5');
  const ask = (): Promise<Answered> => server.call('GET', `/v3/domains/${eager.domain}/sending_queues`, undefined, {}, eager.key);
  await until(async () => (await ask()).headers.has('x-request-limit'), 'the limit is known');
  const startedMs = performance.now();
  const answers = await Promise.all(Array.from({ length: 40 }, ask));
  // By the second, and more seconds on a busy machine.
  const seconds = Math.ceil((performance.now() - startedMs) / 1000);
  const refused = answers.filter(({ status }) => status === 429);
  assert.ok(refused.length >= 40 - (seconds + 2) * 5 && refused.length < 40, `${refused.length} of 40 refused`);
  for (const { body, headers } of refused) {
    assert.equal(body['message'], 'account-requests-per-sec limit exceeded, try again after 1 seconds');
    assert.deepEqual([headers.get('retry-after'), headers.get('x-request-limit'), headers.get('x-request-remaining')], ['1', '5', '0']);
  }
  assert.equal((await server.call('GET', `/v3/domains/${patient.domain}/sending_queues`, undefined, {}, patient.key)).status, 200);
  assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
  await until(async () => (await ask()).status === 200, 'the next second is another');
});
