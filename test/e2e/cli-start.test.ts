/** The program as an operator runs it: starting, administering it while it runs, and stopping. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { environment, postrider, startProgram } from '../demo/program.ts';
import type { Program } from '../demo/program.ts';
import { freePort } from '../kit/free-port.ts';
import { STORE, type TestStore, newTestStore } from '../kit/stores.ts';

const START_MS = 60_000;
/** A second or two, and time for a busy machine. */
const SOON_MS = 5000;
const made: { readonly data: string; readonly store: TestStore }[] = [];
after(async () => {
  for (const { data, store } of made) {
    await store.drop();
    rmSync(data, { recursive: true, force: true });
  }
});

/** A new data directory and store, and the environment of a program that uses them. */
async function fresh(settings: Readonly<Record<string, string>> = {}): Promise<{ readonly data: string; readonly env: NodeJS.ProcessEnv }> {
  const data = mkdtempSync(join(tmpdir(), 'postrider-start-'));
  const store = await newTestStore(data);
  made.push({ data, store });
  return { data, env: environment(data, { ...store.environment, ...settings }) };
}

const url = (program: Program): string => `http://${program.doors.get('http')?.[0] ?? ''}`;

/** Status of a call that needs a key. */
async function statusWith(program: Program, key: string): Promise<number> {
  const answer = await fetch(`${url(program)}/v3/domains`, {
    headers: { authorization: `Basic ${Buffer.from(`api:${key}`).toString('base64')}` },
  });
  await answer.arrayBuffer();
  return answer.status;
}

/** When the look was begun is what counts: whoever stands still for a moment before it is answered makes it late, and no less true. */
async function becomes(isSo: () => Promise<boolean>, withinMs: number, what: string): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    const beganMs = performance.now();
    if (await isSo()) return;
    assert.ok(beganMs < deadlineMs, `${what} within ${withinMs} ms`);
    await pause(50);
  }
}

/** For a program of which is looked whether nobody answers any more: no other process is given this one's port. */
async function ownPort(): Promise<Record<string, string>> {
  return { POSTRIDER_HTTP_LISTEN: `127.0.0.1:${await freePort()}` };
}

test('development mode: ready, pasted credentials work, and a second start shows the same', async () => {
  const { data, env } = await fresh();
  const first = await startProgram(['--dev'], env, START_MS);
  const kept = JSON.parse(readFileSync(join(data, 'dev-credentials.json'), 'utf8')) as {
    apiKey: string;
    smtpLogin: string;
    smtpPassword: string;
  };
  assert.ok(first.greeting.includes(`--user 'api:${kept.apiKey}'`));
  assert.ok(first.greeting.includes(kept.smtpPassword));
  assert.equal(await statusWith(first, kept.apiKey), 200);
  assert.equal(await statusWith(first, `${kept.apiKey}0`), 401);
  const { error, status } = await first.stop();
  assert.equal(status, 0, error);

  const second = await startProgram(['--dev'], env, START_MS);
  assert.ok(second.greeting.includes(kept.apiKey));
  assert.equal((await second.stop('SIGINT')).status, 0);
});

