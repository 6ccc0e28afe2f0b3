/** Starting and administering on PostgreSQL: what an operator is told when it cannot be used, how a start waits for it, and what two nodes must share and must not. */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, after, test } from 'node:test';
import { type Program, environment, postrider, startProgram } from '../demo/program.ts';
import { own, postgresHome, ROLE } from '../kit/postgres-home.ts';
import { startPostgres } from '../kit/postgres.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../kit/sink-certificate.ts';
import { until } from '../kit/until.ts';

const START_MS = 60_000;
const PASSWORD = 'very-secret-password';

const postgres = await startPostgres({ after });

const directories: string[] = [];
after(() => {
  for (const each of directories) rmSync(each, { recursive: true, force: true, maxRetries: 5 });
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'postrider-database-'));
  directories.push(made);
  return made;
}

/** The environment of a node in a directory of its own. */
function node(url: string, settings: Readonly<Record<string, string>> = {}, data = directory()): NodeJS.ProcessEnv {
  return environment(data, { POSTRIDER_STORE_URL: url, POSTRIDER_LOG_FORMAT: 'json', ...settings });
}

/** It is ended with the test, whatever becomes of that. */
async function started(t: TestContext, env: NodeJS.ProcessEnv): Promise<Program> {
  const program = await startProgram([], env, START_MS);
  t.after(() => program.stop('SIGKILL'));
  return program;
}

const withPassword = (url: string): string => url.replace('@', `:${PASSWORD}@`);

