/** Stored messages over the API: shown with what stands above them when they go, and sent again, each recipient of a batch its own copy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageKey } from '#events/storage-key.ts';
import { type ApiRig, ask, type Json, startRig } from './api-kit.ts';

async function send(rig: ApiRig, fields: Record<string, string>): Promise<string> {
  const [status] = await ask(rig, 'POST', '/v3/example.org/messages', { from: 'ann@example.org', subject: 'S', ...fields });
  assert.equal(status, 200);
  const [view] = await rig.store.events.latestMessages(rig.tenant.accountId, 1);
  return `/v3/domains/example.org/messages/${storageKey(view?.message.id ?? 0)}`;
}

function lastMime(rig: ApiRig): string {
  const content = rig.submissions.at(-1)?.content;
  assert.ok(content?.kind === 'mime');
  return content.bytes.toString();
}

const BATCH = JSON.stringify({ 'bob@example.net': { n: 'Bob' }, 'eve@example.net': { n: 'Eve' } });

test('a stored message tells its tag and template beside its headers', async () => {
  await using rig = await startRig();
  await ask(rig, 'POST', '/v3/example.org/templates', { name: 'hello', template: 'Hi' });
  const path = await send(rig, { to: 'bob@example.net', template: 'hello', 'o:tag': 'news' });
  const stored = (await (await rig.fetch(path)).json()) as Json;
  assert.partialDeepStrictEqual(stored, {
    sender: 'ann@example.org',
    recipients: 'bob@example.net',
    'X-Mailgun-Tag': 'news',
    'X-Mailgun-Template-Name': 'hello',
    'body-html': 'Hi\n',
  });
});

test('headers that are spelt as our keys do not pass for ours', async () => {
  await using rig = await startRig();
  const path = await send(rig, {
    to: 'bob@example.net',
    text: 'Hi',
    'h:signature': 'x',
    'h:body-html': '<b>x</b>',
    'h:message-url': 'x',
    'h:X-Own': 'y',
  });
  const stored = (await (await rig.fetch(path)).json()) as Json;
  assert.equal(stored['X-Own'], 'y');
  assert.deepEqual(
    ['signature', 'body-html', 'message-url'].filter((name) => Object.hasOwn(stored, name)),
    [],
  );
});

test('a message that is sent again keeps its content, tags and variables, and goes to whom the request names', async () => {
  await using rig = await startRig();
  const path = await send(rig, {
    to: 'bob@example.net',
    text: 'Hi',
    'o:tag': 'news',
    'v:order': '7',
    'o:deliverytime': String(Math.floor(Date.now() / 1000) + 3600),
  });
  const [status, body] = await ask(rig, 'POST', path, { to: 'Carol <carol@example.net>, dan@example.net' });
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(body), ['id', 'message']);
  assert.equal(body['message'], 'Queued. Thank you.');
  const again = rig.submissions.at(-1);
  assert.deepEqual(
    again?.envelope.recipients.map(({ address }) => address),
    ['carol@example.net', 'dan@example.net'],
  );
  assert.deepEqual([again?.options.tags, again?.options.variables, again?.options.deliverAtMs], [['news'], { order: '7' }, undefined]);
  assert.match(lastMime(rig), /\r\n\r\nHi/);
});

test('a recipient of a batch is sent its own copy again, others the first one’s', async () => {
  await using rig = await startRig();
  const path = await send(rig, { to: 'bob@example.net, eve@example.net', text: 'Hi %recipient.n%', 'recipient-variables': BATCH });
  assert.equal((await ask(rig, 'POST', path, { to: 'eve@example.net' }))[0], 200);
  assert.match(lastMime(rig), /Hi Eve/);
  assert.match(lastMime(rig), /^To: eve@example\.net/m);
  assert.equal(rig.submissions.at(-1)?.batch, false);
  assert.equal((await ask(rig, 'POST', path, { to: 'carol@example.net' }))[0], 200);
  assert.match(lastMime(rig), /Hi Bob/);
  const before = rig.submissions.length;
  const [status, body] = await ask(rig, 'POST', path, { to: 'bob@example.net, eve@example.net' });
  assert.deepEqual([status, /one at a time/.test(String(body['message']))], [400, true]);
  assert.equal(rig.submissions.length, before);
});

test('a copy whose template is rendered late is rendered for its recipient, with nested values', async () => {
  await using rig = await startRig();
  await ask(rig, 'POST', '/v3/example.org/templates', {
    name: 't',
    template: '{{#each recipient.items}}<b>{{this.n}}</b>{{/each}}{{who}}',
  });
  const path = await send(rig, {
    to: 'bob@example.net, eve@example.net',
    template: 't',
    't:variables': '{"who":"%recipient.n%"}',
    'recipient-variables': '{"bob@example.net":{"n":"Bob","items":[{"n":1},{"n":2}]},"eve@example.net":{"n":"Eve","items":[{"n":3}]}}',
  });
  assert.equal((await ask(rig, 'POST', path, { to: 'eve@example.net' }))[0], 200);
  assert.match(lastMime(rig), /<b>3<\/b>Eve/);
});
