/** store copy, backup and restore, as an operator sees them. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { copyStore } from '#store/copy/copy-store.ts';
import { openSqliteSource, openSqliteTarget } from '#store/copy/sqlite-side.ts';
import { run } from './main.ts';

let directory: string;
let data: string;
before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postrider-cli-copy-'));
  data = join(directory, 'data');
  await ok('account add shop');
  await ok('domain add mail.example.org');
});
after(() => rmSync(directory, { recursive: true }));

async function postrider(
  line: string,
  columns?: number,
  env: Record<string, string> = {},
): Promise<{ status: number; out: string; error: string }> {
  let [out, error] = ['', ''];
  const terminal = { out: (text: string) => void (out += text), error: (text: string) => void (error += text), hasColor: false };
  const status = await run(line.split(' '), { POSTRIDER_DATA: data, ...env }, { ...terminal, ...(columns !== undefined && { columns }) });
  return { status, out, error };
}

async function ok(line: string): Promise<string> {
  const { status, out, error } = await postrider(line);
  assert.equal(status, 0, error);
  return out;
}

const at = (name: string): string => join(directory, name);

test('a store is copied to another place, and used there with its secret', async () => {
  const { status, out, error } = await postrider(`store copy --from sqlite:${data}/postrider.db --to sqlite:${at('copy/postrider.db')}`);
  assert.equal(status, 0, error);
  assert.match(out, /^The store is copied: \d+ rows of \d+ tables, which are equal on both sides\.\n.*secret\.key/);
  assert.match(error, /^copied setting: 1 .*\ncopied account: 1 /);
  assert.match(error, /compared domain: 1 .*\n/);
  copyFileSync(join(data, 'secret.key'), at('copy/secret.key'));
  assert.match(await ok(`domain records mail.example.org --data ${at('copy')}`), /v=DKIM1/);
});

test('on a terminal the progress is one line, cleared at the end', async () => {
  const { error } = await postrider(`store copy --from sqlite:${data}/postrider.db --to sqlite:${at('bar.db')}`, 70);
  assert.match(error, /\rcopying {3}account {10}\[#{24}\] 1 of 1,/);
  assert.equal(error.includes('\n'), false);
  assert.ok(error.endsWith('\r\x1b[K'));
  for (const line of error.replaceAll('\x1b[K', '\r').split('\r')) assert.ok(line.length < 70, line);
});

test('what was copied is told as JSON, with the checksums', async () => {
  const told = JSON.parse(await ok(`store copy --from sqlite:${data}/postrider.db --to sqlite:${at('json.db')} --json`)) as {
    result: string;
    tables: { name: string; source: { rows: number; sum: string }; target: unknown }[];
  };
  assert.equal(told.result, 'copied');
  const domain = told.tables.find(({ name }) => name === 'domain');
  assert.equal(domain?.source.rows, 1);
  assert.match(domain?.source.sum, /^[0-9a-f]{32}$/);
  assert.deepEqual(domain?.source, domain?.target);
});

test('a copy that was stopped and damaged ends with 1, names the table, and can be begun again', async () => {
  const source = openSqliteSource(join(data, 'postrider.db'));
  const target = openSqliteTarget(at('half.db'));
  const stop = new AbortController();
  const stopped = await copyStore({
    source,
    target,
    nowMs: 1,
    signal: stop.signal,
    onProgress: ({ what }) => what === 'domain' && stop.abort(),
  });
  assert.equal(stopped.kind, 'stopped');
  await Promise.all([source.close(), target.close()]);
  const db = new DatabaseSync(at('half.db'));
  db.exec("UPDATE account SET name = 'other'");
  db.close();
  const command = `store copy --from sqlite:${data}/postrider.db --to sqlite:${at('half.db')}`;
  const opened = await postrider('account list', undefined, { POSTRIDER_STORE_URL: `sqlite:${at('half.db')}` });
  assert.match(opened.error, /^postrider: the store holds an unfinished copy of sqlite:.*; run the same "postrider store copy"/);
  const { status, out, error } = await postrider(command);
  assert.deepEqual([status, out], [1, '']);
  assert.match(
    error,
    /the copy is not what the store is, in account .*--anew throws it away and begins again\.\ntable +rows +checksum .*\naccount +1 +[0-9a-f]{32} +1 +/s,
  );
  assert.match(await ok(`${command} --anew`), /The store is copied/);
});

test('what is asked wrongly ends with 2; what is not there, or not empty, with 1', async () => {
  const asked = async (line: string): Promise<string> => {
    const { status, error } = await postrider(line);
    return `${status} ${error}`;
  };
  const from = `--from sqlite:${data}/postrider.db`;
  assert.match(await asked(`store copy ${from}`), /^2 .*--to is missing/);
  assert.match(await asked(`store copy ${from} --to mysql://x`), /^2 .*--to: expected "sqlite:PATH" or "postgres:/);
  assert.match(await asked(`store copy ${from} ${from.replace('from', 'to')}`), /^2 .*are the same store/);
  assert.match(await asked(`store copy --from sqlite:${at('none.db')} --to sqlite:${at('x.db')}`), /^1 .*there is no store at .*none\.db/);
  assert.equal(existsSync(at('none.db')), false);
  assert.match(
    await asked(`store copy ${from} --to postgres://me:hush@127.0.0.1:1/mail`),
    /^1 .*mail on 127\.0\.0\.1:1.*connection refused/,
  );
  assert.doesNotMatch(await asked(`store copy ${from} --to postgres://me:hush@127.0.0.1:1/mail`), /hush/);
  await ok(`store copy ${from} --to sqlite:${at('full.db')}`);
  assert.match(await asked(`store copy ${from} --to sqlite:${at('full.db')}`), /^1 .*full\.db is not empty/);
  assert.match(await asked('backup'), /^2 .*--to is missing/);
  assert.match(await asked('restore'), /^2 .*--from is missing/);
});

test('a backup is taken and restored, and a secret that is not the right one is told', async () => {
  const file = at('saved.db');
  assert.match(await ok(`backup --to ${file}`), /^The store is saved in .*saved\.db: \d+ rows of \d+ tables, .*\n.*secret\.key/);
  const told = JSON.parse(await ok(`backup --to ${at('again.db')} --json`)) as { sizeBytes: number; tables: unknown[] };
  assert.ok(told.sizeBytes > 0 && told.tables.length > 10);
  const { status, out, error } = await postrider(`restore --from ${file} --data ${at('new')}`);
  assert.equal(status, 0, error);
  assert.match(out, /^The backup is copied: /);
  assert.match(error, /warning: .*secret\.key is missing/);
  assert.equal(existsSync(at('new/secret.key')), false);
  copyFileSync(join(data, 'secret.key'), at('new/secret.key'));
  assert.match(await ok(`domain records mail.example.org --data ${at('new')}`), /v=DKIM1/);
  const again = await postrider(`restore --from ${file} --data ${at('new')}`);
  assert.match(again.error, /is not empty/);
});
