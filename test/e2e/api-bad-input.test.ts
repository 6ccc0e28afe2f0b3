/**
 * Hostile values in every parameter of every endpoint that openapi.json describes: no answer is 5xx, each refusal is JSON with a sentence, none tells of
 * what is inside, and the process has the same prototypes as before. What is refused has changed nothing, and what an endpoint's own description excludes is refused. New endpoints are covered by being described.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { TABLES } from '#store/copy/tables.ts';
import { STORE } from '../kit/stores.ts';
import { type ApiRig, startRig } from './api-kit.ts';

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
}
interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}
interface Described {
  readonly method: string;
  readonly path: string;
  readonly query: readonly string[];
  readonly fields: readonly string[];
}

const VALUES: Readonly<Record<string, string>> = {
  'another type': '[{"a":1}]',
  'a negative number': '-1e309',
  'too long': 'x'.repeat(4000),
  'control characters': 'a\0\u0007\u202eb',
  'line ends': 'a@example.net\r\nBcc: b@example.net',
  'the name of a prototype': '__proto__',
  'half a character': 'a\ufffd%ED%A0%80',
};

const BODIES: readonly (readonly [name: string, type: string, body: string | Uint8Array])[] = [
  ['JSON that ends early', 'application/json', '{"a":'],
  ['JSON without an object', 'application/json', 'null'],
  ['a list of nothing', 'application/json', '[null, 1, "x", []]'],
  ['JSON that is deep', 'application/json', `${'['.repeat(5000)}${']'.repeat(5000)}`],
  ['a prototype in JSON', 'application/json', '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'],
  ['octets that are no text', 'application/x-www-form-urlencoded', new Uint8Array([0x61, 0x3d, 0xff, 0xfe, 0x26, 0xc3, 0x3d, 0x25, 0x5a])],
  ['a form without its boundary', 'multipart/form-data', 'x'],
  ['a type that nobody knows', 'application/x-unknown', 'x'],
];

/** What is in the store, by table; undefined where it cannot be looked at from outside. */
const watched = new WeakMap<ApiRig, () => Readonly<Record<string, string>>>();
/** Changes by itself: what is noted of uses and beats. */
const BY_ITSELF = /^(?:last_used_ms|checked_ms)$/;

/** Rows are compared when anybody has committed since they were looked at. */
function watch(rig: ApiRig, after: (end: () => void) => void): void {
  if (STORE !== 'sqlite') return;
  const db = new DatabaseSync(join(rig.directory, 'postrider.db'), { readOnly: true });
  after(() => db.close());
  const tables = TABLES.filter(({ name }) => name !== 'setting').map(({ name, key, columns, workedOut = {} }) => {
    const kept = Object.keys(columns).filter((column) => workedOut[column] === undefined);
    const compared = kept.filter((column) => !BY_ITSELF.test(column) && columns[column] !== 'bytes');
    return { name, select: db.prepare(`SELECT ${compared.join(', ')} FROM ${name} ORDER BY ${key.join(', ')}`) };
  });
  const version = db.prepare('PRAGMA data_version');
  let [seen, rows]: [unknown, Readonly<Record<string, string>>] = [undefined, {}];
  watched.set(rig, () => {
    const now = version.get()?.['data_version'];
    if (now !== seen) rows = Object.fromEntries(tables.map(({ name, select }) => [name, JSON.stringify(select.all())]));
    seen = now;
    return rows;
  });
}

test('no value of any parameter makes an endpoint fail', async (t) => {
  await using rig = await startRig();
  watch(rig, (end) => t.after(end));
  const described = await endpointsOf(rig);
  assert.ok(described.length > 100);
  for (const endpoint of described) {
    await t.test(`${endpoint.method} ${endpoint.path}`, async () => {
      for (const [name, value] of Object.entries(VALUES)) {
        await ask(rig, endpoint, name, value);
      }
      await ask(rig, endpoint, 'twice', 'twice', 2);
      for (const [name, type, body] of endpoint.method === 'GET' ? [] : BODIES)
        await assertSound(
          rig,
          filledPath(endpoint.path, 'x'),
          { method: endpoint.method, body: typeof body === 'string' ? body : new Uint8Array(body), headers: { 'content-type': type } },
          name,
        );
    });
  }
  await t.test('the key and the domain were there to the end', async () => {
    assert.equal((await rig.fetch('/v3/domains/example.org')).status, 200);
  });
  await t.test('nothing was left in the prototypes', () => {
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });
});

