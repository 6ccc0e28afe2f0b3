/** Routes of the running program with other settings: JSON in place of forms, names below a domain, accounts that may not send. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hourLasts } from '../kit/hour.ts';
import { DOMAIN } from '../kit/installation.ts';
import { until } from '../kit/until.ts';
import { bringTo, ours, startRoutes } from './inbound-routes-kit.ts';

// What may be sent is counted by the hour.
await hourLasts(120_000);
const rig = await startRoutes({ after }, { 'inbound.route_posts': 'json' });
const { there, url } = rig;

const LETTER = [
  'From: ann@sender.test',
  'X-Tag: one',
  'X-Tag: two',
  'Content-Type: multipart/mixed; boundary=b',
  '',
  '--b',
  '',
  'Hello',
  '--b',
  'Content-Type: image/png; name=a.png',
  'Content-ID: <c@d>',
  'Content-Transfer-Encoding: base64',
  '',
  'AAEC',
  '--b--',
  '',
].join('\r\n');

test('posts are JSON where that was chosen, with the names of the form and files in base64', async () => {
  await rig.routes(['catch_all()', `forward("${url('/json')}")`]);
  assert.match(await bringTo(rig.server, ours('bob'), LETTER), /^250 /);
  const [received] = await until(() => (there.at('/json').length > 0 ? there.at('/json') : undefined), 'it is posted');
  assert.equal(received?.headers['content-type'], 'application/json');
  assert.partialDeepStrictEqual(JSON.parse(received?.body.toString() ?? ''), {
    recipient: ours('bob'),
    sender: 'ann@sender.test',
    'body-plain': 'Hello',
    'X-Tag': ['one', 'two'],
    'attachment-count': '1',
    'content-id-map': '{"<c@d>":"attachment-1"}',
    attachments: [{ name: 'a.png', 'content-type': 'image/png', 'content-id': 'c@d', content: 'AAEC' }],
  });
});

test('with wildcard a domain takes mail for names below it, and without it does not', async () => {
  await rig.routes(['match_recipient(".*@deep")', `forward("${url('/deep')}")`]);
  const below = `bob@deep.below.${DOMAIN}`;
  assert.match(await bringTo(rig.server, below, LETTER), /^550 5\.7\.1 /);
  await rig.server.mustCall('PUT', `/v4/domains/${DOMAIN}`, { wildcard: 'true' });
  const reply = await until(async () => {
    const said = await bringTo(rig.server, below, LETTER);
    return said.startsWith('250') ? said : undefined;
  }, 'it is taken');
  assert.match(reply, /^250 /);
  await until(() => there.at('/deep').length > 0, 'it is posted');
});

test('nothing is sent on for a subaccount that may not send, and what is posted is', async () => {
  const made = await rig.server.mustCall('POST', '/v5/accounts/subaccounts', { name: 'quiet' });
  const { id } = made.body['subaccount'] as { id: string };
  const behalf = { 'x-mailgun-on-behalf-of': id };
  await rig.server.mustCall('POST', '/v4/domains', { name: 'quiet.test' }, behalf);
  const add = (expression: string, action: string): Promise<unknown> =>
    rig.server.mustCall('POST', '/v3/routes', { expression, action }, behalf);
  await add('match_recipient("on@")', 'forward("on@x.test")');
  await add('match_recipient("in@")', `forward("${url('/quiet')}")`);
  const off = await rig.server.call('PUT', `/v5/accounts/subaccounts/${id}/features`, { sending: '{"enabled":false}' });
  assert.equal(off.status, 200, off.text);
  assert.match(await bringTo(rig.server, 'on@quiet.test', LETTER), /^550 5\.7\.1 .*not allowed to send/);
  assert.match(await bringTo(rig.server, 'in@quiet.test', LETTER), /^250 /);
  await until(() => there.at('/quiet').length > 0, 'it is posted');
});

test('what is sent on counts against the quota, and beyond it the whole message waits with the server that brought it', async () => {
  const { out } = await rig.home.command('account', 'add', 'few', '--json');
  const { apiKey } = JSON.parse(out) as { apiKey: string };
  await rig.home.command('account', 'limit', 'few', '--per-hour', '3');
  const asked = async (path: string, fields: Readonly<Record<string, string | string[]>>): Promise<number> =>
    (await rig.server.call('POST', path, fields, {}, apiKey)).status;
  assert.equal(await asked('/v4/domains', { name: 'few.test' }), 200);
  const pair = 'forward("one@x.test, two@x.test")';
  for (const [local, action] of [
    ['on', [pair, `forward("${url('/few')}")`]],
    ['in', [`forward("${url('/few')}")`]],
  ] as const)
    assert.equal(await asked('/v3/routes', { expression: `match_recipient("${local}@")`, action: [...action] }), 200);
  assert.match(await bringTo(rig.server, 'on@few.test', LETTER), /^250 /);
  assert.match(await bringTo(rig.server, 'on@few.test', LETTER), /^452 4\.7\.1 .*recipient limit exceeded/);
  // Nothing of it was kept, and what is only posted is nobody's sending.
  assert.match(await bringTo(rig.server, 'in@few.test', LETTER), /^250 /);
  await until(() => there.at('/few').length === 2, 'the two that were taken are posted');
  const mail = { from: 'app@few.test', subject: 's', text: 't' };
  assert.equal(await asked('/v3/few.test/messages', { ...mail, to: ['a@x.test', 'b@x.test'] }), 429);
  assert.equal(await asked('/v3/few.test/messages', { ...mail, to: 'a@x.test' }), 200);
});

test('a post that was given up stands in the log as a route’s, and is posted again from there', async () => {
  await rig.routes(['catch_all()', `forward("${url('/unwanted')}")`]);
  there.answerWith((_received, response) => void response.writeHead(406).end('no'));
  assert.match(await bringTo(rig.server, ours('bob'), LETTER), /^250 /);
  const log = async (): Promise<Readonly<Record<string, unknown>>[]> =>
    (await rig.server.mustCall('GET', `/v1/webhook_posts?url=${encodeURIComponent(url('/unwanted'))}`)).body['items'] as never;
  const [failed] = await until(async () => {
    const posts = await log();
    return posts.length > 0 ? posts : undefined;
  }, 'it is logged');
  assert.partialDeepStrictEqual(failed, {
    for: 'route',
    event: 'accepted',
    domain: DOMAIN,
    attempt: 1,
    result: 'failed',
    status: 406,
    response: 'no',
  });
  const { body } = await rig.server.mustCall('GET', `/v1/webhook_posts/${String(failed?.['id'])}`);
  assert.equal('request' in body, false);

  there.answerWith((_received, response) => void response.end('taken'));
  const again = await rig.server.mustCall('POST', `/v1/webhook_posts/${String(failed?.['id'])}/replay`);
  assert.equal(again.body['count'], 1);
  const [done] = await until(async () => {
    const posts = await log();
    return posts.length > 1 ? posts : undefined;
  }, 'it is posted again, and logged');
  assert.partialDeepStrictEqual(done, { for: 'route', result: 'done', response: 'taken' });
  const [first, second] = there.at('/unwanted').map((received) => JSON.parse(received.body.toString()) as Record<string, unknown>);
  assert.partialDeepStrictEqual(second, { recipient: ours('bob'), 'body-plain': 'Hello' });
  assert.notEqual(first?.['token'], second?.['token']);
});
