/**
 * What SDKs of other languages and the mail classes of well-known frameworks put on the wire, octet by octet as far as it differs: their ways to spell
 * lists, booleans and bodies. Each request here is written by hand after what that client sends.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type ApiRig, basic, startRig } from './api-kit.ts';

const FORM = 'application/x-www-form-urlencoded';

interface Sent {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function send(
  rig: ApiRig,
  method: string,
  path: string,
  type?: string,
  body?: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Sent> {
  const response = await rig.fetch(path, {
    method,
    ...(body !== undefined && { body: typeof body === 'string' ? body : new Uint8Array(body) }),
    headers: { ...(type !== undefined && { 'content-type': type }), ...headers },
  });
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** As libraries that write each part's length and quote the boundary do. */
function multipart(boundary: string, fields: readonly (readonly [name: string, value: string, filename?: string])[]): string {
  const parts = fields.map(([name, value, filename]) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    return `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\nContent-Length: ${Buffer.byteLength(value)}\r\n\r\n${value}\r\n`;
  });
  return `${parts.join('')}--${boundary}--\r\n`;
}

function last(rig: ApiRig): NonNullable<ApiRig['submissions'][number]> {
  const submission = rig.submissions.at(-1);
  assert.ok(submission);
  return submission;
}

function recipientsOf(rig: ApiRig): readonly string[] {
  return last(rig).envelope.recipients.map(({ address }) => address);
}

test('Python: capitalised booleans, repeated fields, and paths with slashes for underscores', async () => {
  await using rig = await startRig();
  const body =
    'from=a%40example.org&to=b%40example.net&to=c%40example.net&subject=Hi&text=x&o%3Atestmode=True&o%3Atracking=False&o%3Atag=one&o%3Atag=two';
  assert.equal((await send(rig, 'POST', '/v3/example.org/messages', FORM, body)).status, 200);
  assert.deepEqual(recipientsOf(rig), ['b@example.net', 'c@example.net']);
  assert.equal(last(rig).options.testMode, true);
  assert.deepEqual(last(rig).options.tags, ['one', 'two']);
  for (const path of ['/v2/ip/whitelist', '/v5/sandbox/auth/recipients', '/v5/accounts/http/signing/key'])
    assert.equal((await send(rig, 'GET', path)).status, 200, path);
});

test('Go: dates with one digit, an empty page, addresses that were escaped twice over for a query', async () => {
  await using rig = await startRig();
  assert.equal((await send(rig, 'POST', '/v3/example.org/bounces', FORM, 'address=go%2Btag%40example.net&code=550')).status, 200);
  const { body } = await send(rig, 'GET', '/v3/example.org/bounces/go%2Btag%40example.net');
  assert.equal(body['address'], 'go+tag@example.net');
  assert.equal((await send(rig, 'GET', '/v3/example.org/bounces/go+tag@example.net')).status, 200);
  const begin = encodeURIComponent('Mon, 2 Jan 2006 15:04:05 -0700');
  const events = await send(rig, 'GET', `/v3/example.org/events?begin=${begin}&ascending=yes&limit=300`);
  assert.equal(events.status, 200);
  const { paging } = events.body as { paging: Record<string, string> };
  for (const name of ['first', 'last', 'next', 'previous']) assert.ok(URL.canParse(paging[name] ?? ''), name);
});

test('PHP: lists with places, multipart on PUT and DELETE, a quoted boundary, a length for each part', async () => {
  await using rig = await startRig();
  const query = 'from=a%40example.org&to%5B0%5D=b%40example.net&to%5B1%5D=c%40example.net&subject=Hi&text=x';
  assert.equal((await send(rig, 'POST', '/v3/example.org/messages', FORM, query)).status, 200);
  assert.deepEqual(recipientsOf(rig), ['b@example.net', 'c@example.net']);
  const type = 'multipart/form-data; boundary="php-5f3c"';
  const changed = await send(rig, 'PUT', '/v3/domains/example.org/tracking/open', type, multipart('php-5f3c', [['active', 'yes']]));
  assert.deepEqual([changed.status, (changed.body['open'] as { active: boolean }).active], [200, true]);
  await send(rig, 'POST', '/v3/example.org/complaints', FORM, 'address=b%40example.net');
  const removed = await send(rig, 'DELETE', '/v3/example.org/complaints/b@example.net', type, multipart('php-5f3c', [['unused', '1']]));
  assert.equal(removed.status, 200);
});

