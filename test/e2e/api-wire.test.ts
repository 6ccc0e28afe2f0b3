/**
 * Exchanges that were recorded from the hosted service, against this server: the status, the keys and their types are the same, and the sentences that clients
 * look for. test/golden/wire.json has each with what must stand before it (`given`), the sentence behind a "=", and the keys that our answer has beyond the
 * recorded ones (`also`; what ends in "?" may be missing), each of which is there on purpose. What is not answered so is in NOT_SO with its reason; an entry there that has come to agree fails,
 * so that the list stays true.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { type ApiRig, startRig, type Tenant } from './api-kit.ts';

type Shape = string | readonly Shape[] | { readonly [key: string]: Shape };

interface Step {
  readonly method: string;
  readonly path: string;
  readonly type?: string;
  readonly body?: string;
  /** Names for later paths, by where their values stand in the answer. */
  readonly remember?: Readonly<Record<string, string>>;
}

interface Exchange extends Step {
  readonly name: string;
  readonly given?: readonly Step[];
  readonly key?: string;
  readonly status: number;
  /** Absent: only the status is compared. */
  readonly answer?: Shape;
  readonly also?: readonly string[];
}

const NOT_SO: Readonly<Record<string, string>> = {
  'exceptions-not-allowed: POST /v3/{domain}/messages':
    'the hosted service refused for its free plan, before it looked at the malformed sender',
  'email_validation: GET /v4/address/validate (2)':
    'the reason is a list, as the documentation has it, of which there may be nothing to say',
  'mailing_list: GET /v3/lists/': 'a slash at the end means nothing here, so this is the list of lists',
};

test('recorded exchanges of the hosted service are answered alike', async (t) => {
  const { exchanges } = JSON.parse(await readFile(new URL('../golden/wire.json', import.meta.url), 'utf8')) as { exchanges: Exchange[] };
  await using rig = await startRig();
  for (const [index, exchange] of exchanges.entries()) {
    await t.test(exchange.name, async () => {
      const found = await differences(rig, await rig.addTenant(`wire ${index}`, `wire${index}.example`), exchange);
      const reason = NOT_SO[exchange.name];
      if (reason === undefined) assert.deepEqual(found, []);
      else assert.notDeepEqual(found, [], `this agrees now and is to be excused no longer: ${reason}`);
    });
  }
  await t.test('nothing is excused that was not recorded', () => {
    const names = new Set(exchanges.map(({ name }) => name));
    assert.equal(names.size, exchanges.length);
    assert.deepEqual(
      Object.keys(NOT_SO).filter((name) => !names.has(name)),
      [],
    );
  });
});

async function differences(rig: ApiRig, tenant: Tenant, exchange: Exchange): Promise<string[]> {
  const values: Record<string, string> = { domain: tenant.domain.name, yesterday: new Date(Date.now() - 86_400_000).toUTCString() };
  for (const step of exchange.given ?? []) {
    const { status, body } = await send(rig, tenant.key, step, values);
    if (status !== 200) return [`${step.method} ${step.path}, which comes before, is answered with ${status}: ${body.trim()}`];
    for (const [name, path] of Object.entries(step.remember ?? {})) values[name] = String(at(JSON.parse(body), path));
  }
  const { status, body } = await send(rig, exchange.key ?? tenant.key, exchange, values);
  if (status !== exchange.status) return [`the status is ${status}, not ${exchange.status}: ${body.trim().slice(0, 300)}`];
  if (exchange.answer === undefined) return [];
  if (exchange.answer === 'Forbidden') return body === 'Forbidden' ? [] : [`the body is ${body}`];
  const found = compare(JSON.parse(filled(JSON.stringify(exchange.answer), values)) as Shape, JSON.parse(body), '');
  const also = new Set(exchange.also?.map((path) => path.replace(/\?$/, '')));
  const unused = (exchange.also ?? [])
    .filter((path) => !path.endsWith('?') && !found.includes(`more: ${path}`))
    .map((path) => `no more: ${path}`);
  return [...found.filter((line) => !also.has(line.replace(/^more: /, ''))), ...unused];
}

async function send(
  rig: ApiRig,
  key: string,
  step: Step,
  values: Readonly<Record<string, string>>,
): Promise<{ status: number; body: string }> {
  const response = await rig.fetch(filled(step.path, values), {
    method: step.method,
    key,
    ...(step.body !== undefined && { body: filled(step.body, values), headers: { 'content-type': step.type ?? '' } }),
  });
  return { status: response.status, body: await response.text() };
}

/** Only names in single braces: templates have double ones. */
function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{(domain|yesterday|route|subaccount|webhook|key)\}/g, (whole, name: string) => values[name] ?? whole);
}

function at(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, name) => (inner as Record<string, unknown>)[name], value);
}

/** What of an answer is not of the recorded shape. Of lists, every entry; of keys that end in "?", those that are there. */
function compare(shape: Shape, value: unknown, path: string): string[] {
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return [`${path} is no list`];
    const [one] = shape as readonly Shape[];
    if (one === undefined) return [];
    if (value.length === 0) return [`${path} is empty`];
    return [...new Set(value.flatMap((item) => compare(one, item, `${path}[]`)))];
  }
  if (typeof shape === 'object') {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} is no object`];
    return compareKeys(shape as Readonly<Record<string, Shape>>, value as Record<string, unknown>, path);
  }
  if ((shape as string).startsWith('='))
    return value === (shape as string).slice(1) ? [] : [`${path} is ${JSON.stringify(value)}, not "${(shape as string).slice(1)}"`];
  const type = value === null ? 'null' : typeof value;
  return (shape as string).split('|').includes(type) ? [] : [`${path} is of the type ${type}, not ${shape as string}`];
}

function compareKeys(shape: Readonly<Record<string, Shape>>, value: Record<string, unknown>, path: string): string[] {
  const found: string[] = [];
  const recorded = new Set(Object.keys(shape).map((key) => key.replace(/\?$/, '')));
  for (const [key, inner] of Object.entries(shape)) {
    const name = key.replace(/\?$/, '');
    const place = `${path}/${name}`;
    if (Object.hasOwn(value, name)) found.push(...compare(inner, value[name], place));
    else if (name === key) found.push(`${place} is missing`);
  }
  // What is keyed by data, as {} was recorded, may have anything.
  if (recorded.size > 0) for (const key of Object.keys(value)) if (!recorded.has(key)) found.push(`more: ${path}/${key}`);
  return found;
}