test('npm start ends the program when npm is told to end', { skip: process.platform === 'win32' }, async () => {
  // The shell between them would die alone; "exec" in package.json leaves none. Where there is no exec, what stands behind "||" runs.
  const child = spawn('npm', ['start'], {
    cwd: join(import.meta.dirname, '../..'),
    env: (await fresh(await ownPort())).env,
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const ended = once(child, 'exit') as Promise<[code: number | null, signal: string | null]>;
  try {
    let said = '';
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    await becomes(async () => /^postrider ready.*\n/m.test(said), START_MS, 'the ready line comes');
    const address = /http=(\S+)/.exec(said)?.[1] ?? '';
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    await assert.rejects(fetch(`http://${address}/healthz`));
  } finally {
    try {
      process.kill(-(child.pid as number), 'SIGKILL');
    } catch {
      // Nothing of it is left, as it should be.
    }
  }
});

test('without development mode the first start shows its key once, or takes it from POSTRIDER_API_KEY', async () => {
  const shown = await startProgram([], (await fresh()).env, START_MS);
  const key = /[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}/.exec(shown.greeting)?.[0] ?? '';
  assert.equal(await statusWith(shown, key), 200);
  await shown.stop();

  const given = 'key-0123456789abcdef0123456789abcdef';
  const { env } = await fresh({ POSTRIDER_API_KEY: given });
  const first = await startProgram([], env, START_MS);
  assert.equal(await statusWith(first, given), 200);
  await first.stop();
  const second = await startProgram([], env, START_MS);
  assert.doesNotMatch(second.greeting, /First start/);
  await second.stop();
});

test('what the command line changes while the server runs is seen within two seconds', async () => {
  const { data, env } = await fresh();
  const program = await startProgram(['--dev'], env, START_MS);
  try {
    const added = await postrider(['account', 'add', 'bank', '--json'], env);
    const { id, apiKey, keyId } = JSON.parse(added.out) as { id: number; apiKey: string; keyId: string };
    assert.equal(await statusWith(program, apiKey), 200);
    assert.equal((await postrider(['domain', 'add', 'bank.example', '--account', String(id)], env)).status, 0);
    assert.equal((await postrider(['credential', 'add', 'app@bank.example', '--password', 'a long one'], env)).status, 0);
    const [host = '', port = ''] = (program.doors.get('submission')?.[0] ?? '').split(':');
    const transport = createTransport({
      host,
      port: Number(port),
      requireTLS: true,
      auth: { user: 'app@bank.example', pass: 'a long one' },
      tls: { ca: readFileSync(join(data, 'tls', 'self-signed.crt')) },
    });
    assert.equal(await transport.verify(), true);
    assert.equal((await postrider(['credential', 'delete', 'app@bank.example'], env)).status, 0);
    await becomes(
      () =>
        transport.verify().then(
          () => false,
          () => true,
        ),
      SOON_MS,
      'the login ends',
    );

    assert.equal((await postrider(['key', 'revoke', keyId], env)).status, 0);
    await becomes(async () => (await statusWith(program, apiKey)) === 401, SOON_MS, 'the key ends');
    const queue = await postrider(['queue', '--json'], env);
    assert.equal((JSON.parse(queue.out) as { isRunning: boolean }).isRunning, true);
    const storeFiles = STORE === 'sqlite' ? ['postrider.db', 'postrider.db-wal'] : [];
    for (const name of process.platform === 'win32' ? [] : ['control.sock', 'secret.key', ...storeFiles]) {
      assert.equal(statSync(join(data, name)).mode & 0o777, 0o600, name);
    }
  } finally {
    await program.stop();
  }
});

test('a second server on one data directory refuses to start, and the first goes on', async () => {
  const { env } = await fresh();
  const program = await startProgram(['--dev'], env, START_MS);
  try {
    const second = await postrider(['start', '--dev'], env);
    assert.equal(second.status, 1);
    assert.match(second.error, /postrider: another process serves .*; stop it first, or use another data directory\n$/);
    assert.equal((await fetch(`${url(program)}/healthz`)).status, 200);
  } finally {
    await program.stop();
  }
});

test('killing what was started kills all of it, also where an older Node started it, and the next start goes on', async () => {
  const { env } = await fresh(await ownPort());
  // Before version 22.15, Node could not replace itself by another program.
  const older = ['--import', 'data:text/javascript,delete process.execve'];
  for (const options of [[], older]) {
    const program = await startProgram(['--dev'], env, START_MS, options);
    const address = url(program);
    await program.stop('SIGKILL');
    await becomes(
      () =>
        fetch(`${address}/healthz`).then(
          () => false,
          () => true,
        ),
      SOON_MS,
      'nobody answers any more',
    );
  }
  const again = await startProgram(['--dev'], env, START_MS);
  assert.equal((await again.stop()).status, 0);
});

test('a port that is taken ends the start with a sentence, unless its address has a question mark', async () => {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const { port } = blocker.address() as AddressInfo;
  try {
    const refused = await postrider(['start', '--dev'], (await fresh({ POSTRIDER_SMTP_SUBMISSION: `127.0.0.1:${port}` })).env);
    assert.equal(refused.status, 1);
    assert.match(refused.error, new RegExp(`postrider: 127\\.0\\.0\\.1:${port} is in use by another program\\n$`));
    assert.doesNotMatch(refused.error, /\n {4}at /, 'no stack');

    const skipped = await startProgram(
      ['--dev'],
      (await fresh({ POSTRIDER_SMTP_SUBMISSION: `127.0.0.1:0,127.0.0.1:${port}?` })).env,
      START_MS,
    );
    assert.equal(skipped.doors.get('submission')?.length, 1);
    const { status, error } = await skipped.stop();
    assert.equal(status, 0);
    assert.match(error, new RegExp(`WARN .*${port}`));
  } finally {
    blocker.close();
  }
});

test('a wrong configuration ends the start with 2', async () => {
  const { status, error } = await postrider(['start'], (await fresh({ POSTRIDER_LIMITS_MESSAGE_SIZE: 'huge' })).env);
  assert.equal(status, 2);
  assert.match(error, /limits\.message_size \(environment POSTRIDER_LIMITS_MESSAGE_SIZE\): given "huge"/);
});

test('a lost instance secret is told, and nothing starts', async () => {
  const { data, env } = await fresh();
  await (await startProgram(['--dev'], env, START_MS)).stop();
  rmSync(join(data, 'secret.key'));
  const { status, error } = await postrider(['start', '--dev'], env);
  assert.equal(status, 1);
  assert.match(error, /secret\.key is missing; restore it from a backup/);
});
