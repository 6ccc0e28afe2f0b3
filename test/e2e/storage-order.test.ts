/** P1 on the running program with the embedded store, as the operating system sees it. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Installation, submit } from '../kit/installation.ts';
import { isSynced } from '../kit/traced-sync.ts';
import { until } from '../kit/until.ts';

test('P1: by the order of system calls, the reply of either door follows the sync of the log that holds its mail', async (t) => {
  if (spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0) return t.skip('the program "strace" is not here, or may not trace');
  const home = await Installation.make(t);
  const server = await home.start();
  const talk = await server.smtp();
  const trace = join(home.data, 'trace');
  const calls = 'trace=pwrite64,write,writev,sendto,sendmsg,fdatasync,fsync';
  const tracer = spawn('strace', ['-f', '-y', '-s', '65536', '-o', trace, '-e', calls, '-p', String(server.pid)], { stdio: 'ignore' });
  await until(() => isTraced() || tracer.exitCode !== null, 'every thread is traced');
  if (tracer.exitCode !== null) return t.skip('a process may not trace another here that it did not start');
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
