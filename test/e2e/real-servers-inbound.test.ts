/** Mail that clients of others bring to our door: swaks with STARTTLS and everything in one flight, nodemailer with files; a route posts it on, whole. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import { until } from '../kit/until.ts';
import { formOf, inboundPort, ours, startRoutes } from './inbound-routes-kit.ts';

// DNS is asked once, and of this process.
const rig = await startRoutes({ after }, { 'inbound.unknown_sender': 'accept', 'dns.timeout': '30s' });
await rig.routes([`match_recipient("in@ours.test")`, `forward("${rig.url('/in')}")`]);

interface Posted {
  readonly field: (name: string) => string;
  readonly files: ReadonlyMap<string, File>;
}

async function posted(subject: string): Promise<Posted> {
  return until(async () => {
    for (const received of rig.there.at('/in')) {
      const { fields, files } = await formOf(received);
      const field = (name: string): string => fields.find(([each]) => each === name)?.[1] ?? '';
      if (field('subject') === subject) return { field, files };
    }
    return undefined;
  }, `the post of "${subject}"`);
}

/** What swaks said; undefined: it is not installed. */
async function swaks(...args: readonly string[]): Promise<string | undefined> {
  const all = ['--server', '127.0.0.1', '--port', String(inboundPort(rig.server)), '--from', 'ann@sender.test', ...args];
  try {
    return (await promisify(execFile)('swaks', all)).stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

test('swaks brings mail by STARTTLS, in flights', async (t) => {
  const said = await swaks('--tls', '--pipeline', '--to', ours('in'), '--header', 'Subject: By swaks', '--body', 'Hello.\n-- \nAnn');
  if (said === undefined) return t.skip('swaks is not installed');
  assert.match(said, /=== TLS started with cipher TLSv1\.[23]/);
  assert.match(said, /<~  250 2\.0\.0 Received as /);
  // The whole envelope left before the first reply.
  assert.match(said, / ~> MAIL FROM:.*\n ~> RCPT TO:.*\n ~> DATA/);
  const { field } = await posted('By swaks');
  assert.deepEqual([field('sender'), field('recipient'), field('stripped-text').trim()], ['ann@sender.test', ours('in'), 'Hello.']);
  assert.match(field('message-headers'), /spf=pass smtp\.mailfrom=sender\.test/);
});

test('of several recipients in one flight of swaks only those that are here are taken', async (t) => {
  const said = await swaks('--pipeline', '--to', `${ours('in')},${ours('nobody')}`, '--header', 'Subject: To two').catch(
    (error: unknown) => (error as { stdout: string }).stdout,
  );
  if (said === undefined) return t.skip('swaks is not installed');
  assert.match(said, /<\*\* 550 5\.1\.1 /);
  assert.equal((await posted('To two')).field('recipient'), ours('in'));
});

test('nodemailer brings a message with texts, a picture in it and files: the route posts each of them, octet by octet', async (t) => {
  const transport = createTransport({
    host: '127.0.0.1',
    port: inboundPort(rig.server),
    requireTLS: true,
    tls: { rejectUnauthorized: false },
  });
  t.after(() => transport.close());
  const picture = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
  const large = Buffer.alloc(3_000_000, Buffer.from([0, 10, 13, 46, 13, 10, 46, 13, 10, 255]));
  const sent = await transport.sendMail({
    from: 'Zoë <ann@sender.test>',
    to: ours('in'),
    subject: 'Äpfel 🍎',
    text: 'Zwei Äpfel.\n.\n..\nFrom here on',
    html: '<p>Zwei Äpfel <img src="cid:apple"></p>',
    attachments: [
      { filename: 'apple.png', content: picture, cid: 'apple' },
      { filename: 'Rechnung Größe "1".bin', content: large },
    ],
  });
  assert.match(sent.response, /^250 2\.0\.0 Received as /);
  const { field, files } = await posted('Äpfel 🍎');
  assert.equal(field('from'), 'Zoë <ann@sender.test>');
  assert.equal(field('body-plain').replaceAll('\r\n', '\n').trimEnd(), 'Zwei Äpfel.\n.\n..\nFrom here on');
  assert.equal(field('body-html').trimEnd(), '<p>Zwei Äpfel <img src="cid:apple"></p>');
  const contents = new Map(
    await Promise.all([...files.values()].map(async (file) => [file.name, Buffer.from(await file.arrayBuffer())] as const)),
  );
  assert.deepEqual(contents.get('apple.png'), picture);
  const [[, other] = []] = [...contents].filter(([name]) => name.startsWith('Rechnung'));
  assert.ok(other?.equals(large), `of ${[...contents.keys()].join(', ')}`);
  assert.match(field('content-id-map'), /<apple>/);
});
