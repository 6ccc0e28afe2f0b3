/**
 * Storage that fails: no space, files that may not grow, a sync that reports an error. What was told stands, what cannot be kept is refused, health says so,
 * and the store works again by itself when the cause is gone. Some faults need means that not every machine has; such a test says what it lacks.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreError } from '#store/store.ts';
import { checkStore } from '../conformance/check-sqlite.ts';
import { accept, type Accepted, mail, settlement, type Tenant, T0, tenant, until } from '../conformance/tenant.ts';
import { isSynced } from '../kit/traced-sync.ts';
import { directoryFor, processFor, type StoreProcess, works } from './storage-process.ts';

const MIB = 1024 * 1024;
const MEBIBYTE = new Uint8Array(MIB);
const CONTENT = new Uint8Array(100_000).fill(120);

/** Accepts until one is refused; what was accepted, and the refusal. */
async function acceptUntilRefused(child: StoreProcess, from: Tenant): Promise<{ accepted: Accepted[]; refusal: StoreError }> {
  const accepted: Accepted[] = [];
  for (let n = 0; n < 2000; n++) {
    try {
      accepted.push(await accept(child.store, mail(from, { content: CONTENT, isLeased: true })));
    } catch (error) {
      assert.ok(error instanceof StoreError, String(error));
      return { accepted, refusal: error };
    }
  }
  return assert.fail('nothing was refused');
}

async function allThere(child: StoreProcess, accepted: readonly Accepted[]): Promise<void> {
  for (const { id, contentId } of accepted) {
    assert.equal((await child.store.events.messageById(undefined, id))?.recipients.length, 1);
    assert.equal((await child.store.mail.content(contentId))?.byteLength, CONTENT.byteLength);
  }
}

/** A wrapper that gives the program a small disk of its own; undefined when this system gives none. */
function smallDisk(directory: string, sizeBytes: number): string[] | undefined {
  const script = `mount -t tmpfs -o size=${sizeBytes} postrider "$0" && exec "$@"`;
  for (const unshare of [['-m'], ['-r', '-m']]) {
    if (works('unshare', ...unshare, 'sh', '-c', script, directory, 'true')) return ['unshare', ...unshare, 'sh', '-c', script, directory];
  }
  return undefined;
}

test('a full disk refuses mail, loses none, still settles, and takes mail again when there is space', async (t) => {
  const directory = directoryFor(t);
  const disk = join(directory, 'disk');
  mkdirSync(disk);
  const wrapper = smallDisk(disk, 24 * MIB);
  if (wrapper === undefined) return t.skip('no small disk can be made here: "unshare -m" and "mount -t tmpfs" are needed');
  const child = processFor(t, wrapper);
  const path = join(disk, 'data', 'postrider.db');
  await child.open({ path, nowMs: T0 });
  const from = await tenant(child.store);
  const first = await accept(child.store, mail(from, { content: CONTENT, isLeased: true }));
  await child.call('fill', join(disk, 'filler'), 3 * MIB);

  const { accepted, refusal } = await acceptUntilRefused(child, from);
  assert.equal(refusal.kind, 'full');
  const health = child.healthAtFailure;
  assert.equal(health?.isWritable, false);
  assert.ok(health.isFull || /full/.test(health.trouble ?? ''), 'the trouble is told');
  await until(async () => (await child.health()).isFull, 'health says that the disk is full');
  await allThere(child, [first, ...accepted]);

  await child.call('remove', join(disk, 'filler'));
  await until(async () => (await child.health()).isWritable, 'it can be written again');
  const later = await accept(child.store, mail(from, { content: CONTENT }));
  assert.equal(await child.store.mail.settle(settlement(from, first)), true);
  await allThere(child, [first, ...accepted, later]);
});

/** What open.ts keeps of a disk of 256 MiB; and outcomes, each in a commit of its own, that write more than that to the log. */
const SPACE_KEPT_BYTES = 64 * MIB;
const SETTLED_ALONE = 2000;

test('while new mail is refused for want of space, there is still enough to settle what was accepted', async (t) => {
  const directory = directoryFor(t);
  const disk = join(directory, 'disk');
  mkdirSync(disk);
  const wrapper = smallDisk(disk, 256 * MIB);
  if (wrapper === undefined) return t.skip('no small disk can be made here: "unshare -m" and "mount -t tmpfs" are needed');
  const child = processFor(t, wrapper);
  await child.open({ path: join(disk, 'data', 'postrider.db'), nowMs: T0 });
  const from = await tenant(child.store);
  const leased: Accepted[] = [];
  while (leased.length < SETTLED_ALONE) {
    leased.push(...(await Promise.all(Array.from({ length: 100 }, () => accept(child.store, mail(from, { isLeased: true }))))));
  }
  await child.call('fill', join(disk, 'filler'), SPACE_KEPT_BYTES - MIB);
  await until(async () => (await child.health()).isFull, 'health says that space is short');
  await assert.rejects(child.store.mail.accept(mail(from)), { name: 'StoreError', kind: 'full' });
  for (const each of leased) assert.equal(await child.store.mail.settle(settlement(from, each)), true);
});

