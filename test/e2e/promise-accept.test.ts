/**
 * P1, P2 and P12 on the running program: what was answered 250 or 200 is on disk, all of it or nothing, and the same request is taken once.
 * (What the store itself does at each arrow of a recipient's life: storage-crash.test.ts, storage-faults.test.ts.)
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkStore } from '../conformance/check-sqlite.ts';
import { Installation, submit } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const RECIPIENTS = 20;

// One installation for all: each test leaves it running, or starts it again.
const home = await Installation.make({ after });
let server = await home.start();

function addresses(of: string): string[] {
  return Array.from({ length: RECIPIENTS }, (_, n) => `${of}-${n}@x.test`);
}

test('P1: while nothing can be committed nobody is told that mail was taken, and everything else is answered', async () => {
  const talk = await server.smtp();
  const told: string[] = [];
  const release = home.holdCommits();
  const sending = [
    server.send('a@x.test').then(() => told.push('API')),
    submit(talk, ['b@x.test'], 'Subject: x\r\n\r\nHello').then(() => told.push('SMTP')),
  ];
  for (let n = 0; n < 20; n++) assert.equal((await server.call('GET', '/healthz')).status, 200);
  assert.deepEqual(told, []);
  release();
  await Promise.all(sending);
  assert.deepEqual(told.toSorted(), ['API', 'SMTP']);
});

test('P1: by the order of system calls, the reply of either door follows the sync of the log that holds its mail', async (t) => {
  if (spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0) return t.skip('the program "strace" is not here, or may not trace');
  const talk = await server.smtp();
  const trace = join(home.data, 'trace');
  const calls = 'trace=pwrite64,write,writev,sendto,sendmsg,fdatasync,fsync';
  const tracer = spawn('strace', ['-f', '-y', '-s', '65536', '-o', trace, '-e', calls, '-p', String(server.pid)], { stdio: 'ignore' });
  await until(isTraced, 'every thread is traced');
  await server.send('a@x.test', { text: 'content by the API' });
  await submit(talk, ['b@x.test'], 'Subject: x\r\n\r\ncontent by SMTP');
  const ended = once(tracer, 'exit');
  tracer.kill('SIGINT');
  await ended;
  const lines = readFileSync(trace, 'utf8').split('\n');
  for (const [content, reply] of [
    ['content by the API', 'Queued. Thank you.'],
    ['content by SMTP', '250 2.0.0'],
  ] as const) {
    const written = lines.findIndex((line) => /pwrite64\(\d+<[^>]*-wal>/.test(line) && line.includes(content));
    const told = lines.findIndex((line) => line.includes(reply));
    assert.ok(written >= 0 && told > written, `${content}: written in line ${written}, told in line ${told}`);
    assert.ok(isSynced(lines.slice(written + 1, told)), `${content}: no sync between its writing and the reply`);
  }

  function isTraced(): boolean {
    const script = `cat /proc/${server.pid}/task/*/status | grep -c "TracerPid:\\s*0$"`;
    return spawnSync('sh', ['-c', script], { encoding: 'utf8' }).stdout.trim() === '0';
  }
});

/** A sync of the write-ahead log ends with success in these lines. */
function isSynced(lines: readonly string[]): boolean {
  return lines.some((line, at) => {
    const [, thread, rest = ''] = /^(\d+)\s+f(?:data)?sync\(\d+<[^>]*-wal>(.*)$/.exec(line) ?? [];
    if (thread === undefined) return false;
    const resumed = new RegExp(`^${thread}\\s+<\\.\\.\\. f(data)?sync resumed>.*= 0`);
    return /\)\s*= 0/.test(rest) || lines.slice(at + 1).some((later) => resumed.test(later));
  });
}

test('P12: fifty equal requests at once make one message, also after a restart; another request under the key is refused', async () => {
  const headers = { 'idempotency-key': 'order-4711' };
  const send = (to: string) => server.call('POST', '/v3/ours.test/messages', { from: 'app@ours.test', to, text: 'Once' }, headers);
  const answers = await Promise.all(Array.from({ length: 50 }, () => send('once@x.test')));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  const [id, ...others] = new Set(answers.map(({ body }) => body['id']));
  assert.deepEqual(others, []);
  assert.equal(answers.filter((answer) => answer.headers.get('idempotency-replayed') === 'true').length, 49);
  await server.kill();

  server = await home.start();
  const repeated = await send('once@x.test');
  assert.deepEqual([repeated.status, repeated.body['id'], repeated.headers.get('idempotency-replayed')], [200, id, 'true']);
  assert.equal((await send('other@x.test')).status, 409);
  const { body } = await server.mustCall('GET', '/v1/messages?recipient=once@x.test');
  assert.equal((body['items'] as unknown[]).length, 1);
});

test('P1, P2: killed straight after a reply, the program has all of what it acknowledged, nothing in part, and delivers it', async () => {
  const taken: string[] = [];
  const clients = ['smtp-a', 'smtp-b', 'smtp-c', 'http-a', 'http-b'].map((client) => load(client, taken));
  await until(() => taken.length >= 60, '60 messages are taken');
  await server.kill();
  const acknowledged = [...taken];
  await Promise.all(clients);

  assert.deepEqual(checkStore(home.database), []);
  const kept = recipientsKept();
  for (const [name, recipients] of kept) assert.equal(recipients, RECIPIENTS, `${name} was kept in part`);
  for (const name of acknowledged) assert.ok(kept.has(name), `${name} was acknowledged and is lost`);

  server = await home.start();
  const missing = new Set(acknowledged.flatMap(addresses));
  await until(() => {
    for (const { recipients } of home.sink.transactions) for (const { address } of recipients) missing.delete(address);
    return missing.size === 0;
  }, 'everything that was acknowledged is delivered');
});

/** Hands mail in without pause until the server is gone; notes what was taken. */
async function load(client: string, taken: string[]): Promise<void> {
  const by = server;
  const talk = client.startsWith('smtp') ? await by.smtp() : undefined;
  for (let n = 0; by.isRunning; n++) {
    const name = `${client}-${n}`;
    try {
      if (talk === undefined) await by.send(addresses(name), { 'h:Message-Id': `<load.${name}@ours.test>` });
      else
        assert.match(await submit(talk, addresses(name), `Message-ID: <load.${name}@ours.test>\r\n\r\n${'words '.repeat(300)}`), /^250 /);
      taken.push(name);
    } catch (error) {
      if (by.isRunning) throw error;
    }
  }
}

function recipientsKept(): Map<string, number> {
  const db = home.openDatabase();
  const rows = db
    .prepare(
      "SELECT m.message_id AS id, count(*) AS n FROM message m JOIN recipient r ON r.message = m.id WHERE m.message_id LIKE 'load.%' GROUP BY m.id",
    )
    .all();
  db.close();
  return new Map(rows.map((row) => [String(row['id']).slice('load.'.length).replace('@ours.test', ''), Number(row['n'])]));
}
