/** The running program on a disk that becomes full: nothing is acknowledged that cannot be kept, nothing is lost, and it recovers by itself. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, rmdirSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { DOMAIN, Installation, submit } from '../kit/installation.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';

const MIB = 1024 * 1024;
const DISK_BYTES = 32 * MIB;
/** Below what is kept for settling (a quarter of the disk), and enough for that. */
const LITTLE_BYTES = 1200 * 1024;
const HOUR_MS = 3_600_000;
/** What is due comes when the test says so, and not while a disk is still being filled. */
const STEPPED_CLOCK = pathToFileURL(join(import.meta.dirname, '../kit/stepped-clock.ts')).href;
const INBOUND = { 'smtp.inbound': '127.0.0.1:0', 'inbound.greeting_delay': '0s', 'inbound.authentication': 'false' };
const LETTER = { from: `app@${DOMAIN}`, to: 'refused@x.test', text: 'x'.repeat(20_000) };

/** undefined: this system gives none. */
function smallDisk(): { readonly path: string; free(): void } | undefined {
  const path = mkdtempSync(join(tmpdir(), 'postrider-disk-'));
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'postrider-test', path]).status === 0;
  const free = (): void => {
    if (isMounted) spawnSync('umount', ['-l', path]);
    rmdirSync(path);
  };
  if (isMounted) return { path, free };
  free();
  return undefined;
}

/** Takes all space but so much. */
function fill(path: string, leftBytes: number, disk: string): void {
  const file = openSync(path, 'w');
  const block = Buffer.alloc(64 * 1024, 'x');
  for (;;) {
    const { bavail, bsize } = statfsSync(disk);
    if (bavail * bsize <= leftBytes) break;
    try {
      writeSync(file, block, 0, Math.min(block.length, bavail * bsize - leftBytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      // The program has taken the last of it meanwhile.
      break;
    }
  }
  fsyncSync(file);
  closeSync(file);
}

test('a full disk: 452 and 503, not ready but alive, what was taken is still delivered, and it goes on when there is space', async (t) => {
  const disk = smallDisk();
  if (disk === undefined) return t.skip('no small disk can be made here: only root may "mount -t tmpfs"');
  const elsewhere = mkdtempSync(join(tmpdir(), 'postrider-clock-'));
  t.after(() => rmSync(elsewhere, { recursive: true }));
  const clockFile = join(elsewhere, 'clock');
  const home = await Installation.make(t, INBOUND, {
    data: disk.path,
    environment: { NODE_OPTIONS: `--import=${STEPPED_CLOCK}`, TEST_CLOCK_FILE: clockFile },
  });
  // After the installation's own end, which is before it in line.
  t.after(() => disk.free());
  const server = await home.start();
  const talk = await server.smtp();
  const inHours = (hours: number): string => new Date(Date.now() + hours * HOUR_MS).toUTCString();
  const hoursPass = (hours: number): void => writeFileSync(clockFile, String(hours * HOUR_MS));
  const isReady = async (): Promise<boolean> => (await server.call('GET', '/readyz')).status === 200;
  const delivered = (id: string): Promise<boolean> =>
    until(async () => (await server.recipients(id))[0]?.status === 'delivered', `${id} is delivered`);
  const bySmtp = async (): Promise<string> => (await submit(talk, ['refused@x.test'], `Subject: x\r\n\r\n${LETTER.text}`)).slice(0, 9);
  const fromElsewhere = async (): Promise<string> => {
    const client = await SmtpTalk.open(Number(server.program.doors.get('inbound')?.[0]?.split(':').at(-1)));
    await client.say('EHLO client.test');
    const reply = await submit(client, [`postmaster@${DOMAIN}`], `Subject: x\r\n\r\n${LETTER.text}`, 'ann@x.test');
    client.destroy();
    return reply.slice(0, 9);
  };
  const byApi = async (): Promise<number> => (await server.call('POST', `/v3/${DOMAIN}/messages`, LETTER)).status;

  const early = await server.send('early@x.test', { 'o:deliverytime': inHours(1) });
  const late = await server.send('late@x.test', { 'o:deliverytime': inHours(2) });
  const filler = join(disk.path, 'filler');
  fill(filler, LITTLE_BYTES, disk.path);
  await until(async () => !(await isReady()), 'space is known to be short');
  assert.equal(await byApi(), 503);
  assert.equal(await bySmtp(), '452 4.3.1');
  assert.equal(await fromElsewhere(), '452 4.3.1');
  assert.equal((await server.call('GET', '/healthz')).status, 200);
  hoursPass(1.5);
  await delivered(early);

  fill(join(disk.path, 'rest'), 0, disk.path);
  assert.equal(await byApi(), 503);
  assert.match(await bySmtp(), /^45[12] 4\.3\.[01]/);
  hoursPass(2.5);
  await until(async () => /full:/.test((await server.call('GET', '/readyz')).text), 'what became due meanwhile could not be claimed');

  rmSync(filler);
  rmSync(join(disk.path, 'rest'));
  await until(isReady, 'it is ready again');
  assert.equal(await byApi(), 200);
  assert.match(await bySmtp(), /^250 /);
  assert.match(await fromElsewhere(), /^250 /);
  await delivered(late);
  await until(() => home.sink.transactions.length === 4, 'all that was taken arrives, and once');
  assert.equal((await server.stop()).status, 0);
});
