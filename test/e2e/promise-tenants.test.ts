/**
 * P10 on the running program: every operation that openapi.json describes, asked by another account for what belongs to the first: nothing is shown,
 * nothing is changed, and what does not exist looks the same as what belongs to somebody else.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, type Fields, Installation } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

interface Operation {
  readonly method: string;
  /** As openapi.json writes it. */
  readonly path: string;
}

/** In everything of the first account that nobody else may read. */
const MARK = 'confidential';
/** What the other account asks of lists that are not bound to a domain, and what it may be told there. */
const OWN_LISTS = ['GET /v4/domains', 'GET /v3/domains', 'GET /v1/messages', 'GET /v1/sandbox/messages'];
/** What belongs to the whole installation is refused whoever asks, whether it is there or not. */
const OPERATORS = '/v1/nodes/';

const home = await Installation.make({ after }, { 'sandbox.capture': 'true' });
const server = await home.start();

test('P10: no operation shows or changes what belongs to another account', async (t) => {
  const known = await ownEverything();
  const { apiKey } = JSON.parse((await home.command('account', 'add', 'stranger', '--json')).out) as { apiKey: string };
  const before = await everythingShown(known);
  assert.ok(
    before.every(([, text]) => text.includes(MARK)),
    'the owner is shown all of it',
  );

  const operations = await describedOperations();
  assert.ok(operations.length >= 45, `${operations.length} operations`);
  for (const { method, path } of operations) {
    for (const filled of fill(path, known)) {
      const operation = `${method} ${path}`;
      await t.test(`${method} ${filled}`.slice(0, 100), async () => {
        const fields = method === 'POST' || method === 'PUT' ? anything() : undefined;
        const { status, text } = await server.call(method, filled, fields, {}, apiKey);
        assert.doesNotMatch(text, new RegExp(MARK), `${operation} shows it: ${text.slice(0, 300)}`);
        if (OWN_LISTS.includes(operation)) assert.deepEqual([status, JSON.parse(text).items], [200, []]);
        else if (path.startsWith(OPERATORS)) assert.equal(status, 403);
        else if (path.includes('{')) assert.ok(status === 401 || status === 404, `${operation} answers ${status}: ${text.slice(0, 300)}`);
        else assert.ok(status >= 400 && status < 500, `${operation} answers ${status}: ${text.slice(0, 300)}`);
      });
    }
  }
  assert.deepEqual(await everythingShown(known), before, 'nothing was changed');

  for (const page of [
    '/',
    `/-/messages/${known['id']?.[0]}`,
    ...['', '/html', '/raw'].map((part) => `/-/sandbox/${known['id']?.[2]}${part}`),
  ]) {
    const owners = await server.call('GET', page, undefined, { accept: 'text/html' });
    const strangers = await server.call('GET', page, undefined, { accept: 'text/html' }, apiKey);
    assert.match(owners.text, new RegExp(MARK), page);
    assert.doesNotMatch(strangers.text, new RegExp(`${MARK}|x\\.test`), page);
  }
});

type Known = Readonly<Record<string, readonly string[]>>;

/** The first account gets one of everything, and so a value for every parameter of a path. */
async function ownEverything(): Promise<Known> {
  const address = `${MARK}@x.test`;
  const at = `/v3/${DOMAIN}`;
  await server.mustCall('POST', `${at}/templates`, { name: 'welcome', template: MARK, tag: 'first' });
  await server.mustCall('POST', `/v3/domains/${DOMAIN}/credentials`, { login: `${MARK}@${DOMAIN}`, password: 'a long password' });
  const messageId = await server.send(address, { subject: MARK, text: MARK, html: MARK, attachment: MARK });
  await until(async () => (await server.recipients(messageId)).every(({ status }) => status === 'delivered'), 'it is captured');
  for (const kind of ['bounces', 'unsubscribes', 'complaints']) await server.mustCall('POST', `${at}/${kind}`, { address });
  const events = (await server.mustCall('GET', `${at}/events`)).body as {
    items: { storage: { key: string } }[];
    paging: { next: string; first: string };
  };
  const list = (await server.mustCall('GET', '/v1/messages')).body as { items: { id: number }[] };
  const captured = (await server.mustCall('GET', '/v1/sandbox/messages')).body as { items: { id: number }[] };
  return {
    domain: [DOMAIN],
    address: [address],
    name: ['welcome'],
    tag: ['first'],
    login: [MARK],
    number: ['0'],
    key: [String(events.items[0]?.storage.key)],
    token: [events.paging.first, events.paging.next].map((url) => new URL(url).pathname.split('/').at(-1) as string),
    id: [String(list.items[0]?.id), encodeURIComponent(messageId), String(captured.items[0]?.id)],
  };
}

/** What the owner sees, as text; times that pass are not in it. */
async function everythingShown(known: Known): Promise<(readonly [path: string, text: string])[]> {
  const at = `/v3/${DOMAIN}`;
  const paths = [
    ...['bounces', 'unsubscribes', 'complaints', 'templates/welcome?active=yes'].map((path) => `${at}/${path}`),
    `/v3/domains/${DOMAIN}/credentials`,
    `/v3/domains/${DOMAIN}/messages/${known['key']?.[0]}`,
    `/v1/messages/${known['id']?.[0]}`,
    `/v1/sandbox/messages/${known['id']?.[2]}`,
    `${at}/events`,
  ];
  return Promise.all(
    paths.map(async (path) => {
      const { text } = await server.mustCall('GET', path);
      return [path, path.endsWith('/events') ? JSON.stringify((JSON.parse(text) as { items: unknown }).items) : text] as const;
    }),
  );
}

async function describedOperations(): Promise<Operation[]> {
  const { paths } = (await server.mustCall('GET', '/openapi.json')).body as { paths: Record<string, Record<string, unknown>> };
  return Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })));
}

/** The path with every combination of the owner's values. */
function fill(path: string, known: Known): string[] {
  const [, name] = /\{(\w+)\}/.exec(path) ?? [];
  if (name === undefined) return [path];
  const values = known[name];
  assert.ok(values !== undefined, `no value is known for {${name}} of ${path}`);
  return values.flatMap((value) => fill(path.replace(`{${name}}`, value), known));
}

/** A body that every operation which takes one understands. */
function anything(): Fields {
  return {
    name: DOMAIN,
    from: `app@${DOMAIN}`,
    to: 'b@x.test',
    subject: 'x',
    text: 'x',
    message: 'Subject: x\r\n\r\nx',
    address: 'b@x.test',
    template: 'x',
    tag: 'first',
    login: 'thief',
    password: 'a long password',
  };
}
