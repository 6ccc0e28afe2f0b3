/** What was sent is made again octet by octet, or it is said why not. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import type { Composed, PeerCapabilities } from '#model/delivery.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { DkimSigner } from '#mail/dkim.ts';
import { storedMessage, storedRecipient } from '../../test/kit/stored.ts';
import { type Composer, createComposer } from './compose.ts';
import { remade, sentCopy } from './sent-copy.ts';

const T0 = Date.UTC(2026, 2, 1, 12);
const PLAIN: PeerCapabilities = { eightBitMime: false, smtputf8: false, binaryMime: false };
const MODERN: PeerCapabilities = { eightBitMime: true, smtputf8: true, binaryMime: false };

function message(change: Partial<StoredMessage['info']> = {}): StoredMessage {
  return storedMessage({
    domain: 'ours.example',
    messageId: 'm@ours.example',
    sender: 'app@ours.example',
    createdMs: T0,
    expiresAtMs: T0 + 1,
    priority: 0,
    contentId: 7,
    info: {
      from: 'app@ours.example',
      to: 'x',
      subject: 's',
      sizeBytes: 1,
      method: 'HTTP',
      options: { tags: ['a tag'], variables: { n: 1 }, testMode: false },
      ...change,
    },
  });
}

function recipient(name: string): StoredRecipient {
  return storedRecipient({ address: `${name}@there.example`, domain: 'there.example', dueAtMs: T0, variables: { name } });
}

const keys: DkimSigner[] = [
  { domain: 'ours.example', selector: 'r', algorithm: 'rsa', key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey },
  { domain: 'ours.example', selector: 'e', algorithm: 'ed25519', key: generateKeyPairSync('ed25519').privateKey },
];

function composer(clock = new HeldClock(T0), signers: readonly DkimSigner[] = keys): Composer {
  return createComposer({ clock, isEnabled: true, signingKeys: async () => signers });
}

const HEADER =
  'From: app@ours.example\r\nTo: %recipient%\r\nSubject: Hello\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n';

async function sent(about: StoredMessage, to: StoredRecipient, content: Buffer, capabilities: PeerCapabilities): Promise<Composed> {
  const composed = await composer().job(about, [to], async () => content)(capabilities);
  assert.ok(!('refused' in composed));
  return composed;
}

async function copied(about: StoredMessage, to: StoredRecipient, content: Buffer, capabilities: PeerCapabilities): Promise<string> {
  const composed = await sent(about, to, content, capabilities);
  const copy = JSON.parse(JSON.stringify(sentCopy(composed, capabilities))) as ReturnType<typeof sentCopy>;
  // Days later, with other keys.
  const chunks = await remade(composer(new HeldClock(T0 + 3 * 86_400_000), []), copy, about, to, content);
  assert.ok(!('gone' in chunks));
  const octets = Buffer.concat(chunks);
  assert.equal(octets.length, copy.sizeBytes);
  assert.ok(octets.equals(Buffer.concat([...composed.chunks, Buffer.from(octets.length > composed.sizeBytes ? '\r\n' : '')])));
  return octets.toString('latin1');
}

test('kept content comes back as it was sent, with the signatures of that time', async () => {
  const text = await copied(message(), recipient('ann'), Buffer.from(`${HEADER}\r\nPlain text.\r\n`), MODERN);
  assert.match(text, /^DKIM-Signature: v=1; a=rsa-sha256;.*\r\nDKIM-Signature: v=1; a=ed25519-sha256;/s);
  assert.match(text, /X-Mailgun-Variables: \{ "n": 1 \}\r\n/);
  assert.match(text, /Plain text\.\r\n$/);
});

test('a recipient of a batch gets back what was filled in for it', async () => {
  const content = Buffer.from(`${HEADER}\r\nDear %recipient.name%.\r\n`);
  assert.match(await copied(message({ batchId: 'b' }), recipient('bob'), content, MODERN), /Dear bob\.\r\n$/);
});

test('what was converted for a server that takes less comes back converted', async () => {
  const content = Buffer.from(`${HEADER}Content-Transfer-Encoding: 8bit\r\n\r\nGrüße.\r\n`);
  assert.match(await copied(message({ body: '8BITMIME' }), recipient('cid'), content, PLAIN), /Encoding: base64[^]*R3LDvMOfZS4NCg==/);
  assert.match(await copied(message({ body: '8BITMIME' }), recipient('cid'), content, MODERN), /8bit[^]*Gr\u00c3\u00bc/);
});

test('a last line without its end has got one, as the server saw it', async () => {
  assert.match(await copied(message(), recipient('dan'), Buffer.from(`${HEADER}\r\nNo end`), MODERN), /No end\r\n$/);
});

test('nothing is made up when the content is gone or has become another', async () => {
  const content = Buffer.from(`${HEADER}\r\nThis.\r\n`);
  const copy = sentCopy(await sent(message(), recipient('eve'), content, MODERN), MODERN);
  assert.deepEqual(await remade(composer(), copy, message(), recipient('eve'), undefined), {
    gone: 'the content of the message was deleted meanwhile',
  });
  const other = await remade(composer(), copy, message(), recipient('eve'), Buffer.from(`${HEADER}\r\nThat.\r\n`));
  assert.ok('gone' in other && /cannot be made again octet by octet/.test(other.gone));
});

test('what was made for the recipient at that time comes back as it was made', async () => {
  const clock = new HeldClock(T0);
  const passes = [
    (_: StoredMessage, { id }: StoredRecipient, sentMs: number) => ({ leaf: (octets: string) => `${octets}${id} ${sentMs}\r\n` }),
  ];
  const made = createComposer({ clock, isEnabled: false, signingKeys: async () => [], passes });
  const content = Buffer.from(`${HEADER}\r\nText.\r\n`);
  const composed = await made.job(message(), [recipient('fay')], async () => content)(MODERN);
  assert.ok(!('refused' in composed));
  const copy = JSON.parse(JSON.stringify(sentCopy(composed, MODERN))) as ReturnType<typeof sentCopy>;
  clock.advance(3 * 86_400_000);
  const chunks = await remade(made, copy, message(), recipient('fay'), content);
  assert.ok(!('gone' in chunks));
  assert.match(Buffer.concat(chunks).toString(), new RegExp(`Text\\.\r\n9 ${T0}\r\n$`));
});