test('files that may not grow refuse mail, lose none, and take mail again when they may', async (t) => {
  if (!works('prlimit', '--version')) return t.skip('the program "prlimit" is not here');
  const path = join(directoryFor(t), 'postrider.db');
  const child = processFor(t);
  await child.open({ path, nowMs: T0 });
  const from = await tenant(child.store);
  const limit = (bytes: string): void => assert.equal(spawnSync('prlimit', ['--pid', String(child.pid), `--fsize=${bytes}:`]).status, 0);
  limit(String(2 * MIB));
  const { accepted, refusal } = await acceptUntilRefused(child, from);
  assert.ok(['full', 'io'].includes(refusal.kind), refusal.message);
  // A moment later there may be room again for the little that is written to try it.
  assert.equal(child.healthAtFailure?.isWritable, false);
  await allThere(child, accepted);
  limit('unlimited');
  await until(async () => (await child.health()).isWritable, 'it can be written again');
  const later = await accept(child.store, mail(from, { content: CONTENT }));
  await child.kill();
  assert.deepEqual(checkStore(path), []);
  const next = processFor(t);
  assert.equal(await next.open({ path, nowMs: T0 }), accepted.length);
  await allThere(next, [...accepted, later]);
});

/** Makes every sync of the process fail, or only those of one file, until it is stopped. Undefined when this system does not let a process be traced. */
async function failSyncs(t: TestContext, child: StoreProcess, only: readonly string[] = []): Promise<Fault | undefined> {
  return fail(t, child, 'fdatasync,fsync:error=EIO', only);
}

interface Fault {
  stop(): Promise<void>;
}

/** Makes system calls fail. */
async function fail(t: TestContext, child: StoreProcess, fault: string, only: readonly string[]): Promise<Fault | undefined> {
  const failing = `inject=${fault}`;
  const tracer = spawn(
    'strace',
    ['-f', '-q', '-o', '/dev/null', '-e', `trace=${fault.split(':', 1)[0]}`, '-e', failing, ...only, '-p', String(child.pid)],
    {
      stdio: 'ignore',
    },
  );
  t.after(() => tracer.kill('SIGKILL'));
  const stop = async (): Promise<void> => {
    if (tracer.exitCode !== null || tracer.signalCode !== null) return;
    tracer.kill('SIGINT');
    await once(tracer, 'exit');
  };
  await until(() => isTraced(child.pid) || tracer.exitCode !== null, 'the process is traced');
  return tracer.exitCode === null ? { stop } : undefined;
}

/** Whether every thread of the process has a tracer. */
function isTraced(pid: number): boolean {
  const script = `cat /proc/${pid}/task/*/status | grep -c "TracerPid:\\s*0$"`;
  return spawnSync('sh', ['-c', script], { encoding: 'utf8' }).stdout.trim() === '0';
}

const STRACE_LACKS = 'the program "strace" is not here, or may not trace';

test('a sync that fails is not believed: the mail is refused, and what was told before stands', async (t) => {
  if (!works('strace', '-o', '/dev/null', 'true')) return t.skip(STRACE_LACKS);
  const path = join(directoryFor(t), 'postrider.db');
  const child = processFor(t);
  await child.open({ path, nowMs: T0 });
  const from = await tenant(child.store);
  const before = await accept(child.store, mail(from, { content: CONTENT, isLeased: true }));
  const failing = await failSyncs(t, child);
  if (failing === undefined) return t.skip(STRACE_LACKS);
  const refused = mail(from, { content: CONTENT, isLeased: true });
  await assert.rejects(child.store.mail.accept(refused), { name: 'StoreError', kind: 'io' });
  await assert.rejects(child.store.mail.settle(settlement(from, before)), { name: 'StoreError', kind: 'io' });
  assert.partialDeepStrictEqual(await child.health(), { isWritable: false });
  assert.equal(await child.store.events.messageByMessageId(undefined, refused.messageId), undefined, 'what was refused is not there');

  await failing.stop();
  await until(async () => (await child.health()).isWritable, 'it can be written again');
  assert.equal(await child.store.mail.settle(settlement(from, before)), true, 'the outcome that could not be written can be now');
  const after = await accept(child.store, mail(from, { content: CONTENT }));
  assert.equal(await child.store.events.messageByMessageId(undefined, refused.messageId), undefined, 'nor does it come back');
  await allThere(child, [before, after]);
  await child.kill();
  assert.deepEqual(checkStore(path), []);
});

/** Accepts large mail, ten at a time, until it holds. */
async function acceptWhile(child: StoreProcess, from: Tenant, accepted: Accepted[], goesOn: () => Promise<boolean>): Promise<void> {
  const client = async (): Promise<void> => {
    while (await goesOn()) accepted.push(await accept(child.store, mail(from, { content: MEBIBYTE })));
  };
  await Promise.all(Array.from({ length: 10 }, client));
}