test('Ruby: lists of one for what is single, and text that is nearly JSON', async () => {
  await using rig = await startRig();
  const rails = 'from[]=a%40example.org&subject[]=Hi&html[]=%3Cp%3Ex%3C%2Fp%3E&text[]=x&to[]=b%40example.net';
  assert.equal((await send(rig, 'POST', '/v3/example.org/messages', FORM, rails)).status, 200);
  assert.equal(last(rig).content.kind === 'parts' && last(rig).content.kind, 'parts');
  const tags = `include_subaccounts=true&pagination=${encodeURIComponent('{sort: "lastseen:desc", limit: 10}')}`;
  assert.equal((await send(rig, 'POST', '/v1/analytics/tags', FORM, tags)).status, 200);
});

test('Ruby: a file of no type that it knows, a message whose part says to be a form, and times as they are written out', async () => {
  await using rig = await startRig();
  const part = (head: string, content: string): string => `-----------RubyMultipartPost\r\n${head}\r\n\r\n${content}\r\n`;
  const field = (name: string, value: string): string => part(`Content-Disposition: form-data; name="${name}"`, value);
  const file = (name: string, type: string, content: string): string =>
    part(
      `Content-Disposition: form-data; name="${name}"; filename="x.pdf"\r\nContent-Length: ${content.length}\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: binary`,
      content,
    );
  const type = 'multipart/form-data; boundary=---------RubyMultipartPost';
  const end = '-----------RubyMultipartPost--\r\n';
  const parts =
    field('from[]', 'a@example.org') + field('to[]', 'b@example.net') + field('text[]', 'x') + file('attachment[]', '', 'abc') + end;
  assert.equal((await send(rig, 'POST', '/v3/example.org/messages', type, parts)).status, 200);
  const { content } = last(rig);
  assert.deepEqual(content.kind === 'parts' && content.attachments.map(({ filename, contentType }) => [filename, contentType]), [
    ['x.pdf', 'application/octet-stream'],
  ]);
  const mime = field('to', 'b@example.net') + file('message', 'multipart/form-data', 'From: a@example.org\r\nSubject: x\r\n\r\nhi') + end;
  assert.equal((await send(rig, 'POST', '/v3/example.org/messages.mime', type, mime)).status, 200);

  const bounce = JSON.stringify([{ address: 'b@example.net', created_at: '2026-11-04 09:05:03 UTC' }]);
  assert.equal((await send(rig, 'POST', '/v3/example.org/bounces', 'application/json', bounce)).status, 200);
  assert.equal((await send(rig, 'GET', '/v3/example.org/bounces/b@example.net')).body['created_at'], 'Wed, 04 Nov 2026 09:05:03 UTC');
});

test('Java: slashes at the end and twice, JSON beside forms, one address in a form of its own', async () => {
  await using rig = await startRig();
  assert.equal((await send(rig, 'GET', '/v3//example.org/events/')).status, 200);
  assert.equal((await send(rig, 'GET', '/v3/domains/')).status, 200);
  assert.equal((await send(rig, 'POST', '/v4/address/validate', FORM, 'address=a%40example.net')).status, 200);
  const many = await send(
    rig,
    'POST',
    '/v3/example.org/unsubscribes',
    'application/json; charset=UTF-8',
    '[{"address":"a@example.net","tags":["x"]}]',
  );
  assert.equal(many.status, 200);
});

test('JavaScript: JSON under the type of a form, and empty values for what is not given', async () => {
  await using rig = await startRig();
  await send(rig, 'POST', '/v3/example.org/messages', FORM, 'from=a%40example.org&to=b%40example.net&subject=x&text=x&o%3Atag=js');
  const removed = await send(rig, 'DELETE', '/v1/analytics/tags', FORM, '{"tag":"js"}');
  assert.equal(removed.status, 200);
  assert.equal((await send(rig, 'GET', '/v3/example.org/bounces?limit=&page=&term=')).status, 200);
});

test('a compressed body is read', async () => {
  await using rig = await startRig();
  const body = gzipSync('from=a%40example.org&to=b%40example.net&subject=x&text=x');
  assert.equal((await send(rig, 'POST', '/v3/example.org/messages', FORM, body, { 'content-encoding': 'gzip' })).status, 200);
});

test('a slash that was escaped in the domain leads nowhere', async () => {
  await using rig = await startRig();
  for (const path of ['/v3/https%3A%2F%2Fexample.org/messages', '/v3/%2F/messages', '/v3/..%2F/messages']) {
    const response = await rig.fetch(path, { method: 'POST', headers: { 'content-type': FORM }, body: 'to=b%40example.net' });
    assert.equal(response.status, 401, path);
  }
});