async function endpointsOf(rig: ApiRig): Promise<Described[]> {
  const { paths } = (await (await fetch(`${rig.url}/openapi.json`)).json()) as { paths: Record<string, Record<string, Operation>> };
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      query: parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name),
      fields: Object.keys(Object.values(requestBody?.content ?? {})[0]?.schema.properties ?? {}),
    })),
  );
}

/** The value in every parameter at once; the domain is a real one, so that what comes after it is looked at. */
async function ask(rig: ApiRig, { method, path, query, fields }: Described, name: string, value: string, times = 1): Promise<void> {
  const asked = new URLSearchParams();
  for (const parameter of query) for (let i = 0; i < times; i++) asked.append(parameter, value);
  const form = new URLSearchParams();
  for (const field of fields) for (let i = 0; i < times; i++) form.append(field, value);
  const body = method === 'GET' ? undefined : form;
  await assertSound(
    rig,
    `${filledPath(path, value.slice(0, 500))}?${String(asked).slice(0, 8000)}`,
    { method, ...(body !== undefined && { body }) },
    name,
  );
}

/** The one thing that must not be deleted under the other endpoints is their domain. */
function filledPath(path: string, value: string): string {
  const domain = /^\/v[34]\/domains\/\{\w+\}$/.test(path) ? 'gone.example' : 'example.org';
  return path.replace(/\{(\w+)\}/g, (_whole, name: string) => (name === 'domain' ? domain : encodeURIComponent(value)));
}

async function assertSound(rig: ApiRig, path: string, request: RequestInit, name: string): Promise<void> {
  const before = watched.get(rig)?.();
  const response = await rig.fetch(path, request);
  const text = await response.text();
  const said = `${name}: ${response.status} ${text.slice(0, 300)}`;
  assert.ok(response.status < 500, said);
  if (response.status < 400) return;
  assert.deepEqual(watched.get(rig)?.(), before, `it is refused, and changes something: ${said}`);
  if (response.status === 401) return;
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/, said);
  const { message } = JSON.parse(text) as { message: unknown };
  assert.ok(typeof message === 'string' && message.length > 3 && !/node_modules|\bat \w+ \(|SQLITE|undefined/.test(message), said);
}

/** Of numbers, words and yes-or-no, and of what is a count by its name: a value that its description excludes. */
function excluded(name: string, { type, enum: words }: Schema): string | undefined {
  return words !== undefined || name === 'limit' || name === 'skip' || type === 'number' || type === 'integer' || type === 'boolean'
    ? '[{"a":1}]'
    : undefined;
}

test('what the description of an endpoint excludes is refused', async (t) => {
  await using rig = await startRig();
  const { paths } = (await (await fetch(`${rig.url}/openapi.json`)).json()) as { paths: Record<string, Record<string, Operation>> };
  let count = 0;
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { parameters = [], requestBody }] of Object.entries(operations)) {
      const [[type, content] = ['', undefined]] = Object.entries(requestBody?.content ?? {});
      const inQuery = parameters
        .filter((parameter) => parameter.in === 'query')
        .map(({ name, schema }) => ({ name, schema, where: 'query' }));
      const inBody = Object.entries(content?.schema.properties ?? {}).map(([name, schema]) => ({ name, schema, where: 'body' }));
      for (const { name, schema, where } of [...inQuery, ...inBody]) {
        const value = excluded(name, schema);
        if (value === undefined) continue;
        count++;
        await t.test(`${method.toUpperCase()} ${path}: ${name}`, async () => {
          const asked = new URLSearchParams({ [name]: value });
          const isJson = type === 'application/json';
          const body = where === 'query' ? undefined : isJson ? JSON.stringify({ [name]: [{ a: 1 }] }) : asked;
          const response = await rig.fetch(filledPath(path, 'x') + (where === 'query' ? `?${asked}` : ''), {
            method: method.toUpperCase(),
            ...(body !== undefined && { body }),
            ...(isJson && body !== undefined && { headers: { 'content-type': type } }),
          });
          assert.ok(response.status >= 400 && response.status < 500, `${response.status} ${(await response.text()).slice(0, 200)}`);
        });
      }
    }
  }
  assert.ok(count > 50, `${count} parameters`);
});
