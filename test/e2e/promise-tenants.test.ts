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
  /** Its body is JSON and nothing else. */
  readonly isJson: boolean;
}

/** In everything of the first account that nobody else may read. */
const MARK = 'confidential';
const ADDRESS = `${MARK}@x.test`;
/** Without the mark, for a refusal repeats the address it was asked for. */
const LIST = `all@${DOMAIN}`;
const HOOK = `https://${MARK}.x.test/hook`;
const AT = `/v3/${DOMAIN}`;
/** The one address that mail leaves from: it is the installation's, and all accounts use it. */
const IP = '127.0.0.1';
/** Lists that are not bound to a domain; the other account, which has made nothing, is asked for them first of all. */
const OWN_LISTS = [
  '/v4/domains',
  '/v3/domains',
  '/v1/messages',
  '/v1/scheduled',
  '/v1/sandbox/messages',
  '/v3/routes',
  '/v3/forwards',
  '/v1/webhook_posts',
  '/v1/webhook_endpoints',
  '/v3/lists',
  '/v3/lists/pages',
  '/v4/templates',
  '/v1/imports',
  '/v1/thresholds/limits',
  '/v1/thresholds/alerts/send',
  '/v1/thresholds/hits',
  '/v3/ip_pools',
  '/v1/webhooks',
  '/v5/accounts/subaccounts',
  '/v5/users',
  '/v1/dkim/keys',
];
/** What belongs to the whole installation is refused whoever asks, whether it is there or not. */
const OPERATORS = '/v1/nodes/';
/** Answers 400 instead: "Invalid email address." is what the families of registered addresses say of every one that the account has not registered. */
const UNREGISTERED = [
  // Whoever posts names a list of their own; without a file it is none.
  'POST /v4/address/validate/bulk/{id}',
  '/v5/sandbox/auth_recipients/{email}',
  '/v5/sandbox/auth/recipients/{email}',
];
/** What is deleted is named by the query too. */
const ASKED_BY_QUERY = [
  'DELETE /v3/ip_pools/{pool}/delegate',
  'DELETE /v5/accounts/subaccounts/{subaccount}/ip_pool',
  'DELETE /v5/accounts/subaccounts',
];
/** Paths that name nothing of an account, so that everybody gets an answer about themselves. */
const NOBODYS: Readonly<Record<string, string>> = {
  '/v3/ips/{ip}': 'the address is the installation’s, and open to all of its accounts',
  '/v3/ips/{ip}/domains': 'the domains are those of whoever asks',
};

const home = await Installation.make(
  { after },
  { 'sandbox.capture': 'true', 'delivery.sources': JSON.stringify([{ name: 'all', address: IP }]) },
);
const server = await home.start();

test('P10: no operation shows or changes what belongs to another account', async (t) => {
  const known = await ownEverything();
  const { apiKey } = JSON.parse((await home.command('account', 'add', 'stranger', '--json')).out) as { apiKey: string };
  const before = await everythingShown(known);
  for (const [path, text] of before) assert.match(text, new RegExp(MARK), `the owner is shown ${path}`);

  for (const path of OWN_LISTS) {
    const { status, body } = await server.call('GET', path, undefined, {}, apiKey);
    const lists = Object.entries(body).filter(([, value]) => Array.isArray(value));
    if (path === '/v5/users') assert.ok(status === 200 || status === 403, path);
    else assert.deepEqual([status, lists.map(([, list]) => list)], [200, [[]]], path);
  }
  const operations = await describedOperations();
  assert.ok(operations.length >= 200, `${operations.length} operations`);
  for (const operation of operations) {
    const { method, path } = operation;
    for (const filled of fill(path, known)) {
      await t.test(`${method} ${filled}`.slice(0, 100), async () => {
        const { status, text } = await askAsStranger(operation, filled, known, apiKey);
        const told = `${method} ${path} answers ${status}: ${text.slice(0, 300)}`;
        assert.doesNotMatch(text, new RegExp(MARK), told);
        if (path.startsWith(OPERATORS)) assert.equal(status, 403);
        else if (UNREGISTERED.includes(path) || UNREGISTERED.includes(`${method} ${path}`)) assert.equal(status, 400, told);
        else if (path.includes('{') && NOBODYS[path] === undefined) assert.ok([401, 403, 404].includes(status), told);
        else assert.ok(status >= 200 && status < 500, told);
      });
    }
  }
  const shownAfter = await everythingShown(known);
  for (const [index, shown] of before.entries()) assert.deepEqual(shownAfter[index], shown, 'nothing was changed');

  for (const page of [
    '/',
    `/-/messages/${known['/v1/messages/{id}']?.[0]}`,
    ...['', '/html', '/raw'].map((part) => `/-/sandbox/${known['/v1/sandbox/messages/{id}']?.[0]}${part}`),
  ]) {
    const owners = await server.call('GET', page, undefined, { accept: 'text/html' });
    const strangers = await server.call('GET', page, undefined, { accept: 'text/html' }, apiKey);
    assert.match(owners.text, new RegExp(MARK), page);
    assert.doesNotMatch(strangers.text, new RegExp(`${MARK}|x\\.test`), page);
  }
});

