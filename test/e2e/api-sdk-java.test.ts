/** What the SDK for Java needs: how it writes what it sends (forms of parts with a type each, dates with the names of zones), and what it reads into its classes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askWith as ask, type Json, startRig } from './api-kit.ts';

const AT = '/v3/example.org';

/** Its forms: each value is a part that says what it is, and a list is the same name again. */
function parts(fields: Readonly<Record<string, string | readonly string[]>>): { body: string; headers: Record<string, string> } {
  const boundary = '19ab4f0c2d1';
  const all = Object.entries(fields).flatMap(([name, value]) => [value].flat().map((one) => [name, one] as const));
  const written = all.map(
    ([name, value]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n${value}\r\n`,
  );
  return {
    body: `${written.join('')}--${boundary}--\r\n`,
    headers: { 'content-type': `multipart/form-data; charset=UTF-8; boundary=${boundary}` },
  };
}

test('a page of events is found by all that stands behind /events/ in the URL of the page before, written as one part of a path', async () => {
  await using rig = await startRig();
  const form = parts({ from: 'a@example.org', to: ['b@example.net', 'c@example.net'], subject: 'Hi', text: 'Hi' });
  assert.equal((await rig.fetch(`${AT}/messages`, { method: 'POST', ...form })).status, 200);
  const [, first] = await ask(rig, 'GET', `${AT}/events?limit=1`);
  const behind = (first['paging'] as Record<string, string>)['next']?.split('/events/')[1] as string;
  const [status, second] = await ask(rig, 'GET', `${AT}/events/${encodeURIComponent(behind)}`);
  assert.equal(status, 200);
  const recipients = [first, second].flatMap((page) => (page['items'] as Json[]).map((item) => item['recipient']));
  assert.deepEqual(recipients.sort(), ['b@example.net', 'c@example.net']);
});

test('a date of an entry may name its zone as Java does, and is UTC where nobody says what the name means', async () => {
  await using rig = await startRig();
  const dates: readonly (readonly [string, string])[] = [
    ['Wed, 04 Jul 2018 05:06:07 UTC', 'Wed, 04 Jul 2018 05:06:07 UTC'],
    ['Wed, 04 Jul 2018 05:06:07 Z', 'Wed, 04 Jul 2018 05:06:07 UTC'],
    ['Wed, 04 Jul 2018 05:06:07 PDT', 'Wed, 04 Jul 2018 12:06:07 UTC'],
    ['Wed, 04 Jul 2018 05:06:07 +02:00', 'Wed, 04 Jul 2018 03:06:07 UTC'],
    ['Wed, 04 Jul 2018 05:06:07 CEST', 'Wed, 04 Jul 2018 05:06:07 UTC'],
    ['Wed, 4 Jul 2018 05:06:07 +0900', 'Tue, 03 Jul 2018 20:06:07 UTC'],
  ];
  await ask(
    rig,
    'POST',
    `${AT}/complaints`,
    dates.map(([created_at], n) => ({ address: `ann${n}@example.net`, created_at })),
  );
  for (const [n, [given, shown]] of dates.entries())
    assert.equal((await ask(rig, 'GET', `${AT}/complaints/ann${n}@example.net`))[1]['created_at'], shown, given);
  // Its lists of bounces name the field as its class does.
  await ask(rig, 'POST', `${AT}/bounces`, [{ address: 'ann@example.net', createdAt: 'Wed, 4 Jul 2018 05:06:07 GMT' }]);
  assert.equal((await ask(rig, 'GET', `${AT}/bounces/ann@example.net`))[1]['created_at'], 'Wed, 04 Jul 2018 05:06:07 UTC');
});
