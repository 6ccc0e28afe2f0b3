import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { openInstanceSecret, SecretError } from './instance-secret.ts';

let directory: string;
let facts: Map<string, string>;
const store = {
  setting: (name: string) => Promise.resolve(facts.get(name)),
  settingOnce: (name: string, value: string) => Promise.resolve(facts.get(name) ?? (facts.set(name, value), value)),
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postrider-secret-'));
  facts = new Map();
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = () => openInstanceSecret({ data: directory }, store);

test('the secret is made once, for its owner only, and opens what it sealed', async () => {
  const sealed = (await open()).seal(Buffer.from('private'), 'dkim:1');
  assert.equal((await open()).unseal(sealed, 'dkim:1').toString(), 'private');
  assert.equal(sealed.includes('private'), false);
  assert.deepEqual(readdirSync(directory), ['secret.key']);
  if (process.platform !== 'win32') assert.equal(statSync(join(directory, 'secret.key')).mode & 0o777, 0o600);
});

test('programs that start at once agree on one secret', async () => {
  const [first, ...others] = await Promise.all(Array.from({ length: 5 }, open));
  const sealed = first?.seal(Buffer.from('x'), 'c') ?? Buffer.alloc(0);
  for (const other of others) assert.equal(other.unseal(sealed, 'c').toString(), 'x');
});

test('a value cannot be moved to another place, or changed', async () => {
  const secret = await open();
  const sealed = secret.seal(Buffer.from('private'), 'dkim:1');
  assert.throws(() => secret.unseal(sealed, 'dkim:2'), SecretError);
  sealed[20] = (sealed[20] as number) ^ 1;
  assert.throws(() => secret.unseal(sealed, 'dkim:1'), SecretError);
  assert.throws(() => secret.unseal(sealed.subarray(0, 10), 'dkim:1'), /damaged/);
});

test('each purpose has a key of its own, the same whenever the secret is opened', async () => {
  const [first, second] = [await open(), await open()];
  assert.equal(first.keyFor('tracking').length, 32);
  assert.deepEqual(second.keyFor('tracking'), first.keyFor('tracking'));
  assert.notDeepEqual(first.keyFor('unsubscribe'), first.keyFor('tracking'));
  facts.clear();
  rmSync(join(directory, 'secret.key'));
  assert.notDeepEqual((await open()).keyFor('tracking'), first.keyFor('tracking'));
});

test('a lost file is told, and no new one is made', async () => {
  await open();
  rmSync(join(directory, 'secret.key'));
  await assert.rejects(open(), /secret\.key is missing; restore it from a backup/);
  assert.deepEqual(readdirSync(directory), []);
});

test('another secret is told', async () => {
  await open();
  writeFileSync(join(directory, 'secret.key'), randomBytes(32).toString('hex'));
  await assert.rejects(open(), /is not the secret that this store was made with/);
});

test('a damaged file is told', async () => {
  writeFileSync(join(directory, 'secret.key'), 'short');
  await assert.rejects(open(), /is damaged/);
});

test('nodes of one store share the secret: a copy of the file does, another file or none is refused', async () => {
  const sealed = (await open()).seal(Buffer.from('private'), 'dkim:1');
  const made = readFileSync(join(directory, 'secret.key'), 'utf8');
  const second = mkdtempSync(join(tmpdir(), 'postrider-secret-'));
  try {
    await assert.rejects(openInstanceSecret({ data: second }, store), /secret\.key is missing; .*copy it from another node/);
    const file = join(second, 'copied');
    await assert.rejects(openInstanceSecret({ data: second, secretFile: file }, store), /copied is missing/);
    writeFileSync(file, made);
    for (const place of [
      { data: second, secretFile: file },
      { data: second, secret: made },
    ])
      assert.equal((await openInstanceSecret(place, store)).unseal(sealed, 'dkim:1').toString(), 'private');
    await assert.rejects(
      openInstanceSecret({ data: second, secret: 'ab'.repeat(32) }, store),
      /the setting "secret" is not the secret that this store was made with; .*copy it from another node/,
    );
    assert.deepEqual(readdirSync(second), ['copied'], 'no node makes a second one');
  } finally {
    rmSync(second, { recursive: true });
  }
});

test('only the start that makes the secret says where it is', async () => {
  assert.equal((await open()).madeAt, join(directory, 'secret.key'));
  assert.equal((await open()).madeAt, undefined);
});

test('of two nodes that make a secret at the same moment one is refused, and keeps none', async () => {
  const slow = { setting: () => Promise.resolve(undefined), settingOnce: store.settingOnce };
  await open();
  const second = mkdtempSync(join(tmpdir(), 'postrider-secret-'));
  try {
    await assert.rejects(openInstanceSecret({ data: second }, slow), /copy it from another node/);
    assert.deepEqual(readdirSync(second), []);
  } finally {
    rmSync(second, { recursive: true });
  }
});

test("an operator's file that is missing is told before anything is made", async () => {
  await assert.rejects(
    openInstanceSecret({ data: directory, secretFile: join(directory, 'mine') }, store),
    /mine \(secret_file\) is missing; make one/,
  );
  assert.deepEqual(facts.size, 0);
});