test('Ghost: a batch of a thousand with variables, events by fractions of a second, and a suppression taken back', async () => {
  await using rig = await startRig();
  const recipients = Array.from({ length: 1000 }, (_, i) => `reader${i}@example.net`);
  const variables = Object.fromEntries(
    recipients.map((address, i) => [address, { name: `Reader ${i}`, unsubscribe_url: `https://blog.example/u/${i}` }]),
  );
  const form = new FormData();
  for (const [name, value] of Object.entries({
    from: 'Blog <news@example.org>',
    subject: 'News',
    html: '<p>Hello %recipient.name%</p>',
    text: 'Hello %recipient.name%',
    'recipient-variables': JSON.stringify(variables),
    'h:Reply-To': 'editor@example.org',
    'h:List-Unsubscribe': '<%recipient.unsubscribe_url%>',
    'v:email-id': '64b7',
    'o:tracking-opens': 'true',
  }))
    form.append(name, value);
  for (const to of recipients) form.append('to', to);
  for (const tag of ['bulk-email', 'ghost-email']) form.append('o:tag', tag);
  const response = await rig.fetch('/v3/example.org/messages', { method: 'POST', body: form });
  assert.equal(response.status, 200);
  assert.equal(recipientsOf(rig).length, 1000);

  const begin = Date.now() / 1000 - 60.123;
  const seen = new Set<string>();
  let path = `/v3/example.org/events?limit=300&event=accepted&tags=${encodeURIComponent('bulk-email AND ghost-email')}&begin=${begin}&ascending=yes`;
  for (;;) {
    const { items, paging } = (await send(rig, 'GET', path)).body as {
      items: { recipient: string; 'user-variables': Record<string, string> }[];
      paging: { next: string };
    };
    if (items.length === 0) break;
    assert.ok(items.length <= 300);
    for (const item of items) {
      assert.equal(item['user-variables']['email-id'], '64b7');
      seen.add(item.recipient);
    }
    path = paging.next.slice(rig.url.length);
  }
  assert.equal(seen.size, 1000);

  await send(rig, 'POST', '/v3/example.org/bounces', FORM, 'address=reader1%40example.net');
  assert.equal((await send(rig, 'DELETE', `/v3/example.org/bounces/${encodeURIComponent('reader1@example.net')}`)).status, 200);
});

const MIME =
  'From: Shop <shop@example.org>\r\nTo: b@example.net\r\nSubject: Order\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nThank you\r\n';

test('Laravel and Symfony: the message as MIME in a file, with options, headers and variables beside it', async () => {
  await using rig = await startRig();
  const body = multipart('_=_symfony_1', [
    ['to', '"B" <b@example.net>'],
    ['o:tag', 'order'],
    ['v:order', '17'],
    ['h:X-Shop', 'yes'],
    ['message', MIME, 'message.mime'],
  ]);
  assert.equal((await send(rig, 'POST', '/v3/example.org/messages.mime', 'multipart/form-data; boundary=_=_symfony_1', body)).status, 200);
  const { content, options } = last(rig);
  assert.equal(content.kind, 'mime');
  assert.deepEqual([options.tags, options.variables['order'], recipientsOf(rig)], [['order'], '17', ['b@example.net']]);
});

test('django-anymail: names in addresses, metadata as variables, several files under one name', async () => {
  await using rig = await startRig();
  const body = multipart('anymail', [
    ['from', 'Zoë <shop@example.org>'],
    ['to', '"Smith, B." <b@example.net>'],
    ['to', 'c@example.net'],
    ['h:Reply-To', 'help@example.org'],
    ['subject', 'Grüße'],
    ['text', 'Hello'],
    ['v:customer', '{"id":7}'],
    ['o:tracking', 'no'],
    ['attachment', 'one', 'one.txt'],
    ['attachment', 'two', 'zwei-ü.txt'],
  ]);
  assert.equal((await send(rig, 'POST', '/v3/example.org/messages', 'multipart/form-data; boundary=anymail', body)).status, 200);
  const { content } = last(rig);
  assert.ok(content.kind === 'parts');
  assert.deepEqual(
    content.attachments.map(({ filename }) => filename),
    ['one.txt', 'zwei-ü.txt'],
  );
  assert.deepEqual(recipientsOf(rig), ['b@example.net', 'c@example.net']);
});

test('a key is the password of the user api, and nothing else lets in', async () => {
  await using rig = await startRig();
  const ask = async (authorization: string): Promise<readonly [number, string]> => {
    const response = await fetch(`${rig.url}/v3/domains`, { headers: { authorization } });
    return [response.status, await response.text()];
  };
  assert.equal((await ask(basic(rig.tenant.key).replace('Basic', 'basic')))[0], 200);
  assert.deepEqual(await ask(`Bearer ${rig.tenant.key}`), [401, 'Forbidden']);
  assert.deepEqual(await ask(`Basic ${Buffer.from(`root:${rig.tenant.key}`).toString('base64')}`), [401, 'Forbidden']);
});