/** Values by parameter, or by the path up to and with the parameter where families call theirs the same. */
type Known = Readonly<Record<string, readonly string[]>>;

/** The first account gets one of everything, and so a value for every parameter of a path. */
async function ownEverything(): Promise<Known> {
  const make = async (path: string, fields?: Fields): Promise<Record<string, unknown>> =>
    (await server.mustCall('POST', path, fields)).body;
  const person = await home.command('user', 'add', ADDRESS, '--name', MARK, '--json');
  assert.equal(person.status, 0, person.error);
  const kept = { template: MARK, tag: 'first', comment: MARK };
  await make(`${AT}/templates`, { name: 'welcome', ...kept });
  await make('/v4/templates', { name: 'shared', ...kept });
  await make(`/v3/domains/${DOMAIN}/credentials`, { login: `${MARK}@${DOMAIN}`, password: 'a long password' });
  await make(`/v3/domains/${DOMAIN}/webhooks`, { id: 'delivered', url: HOOK });
  const messageId = await server.send(ADDRESS, { subject: MARK, text: MARK, html: MARK, attachment: MARK, 'o:tag': `first ${MARK}` });
  await until(async () => (await server.recipients(messageId)).every(({ status }) => status === 'delivered'), 'it is captured');
  const scheduledId = await server.send(ADDRESS, { subject: MARK, 'o:deliverytime': String(Math.floor(Date.now() / 1000) + 86_400) });
  for (const kind of ['bounces', 'unsubscribes', 'complaints']) await make(`${AT}/${kind}`, { address: ADDRESS });
  await make(`${AT}/whitelists`, { address: ADDRESS, reason: MARK });
  const file = new FormData();
  file.set('file', new Blob([`address,error\n${ADDRESS},${MARK}\n`], { type: 'text/csv' }), `${MARK}.csv`);
  const imported = await fetch(`${server.url}${AT}/bounces/import`, { method: 'POST', headers: server.authorization(), body: file });
  assert.ok(imported.ok, await imported.text());
  // What is imported changes what is shown.
  await until(async () => {
    const { items } = (await server.mustCall('GET', '/v1/imports')).body as { items: { status: string }[] };
    return items.length > 0 && items.every(({ status }) => status === 'done');
  }, 'the file is read');
  const imports = (await server.mustCall('GET', '/v1/imports')).body as { items: { id: unknown; status: string }[] };
  await make('/v3/lists', { address: LIST, description: MARK });
  await make(`/v3/lists/${LIST}/members`, { address: ADDRESS });
  const hook = await make('/v1/webhooks', { url: HOOK, event_types: 'opened', description: MARK });
  const route = await make('/v3/routes', { expression: 'catch_all()', action: 'stop()', description: MARK });
  const forward = await make('/v3/forwards', { domain_name: DOMAIN, match: `${MARK}@${DOMAIN}`, 'forward.recipient': ADDRESS });
  const alert = await askJson('POST', '/v1/alerts/settings/events', {
    event_type: 'send_alert',
    channel: 'webhook',
    settings: { url: HOOK },
  });
  const addresses = new FormData();
  addresses.set('file', new Blob([`email\n${ADDRESS}\n`], { type: 'text/csv' }), 'addresses.csv');
  const job = `/v4/address/validate/bulk/${MARK}`;
  const begun = await fetch(`${server.url}${job}`, { method: 'POST', headers: server.authorization(), body: addresses });
  assert.ok(begun.ok, await begun.text());
  const posts = async (): Promise<{ id: unknown }[]> =>
    ((await server.mustCall('GET', '/v1/webhook_posts')).body as { items: { id: unknown }[] }).items;
  await until(async () => (await posts()).length > 0, 'its webhook is in the log');
  for (const kind of ['limits', 'alerts/send']) await askJson('POST', `/v1/thresholds/${kind}`, { name: MARK, ...threshold() });
  await make('/v1/dkim/keys', { signing_domain: DOMAIN, selector: MARK, bits: '1024' });
  const key = await make('/v1/keys', { role: 'admin', kind: 'user', description: MARK });
  const subaccount = await make('/v5/accounts/subaccounts', { name: MARK });
  const pool = await make('/v3/ip_pools', { name: MARK, description: MARK, ip: IP });
  await make(`/v5/sandbox/auth_recipients?email=${encodeURIComponent(ADDRESS)}`);
  await make('/v2/ip_whitelist', { address: IP, description: MARK });
  const events = (await server.mustCall('GET', `${AT}/events`)).body as {
    items: { storage: { key: string } }[];
    paging: { next: string; first: string };
  };
  const list = (await server.mustCall('GET', '/v1/messages')).body as { items: { id: number }[] };
  const captured = (await server.mustCall('GET', '/v1/sandbox/messages')).body as { items: { id: number }[] };
  const nodes = (await server.mustCall('GET', '/v1/nodes')).body as { items: { id: unknown }[] };
  const inside = (body: Record<string, unknown>, name: string): Record<string, unknown> => body[name] as Record<string, unknown>;
  const subaccountId = String(inside(subaccount, 'subaccount')['id']);
  return {
    domain: [DOMAIN],
    address: [ADDRESS],
    value: [ADDRESS],
    list: [LIST],
    member: [ADDRESS],
    '/v3/{domain}/templates/{name}': ['welcome'],
    '/v4/templates/{name}': ['shared'],
    '/v1/thresholds/alerts/send/{name}': [MARK],
    '/v1/thresholds/limits/{name}': [MARK],
    // The templates' version and the message's tag have the name in common.
    tag: ['first', `first ${MARK}`].map(encodeURIComponent),
    copy: ['second'],
    type: ['delivered'],
    login: [MARK],
    number: ['0'],
    selector: [MARK],
    ip: [IP],
    pool: [String(pool['pool_id'])],
    subaccount: [subaccountId],
    email: [encodeURIComponent(ADDRESS)],
    key: [String(events.items[0]?.storage.key)],
    token: [events.paging.first, events.paging.next].map((url) => new URL(url).pathname.split('/').at(-1) as string),
    '/v1/messages/{id}': [String(list.items.at(-1)?.id), encodeURIComponent(messageId)],
    '/v1/scheduled/{id}': [encodeURIComponent(scheduledId)],
    '/v1/sandbox/messages/{id}': [String(captured.items[0]?.id)],
    '/v1/imports/{id}': [String(imports.items[0]?.id)],
    '/v1/webhooks/{id}': [String(hook['webhook_id'])],
    '/v3/routes/{id}': [String(inside(route, 'route')['id'])],
    '/v3/forwards/{id}': [String(forward['id'])],
    '/v1/alerts/settings/events/{id}': [String((JSON.parse(alert.text) as { id: unknown }).id)],
    '/v1/alerts/settings/{id}': [String((JSON.parse(alert.text) as { id: unknown }).id)],
    '/v4/address/validate/bulk/{id}': [MARK],
    '/v1/webhook_posts/{id}': [String((await posts())[0]?.id)],
    '/v1/keys/{id}': [String(inside(key, 'key')['id'])],
    '/v5/accounts/subaccounts/{id}': [subaccountId],
    '/v5/users/{id}': [String((JSON.parse(person.out) as { id: unknown }).id)],
    '/v1/nodes/{id}': [String(nodes.items[0]?.id)],
  };
}

