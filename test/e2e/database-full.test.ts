/** The disk of the database is full: mail is refused for the moment in both doors' words, nothing of it is half kept, what was accepted goes on, and all is well when there is space. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DOMAIN, Installation, submit } from '../kit/installation.ts';
import { own, postgresHome } from '../kit/postgres-home.ts';
import { type TestPostgres, startPostgres } from '../kit/postgres.ts';
import { until } from '../kit/until.ts';

const DISK = '64m';
const LETTER = { from: `app@${DOMAIN}`, to: 'refused@x.test', subject: 'x', text: 'words '.repeat(20_000) };

/** A small disk of its own for the tables of one database; undefined where none can be made. */
async function smallDatabase(t: TestContext, postgres: TestPostgres): Promise<{ readonly url: string; readonly path: string } | undefined> {
  const path = mkdtempSync(join(tmpdir(), 'postrider-small-'));
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=0711`, 'tmpfs', path]).status === 0;
  t.after(() => {
    if (isMounted) spawnSync('umount', ['-l', path]);
    rmSync(path, { recursive: true, force: true });
  });
  if (!isMounted) return undefined;
  own(path, postgresHome().user);
  await postgres.sql(`CREATE TABLESPACE small LOCATION '${path}'`);
  await postgres.sql('CREATE DATABASE small OWNER postrider TABLESPACE small STRATEGY file_copy');
  return { url: postgres.urlOf('small'), path };
}

function fill(disk: string): string {
  const path = join(disk, 'filler');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(64 * 1024, 'x');
  for (let left = free(disk); left > 0; left = free(disk)) writeSync(file, block, 0, Math.min(block.length, left));
  fsyncSync(file);
  closeSync(file);
  return path;
}

function free(disk: string): number {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
}

test('a full disk of the database: 452 and 503, alive, nothing half accepted, and it goes on when there is space', async (t) => {
  const postgres = await startPostgres({ after: (clean) => t.after(clean) });
  const small = await smallDatabase(t, postgres);
  if (small === undefined) return t.skip('no small disk can be made here: only root may "mount -t tmpfs"');
  const home = await Installation.make(t, { 'store.url': small.url });
  const server = await home.start();
  const talk = await server.smtp();
  const early = await server.send('early@x.test', { 'o:deliverytime': new Date(Date.now() + 4000).toUTCString() });
  const byApi = async (): Promise<number> => (await server.call('POST', `/v3/${DOMAIN}/messages`, LETTER)).status;
  const bySmtp = (): Promise<string> => submit(talk, ['refused@x.test'], `Subject: x\r\n\r\n${LETTER.text}`);

  const filler = fill(small.path);
  // What PostgreSQL holds of its own takes a few yet.
  let taken = 0;
  await until(async () => {
    const status = await byApi();
    if (status === 200) taken++;
    return status === 503;
  }, 'the API puts mail off');
  await until(async () => (await bySmtp()).startsWith('452 4.3.1 '), 'SMTP says that space is short');
  assert.equal((await server.call('GET', '/healthz')).status, 200);
  const [count] = await postgres.sql(
    'SELECT (SELECT count(*) FROM message)::int AS messages, (SELECT count(*) FROM content)::int AS contents',
    [],
    'small',
  );
  assert.equal(count?.['contents'], count?.['messages'], 'content and message come together or not at all');

  rmSync(filler);
  await until(async () => (await server.call('GET', '/readyz')).status === 200, 'it is ready again');
  await until(async () => (await byApi()) === 200, 'the API takes mail again');
  assert.match(await bySmtp(), /^250 /);
  await until(async () => (await server.recipients(early))[0]?.status === 'delivered', 'what was accepted before is delivered');
  await until(() => home.sink.transactions.length >= taken + 3, 'all that was taken arrives');
  assert.equal((await server.stop()).status, 0);
});