test('a command tells in one sentence, without the password, why the database cannot be used', async () => {
  const url = await postgres.newDatabase();
  for (const [wrong, sentence] of [
    [
      url.replace(/:\d+\//, ':1/'),
      /^postrider: the database test1 on 127\.0\.0\.1:1 cannot be used: nothing answers there \(connection refused\)\n$/,
    ],
    [url.replace(/test1$/, 'nowhere'), /there is no database nowhere; make it with "createdb --owner postrider nowhere"\n$/],
    [url.replace('postrider@', 'nobody@'), /it does not let user nobody in from here \(pg_hba\.conf\), or has no such user\n$/],
    [`${url}?sslmode=require`, /it offers no TLS, which sslmode demands\n$/],
  ] as const) {
    const { status, error } = await postrider(['account', 'list'], node(withPassword(wrong)));
    assert.equal(status, 1, error);
    assert.match(error, sentence);
    assert.doesNotMatch(error, new RegExp(PASSWORD));
    assert.equal(error.split('\n').length, 2, 'one line');
  }
});

test('a password may stand in a file, and a wrong one is told', async () => {
  const url = await postgres.newDatabase();
  const name = url.split('/').at(-1) as string;
  await postgres.sql(`CREATE ROLE careful LOGIN PASSWORD '${PASSWORD}'`);
  await postgres.sql(`ALTER DATABASE ${name} OWNER TO careful`);
  await postgres.admit('host all careful all scram-sha-256');
  const careful = url.replace('postrider@', 'careful@');
  const file = join(directory(), 'password');
  writeFileSync(file, `${PASSWORD}\n`);
  const { status, error } = await postrider(['account', 'add', 'shop'], node(careful, { POSTRIDER_STORE_PASSWORD_FILE: file }));
  assert.equal(status, 0, error);
  writeFileSync(file, 'guess');
  assert.match(
    (await postrider(['account', 'list'], node(careful, { POSTRIDER_STORE_PASSWORD_FILE: file }))).error,
    /it refuses the password of user careful\n$/,
  );
  assert.match((await postrider(['account', 'list'], node(careful))).error, /it asks for a password, and none is given\n$/);
});

test('a store that a later version has changed for good is refused, and nothing is done to it', async () => {
  const url = await postgres.newDatabase();
  assert.equal((await postrider(['account', 'add', 'shop'], node(url))).status, 0);
  await postgres.sql("INSERT INTO migration VALUES (9000, '9000-other', 1, 0)", [], url.split('/').at(-1));
  const { status, error } = await postrider(['start'], node(url));
  assert.equal(status, 1);
  assert.match(error, /postrider: the store was written by a later version of this program/);
});

test('a start waits for a database that is not there yet, says so once, and goes on; or it gives up in time', async (t) => {
  const late = await startPostgres({ after });
  const url = await late.newDatabase();
  await late.stop();
  const gaveUp = await postrider(['start'], node(url, { POSTRIDER_STORE_START_TIMEOUT: '1s' }));
  assert.equal(gaveUp.status, 1);
  assert.match(
    gaveUp.error,
    /(^|\n)postrider: the database test1 on .* cannot be used: nothing answers there \(connection refused\); waited for 1 seconds?\n$/,
  );

  // In its place somebody who hangs up at once, and so knows that the program is waiting.
  let calls = 0;
  const place = createServer((socket) => {
    calls++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => place.listen(late.port, '127.0.0.1', resolve));
  const starting = started(t, node(url));
  await until(() => calls > 0, 'it has tried');
  await new Promise((resolve) => place.close(resolve));
  await late.start();
  const program = await starting;
  const { status, error } = await program.stop();
  assert.equal(status, 0);
  const told = error.split('\n').filter((line) => /waiting for the database|the database is there/.test(line));
  assert.match(told.pop() ?? '', /the database is there/, error);
  // Once for each trouble that it meets: it is hung up on, nothing answers there, the database is starting.
  const troubles = told.map((line) => String((JSON.parse(line) as { why?: unknown }).why));
  assert.match(troubles[0] ?? '', /cannot be used: the connection was cut/, error);
  assert.equal(new Set(troubles).size, troubles.length, error);
});

test('a further node needs the secret of the first: its file or its text; with another, or none, it is told what to copy', async (t) => {
  const url = await postgres.newDatabase();
  const data = directory();
  const first = await started(t, node(url, {}, data));
  const without = await postrider(['start'], node(url, { POSTRIDER_NODE_NAME: 'second' }));
  assert.equal(without.status, 1);
  assert.match(without.error, /secret\.key is missing; restore it from a backup, or copy it from another node of this store/);
  const other = await postrider(['start'], node(url, { POSTRIDER_NODE_NAME: 'second', POSTRIDER_SECRET: 'ab'.repeat(32) }));
  assert.equal(other.status, 1);
  assert.match(other.error, /the setting "secret" is not the secret that this store was made with/);
  const theirs = directory();
  copyFileSync(join(data, 'secret.key'), join(theirs, 'secret.key'));
  const second = await started(t, node(url, { POSTRIDER_NODE_NAME: 'second' }, theirs));
  assert.equal((await second.stop()).status, 0);
  assert.match((await first.stop()).error, /the instance secret was made: give each further node of this store a copy/);
});

test('two nodes do not share a data directory', async (t) => {
  const data = directory();
  await started(t, node(await postgres.newDatabase(), {}, data));
  const { status, error } = await postrider(['start'], node(await postgres.newDatabase(), {}, data));
  assert.equal(status, 1);
  assert.ok(error.includes(`another process serves ${data}; stop it first, or use another data directory`), error);
});

test('the loss of the database and its return are told once each, by the log, /readyz and /metrics', async (t) => {
  const lost = await startPostgres({ after });
  const program = await started(t, node(await lost.newDatabase()));
  const ask = async (path: string): Promise<{ status: number; text: string }> => {
    const response = await fetch(`http://${program.doors.get('http')?.[0]}${path}`);
    return { status: response.status, text: await response.text() };
  };
  const writable = async (): Promise<string | undefined> => /^postrider_store_writable (\d)$/m.exec((await ask('/metrics')).text)?.[1];
  assert.equal(await writable(), '1');
  await lost.stop('immediate');
  await until(async () => (await ask('/readyz')).status === 503, 'it is not ready');
  assert.match((await ask('/readyz')).text, /io: /);
  assert.equal((await ask('/healthz')).status, 200);
  assert.equal(await writable(), '0');
  await until(() => program.said().includes('the store cannot be written'), 'the loss is logged');
  await lost.start();
  await until(async () => (await ask('/readyz')).status === 200, 'it is ready again');
  await until(async () => (await writable()) === '1', 'and says so');
  await until(() => program.said().includes('the store can be written again'), 'the return is logged');
  const { error } = await program.stop();
  assert.equal(error.split('the store cannot be written').length, 2, error);
  assert.equal(error.split('the store can be written again').length, 2, error);
});

test('TLS is what sslmode asks: encrypted, by a known authority, or refused with what to do', async (t) => {
  const [files, data] = [directory(), directory()];
  chmodSync(files, 0o711);
  const [cert, key] = [join(files, 'server.crt'), join(files, 'server.key')];
  writeFileSync(cert, TEST_CERTIFICATE, { mode: 0o644 });
  writeFileSync(key, TEST_KEY, { mode: 0o600 });
  for (const file of [cert, key]) own(file, postgresHome().user);
  const secure = await startPostgres({ after: (end) => t.after(end) }, { settings: { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key } });
  const url = await secure.newDatabase();
  await secure.admit(`hostnossl all ${ROLE} all reject`);
  const list = (parameters: string): ReturnType<typeof postrider> => postrider(['account', 'list'], node(url + parameters, {}, data));
  for (const right of ['?sslmode=require', `?sslmode=verify-ca&sslrootcert=${cert}`]) {
    const { status, error } = await list(right);
    assert.equal(status, 0, error);
  }
  assert.match((await list('?sslmode=verify-full')).error, /its certificate is self-signed; name its authority with sslrootcert\n$/);
  assert.match((await list('')).error, /it does not let user postrider in from here \(pg_hba\.conf\)/);
});