/** What the owner sees, as text; times that pass are not in it. */
async function everythingShown(known: Known): Promise<(readonly [path: string, text: string])[]> {
  const of = (path: string): string => path.replace(/\{\w+\}$/, known[path]?.[0] ?? '');
  const paths = [
    ...['bounces', 'unsubscribes', 'complaints', 'whitelists', 'templates/welcome?active=yes', 'tags'].map((path) => `${AT}/${path}`),
    ...['credentials', 'webhooks', `messages/${known['key']?.[0]}`].map((path) => `/v3/domains/${DOMAIN}/${path}`),
    ...['/v1/messages/{id}', '/v1/sandbox/messages/{id}', '/v1/webhooks/{id}', '/v3/routes/{id}', '/v3/forwards/{id}'].map(of),
    ...['/v5/accounts/subaccounts/{id}', '/v5/users/{id}'].map(of),
    '/v1/scheduled',
    '/v1/thresholds/limits',
    '/v1/thresholds/alerts/send',
    '/v4/templates/shared?active=yes',
    '/v1/dkim/keys',
    '/v3/ip_pools',
    '/v1/keys',
    '/v2/ip_whitelist',
    '/v5/sandbox/auth_recipients',
    `/v3/lists/${LIST}`,
    `/v3/lists/${LIST}/members`,
    `${AT}/events`,
  ];
  return Promise.all(
    paths.map(async (path) => {
      const { text } = await server.mustCall('GET', path);
      if (path.endsWith('/events')) return [path, JSON.stringify((JSON.parse(text) as { items: unknown }).items)] as const;
      // The key that asks here is used meanwhile.
      return [path, path === '/v1/keys' ? text.replaceAll(/,?"last_used_at":"[^"]*"/g, '') : text] as const;
    }),
  );
}

async function describedOperations(): Promise<Operation[]> {
  const { paths } = (await server.mustCall('GET', '/openapi.json')).body as {
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, unknown> } }>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { requestBody }]) => {
      const types = Object.keys(requestBody?.content ?? {});
      return { method: method.toUpperCase(), path, isJson: types.length > 0 && types.every((type) => type.includes('json')) };
    }),
  );
}