test('while the log cannot be copied into the database, mail is taken all the same, and once', async (t) => {
  if (!works('strace', '-o', '/dev/null', 'true')) return t.skip(STRACE_LACKS);
  const path = join(directoryFor(t), 'postrider.db');
  const child = processFor(t);
  await child.open({ path, nowMs: T0 });
  const from = await tenant(child.store);
  const failing = await fail(t, child, 'pwrite64:error=ENOSPC', ['-P', path]);
  if (failing === undefined) return t.skip(STRACE_LACKS);
  const accepted: Accepted[] = [];
  await acceptWhile(child, from, accepted, async () => (await child.health()).trouble === undefined);
  assert.equal((await child.health()).isWritable, true);
  const before = accepted.length;
  await acceptWhile(child, from, accepted, async () => accepted.length < before + 20);
  await failing.stop();
  await until(async () => (await child.health()).trouble === undefined, 'all is well again');
  await child.kill();
  assert.deepEqual(checkStore(path), []);
  const next = processFor(t);
  await next.open({ path, nowMs: T0 });
  assert.deepEqual(await next.store.events.queueDepth(), { queued: accepted.length, leased: 0 });
});

test('a database file that cannot be synced stops the process, and the next one finds everything in the log', async (t) => {
  if (!works('strace', '-o', '/dev/null', 'true')) return t.skip(STRACE_LACKS);
  const path = join(directoryFor(t), 'postrider.db');
  const child = processFor(t);
  await child.open({ path, nowMs: T0 });
  const from = await tenant(child.store);
  const failing = await failSyncs(t, child, ['-P', path]);
  if (failing === undefined) return t.skip(STRACE_LACKS);
  const accepted: Accepted[] = [];
  await assert.rejects(
    acceptWhile(child, from, accepted, async () => accepted.length < 500),
    /the process ended with SIGKILL/,
  );
  await failing.stop();
  assert.deepEqual(checkStore(path), []);
  const next = processFor(t);
  await next.open({ path, nowMs: T0 });
  const { queued } = await next.store.events.queueDepth();
  assert.ok(queued >= accepted.length, `${queued} of ${accepted.length}`);
  for (const { contentId } of accepted.slice(0, 5)) assert.equal((await next.store.mail.content(contentId))?.byteLength, MIB);
});

test('a kill right after a failed sync loses nothing that was told', async (t) => {
  if (!works('strace', '-o', '/dev/null', 'true')) return t.skip(STRACE_LACKS);
  const path = join(directoryFor(t), 'postrider.db');
  const child = processFor(t);
  await child.open({ path, nowMs: T0 });
  const from = await tenant(child.store);
  const before = [await accept(child.store, mail(from, { content: CONTENT })), await accept(child.store, mail(from, { content: CONTENT }))];
  const failing = await failSyncs(t, child);
  if (failing === undefined) return t.skip(STRACE_LACKS);
  await assert.rejects(child.store.mail.accept(mail(from, { content: CONTENT })), { kind: 'io' });
  await child.kill();
  await failing.stop();
  assert.deepEqual(checkStore(path), []);
  const next = processFor(t);
  await next.open({ path, nowMs: T0 });
  await allThere(next, before);
});

test('by the order of system calls, a reply follows the sync of the log that holds the mail (P1)', async (t) => {
  if (!works('strace', '-o', '/dev/null', 'true')) return t.skip(STRACE_LACKS);
  const directory = directoryFor(t);
  const trace = join(directory, 'trace');
  const calls = 'trace=pwrite64,write,fdatasync,fsync';
  const child = processFor(t, ['strace', '-f', '-y', '-s', '65536', '-o', trace, '-e', calls]);
  await child.open({ path: join(directory, 'postrider.db'), nowMs: T0 });
  const from = await tenant(child.store);
  const marks = ['mark-one', 'mark-two', 'mark-three'];
  for (const mark of marks) {
    const message = mail(from, { content: new TextEncoder().encode(`content of ${mark}`) });
    await child.call('tell', 'mail.accept', [message], `told ${mark}\n`);
  }
  await child.call('close');
  await child.kill();
  const lines = readFileSync(trace, 'utf8').split('\n');
  for (const mark of marks) {
    const written = lines.findIndex((line) => /pwrite64\(\d+<[^>]*-wal>/.test(line) && line.includes(`content of ${mark}`));
    const told = lines.findIndex((line) => line.includes(`told ${mark}`));
    assert.ok(written >= 0 && told > written, `${mark}: written in line ${written}, told in line ${told}`);
    assert.ok(
      isSynced(lines.slice(written + 1, told)),
      `no sync of the log ended between its writing and the reply:\n${lines
        .slice(written, told + 1)
        .join('\n')
        .slice(0, 3000)}`,
    );
  }
});
