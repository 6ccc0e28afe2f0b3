/** The sandbox as delivery meets it: a real SMTP client, the real store. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { HeldClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Store } from '#store/store.ts';
import { openTestStore } from '../../test/kit/stores.ts';
import { MAILBOXES } from './behaviours.ts';
import { type CaptureServer, startCaptureServer } from './capture-server.ts';

const KEEP_MAX = 5;

describe('the capture server', () => {
  const clock = new HeldClock(Date.UTC(2026, 10, 23));
  let directory: string;
  let store: Store;
  let server: CaptureServer;
  const reported: string[] = [];
  const reports = { about: (kind: string, sender: string, to: string) => void reported.push(`${kind} ${sender} ${to}`) };

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'postrider-sandbox-'));
    store = await openTestStore(directory);
    server = await startCaptureServer({ store, clock, log: silentLog, hostname: 'sandbox.example', keepMax: KEEP_MAX, reports });
  });
  after(async () => {
    await server.close();
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });
  beforeEach(() => store.sandbox.clear());

  /** Resolves to the reply to the message, or to that which refused it. */
  async function send(...to: string[]): Promise<string> {
    const transport = createTransport({ host: '127.0.0.1', port: server.port, ignoreTLS: true });
    try {
      const mail = {
        from: 'Shop <shop@sender.example>',
        to,
        subject: 'Grüße',
        text: 'Hello.',
        envelope: { from: 'shop@sender.example', to },
      };
      return (await transport.sendMail(mail)).response;
    } catch (error) {
      return (error as { response?: string }).response ?? String((error as { code?: string }).code);
    } finally {
      transport.close();
    }
  }

  test('keeps what it accepts, whole and with what lists show, and says under which number', async () => {
    const reply = await send('ann@example.org', 'bob@example.net');
    const [mail] = await store.sandbox.list(10);
    assert.ok(mail !== undefined);
    assert.match(reply, new RegExp(`^250 2\\.0\\.0 .* message ${mail.id}$`));
    assert.deepEqual(mail.recipients, ['ann@example.org', 'bob@example.net']);
    assert.equal(mail.sender, 'shop@sender.example');
    assert.equal(mail.subject, 'Grüße');
    assert.equal(mail.from, 'Shop <shop@sender.example>');
    assert.equal(mail.atMs, clock.nowMs());
    const whole = await store.sandbox.get(mail.id);
    assert.match(Buffer.from(whole?.bytes ?? []).toString(), /^From: Shop [\s\S]*\r\n\r\nHello\.\r\n$/);
    assert.equal(whole?.bytes.length, mail.sizeBytes);
  });

  test('keeps the newest only', async () => {
    for (let i = 0; i < KEEP_MAX + 2; i++) await send(`user${i}@example.org`);
    const kept = await store.sandbox.list(100);
    assert.deepEqual(
      kept.map(({ recipients }) => recipients[0]),
      ['user6@example.org', 'user5@example.org', 'user4@example.org', 'user3@example.org', 'user2@example.org'],
    );
  });

  for (const [mailbox, reply] of Object.entries({
    'bounce@example.org': /^550 5\.1\.1 /,
    'Bounce+order-17@example.org': /^550 5\.1\.1 /,
    'full@example.org': /^552 5\.2\.2 /,
    'blocked@example.org': /^554 5\.7\.1 /,
    'reject-data@example.org': /^554 5\.7\.1 /,
    'defer@example.org': /^451 4\.3\.0 /,
    'greylist@example.org': /^451 4\.7\.1 .*try again in 5 seconds/,
    // An end of the connection without a reply, as nodemailer calls it.
    'drop@example.org': /^(ECONNECTION|ESOCKET|ECONNRESET)$/,
  })) {
    test(`${mailbox} is refused, and nothing is kept`, async () => {
      assert.match(await send(mailbox), reply);
      assert.deepEqual(await store.sandbox.list(10), []);
    });
  }

  test('a mailbox that refuses leaves the other recipients of the message their mail', async () => {
    assert.match(await send('bounce@example.org', 'ann@example.org'), /^250 /);
    const [mail] = await store.sandbox.list(10);
    assert.deepEqual(mail?.recipients, ['ann@example.org']);
  });

  test('defer-2 is put off twice and then accepted, for each message anew', async () => {
    const codes: string[] = [];
    for (let i = 0; i < 6; i++) codes.push((await send('defer-2@example.org')).slice(0, 3));
    assert.deepEqual(codes, ['451', '451', '250', '451', '451', '250']);
  });

  test('it is counted for each sender and recipient alone', async () => {
    assert.match(await send('defer-1+a@example.org'), /^451 /);
    assert.match(await send('defer-1+b@example.org'), /^451 /);
    assert.match(await send('defer-1+a@example.org'), /^250 /);
  });

  test('greylist accepts when its time is over, not before', async () => {
    assert.match(await send('greylist+x@example.org'), /^451 /);
    clock.advance(4_999);
    assert.match(await send('greylist+x@example.org'), /^451 /);
    clock.advance(1);
    assert.match(await send('greylist+x@example.org'), /^250 /);
  });

  test('slow-1 accepts after a second', async () => {
    const startedMs = performance.now();
    assert.match(await send('slow-1@example.org'), /^250 /);
    assert.ok(performance.now() - startedMs >= 990);
  });

  test('closing it ends the wait of slow mailboxes, and keeps nothing of them', async () => {
    const cut = send('slow-1+cut@example.org');
    // Nothing tells from outside that the server has the message and waits; where it does not yet, the test still holds.
    await sleep(100);
    await server.close();
    assert.doesNotMatch(await cut, /^250/);
    server = await startCaptureServer({ store, clock, log: silentLog, hostname: 'sandbox.example', keepMax: KEEP_MAX, reports });
    // The second of the one that was cut is over before that of the next.
    await send('slow-1+whole@example.org');
    const kept = await store.sandbox.list(10);
    assert.deepEqual(
      kept.map(({ recipients }) => recipients[0]),
      ['slow-1+whole@example.org'],
    );
  });

  test('later-bounce@, complain@ and reply@ take their mail, and have it reported on with its reverse-path; others do not', async () => {
    reported.length = 0;
    assert.match(await send('later-bounce+1@example.org', 'ann@example.org', 'complain@example.net', 'reply@example.net'), /^250/);
    assert.deepEqual(reported, [
      'later-bounce shop@sender.example later-bounce+1@example.org',
      'complain shop@sender.example complain@example.net',
      'reply shop@sender.example reply@example.net',
    ]);
    assert.equal((await store.sandbox.list(10)).length, 1);
  });

  test('every mailbox of the table is told in a sentence that names its reply', () => {
    for (const { mailbox, sentence, behaviour } of MAILBOXES) {
      const it = behaviour(1);
      if (!('reply' in it)) continue;
      assert.ok(sentence.includes(`${it.reply.code} ${it.reply.enhanced}`), `${mailbox}: ${sentence}`);
    }
  });
});