/** The path with every combination of the owner's values. */
function fill(path: string, known: Known): string[] {
  let done = '';
  let filled = [''];
  for (const part of path.split(/(\{\w+\})/)) {
    done += part;
    const values = part.startsWith('{') ? (known[done] ?? known[part.slice(1, -1)]) : [part];
    assert.ok(values !== undefined, `no value is known for ${part} of ${path}`);
    filled = filled.flatMap((before) => values.map((value) => before + value));
  }
  return filled;
}

async function askAsStranger(operation: Operation, path: string, known: Known, key: string): Promise<{ status: number; text: string }> {
  const { method, isJson } = operation;
  if (isJson) return askJson(method, path, { ...threshold(), name: 'x', tag: 'first', description: 'x', ips: [IP] }, key);
  if (['POST', 'PUT', 'PATCH'].includes(method)) return server.call(method, path, anything(known), {}, key);
  const query = ASKED_BY_QUERY.includes(`${method} ${operation.path}`)
    ? `?pool_id=${known['pool']?.[0]}&subaccount_id=${known['subaccount']?.[0]}`
    : '';
  return server.call(method, path + query, undefined, {}, key);
}

async function askJson(method: string, path: string, body: unknown, key?: string): Promise<{ status: number; text: string }> {
  const headers = { ...server.authorization(key), 'content-type': 'application/json' };
  const response = await fetch(server.url + path, { method, headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (key === undefined) assert.ok(response.ok, `${method} ${path}: ${text}`);
  return { status: response.status, text };
}

function threshold(): Record<string, unknown> {
  return {
    metric: 'accepted_count',
    comparator: '>=',
    limit: '1000',
    dimension: 'domain',
    period: '1d',
    description: MARK,
    filters: [{ dimension: 'domain', comparator: '=', values: [DOMAIN] }],
  };
}

/** A body that every operation which takes one understands; where it names an object, it is the owner's. */
function anything(known: Known): Fields {
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
    description: 'x',
    url: 'https://thief.x.test/hook',
    event_types: 'delivered',
    id: 'delivered',
    expression: 'catch_all()',
    action: 'stop()',
    members: '[{"address":"b@x.test"}]',
    role: 'basic',
    kind: 'domain',
    domain_name: DOMAIN,
    signing_domain: DOMAIN,
    selector: 'thief',
    dkim_selector: 'thief',
    self: 'true',
    rotation_enabled: 'true',
    require_tls: 'true',
    active: 'true',
    web_prefix: 'thief',
    sending: 'false',
    ip: IP,
    add_ip: IP,
    'o:deliverytime': String(Math.floor(Date.now() / 1000) + 3600),
    link_domain: DOMAIN,
    pool_id: known['pool']?.[0] ?? '',
    subaccount_id: known['subaccount']?.[0] ?? '',
  };
}
