/** Fields and reverse-path that let word of a message come back to us: signed with it, and used in MAIL FROM. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { HeldClock } from '#base/clock.ts';
import type { DkimSigner } from '#mail/dkim.ts';
import { headerValue, readHeader } from '#mail/header.ts';
import type { Composed } from '#model/delivery.ts';
import { storedMessage, storedRecipient } from '../../test/kit/stored.ts';
import { createComposer, type Returning } from './compose.ts';

const NOW = 1_800_000_000_000;
const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
const RSA: DkimSigner = { domain: 'example.org', selector: 'r', algorithm: 'rsa', key: rsa.privateKey };
const RECORD = `v=DKIM1; k=rsa; p=${rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`;
const MIME = Buffer.from('From: shop@example.org\r\nTo: jane@example.net\r\nSubject: Hi\r\n\r\nHello\r\n');

const message = storedMessage({ createdMs: NOW, expiresAtMs: NOW + 1, contentId: 5 });
const recipient = storedRecipient({ dueAtMs: NOW });

async function sent(returning: () => Returning, given = message, smtputf8 = false): Promise<Composed & { readonly mime: Buffer }> {
  const composer = createComposer({
    clock: new HeldClock(NOW),
    isEnabled: true,
    signingKeys: async () => [RSA],
    returning: async () => returning(),
  });
  const composed = await composer.job(given, [recipient], async () => MIME)({ eightBitMime: true, smtputf8, binaryMime: false });
  assert.ok('chunks' in composed, JSON.stringify(composed));
  return { ...composed, mime: Buffer.concat(composed.chunks) };
}

async function isSigned(mime: Buffer): Promise<boolean> {
  const { results } = await dkimVerify(mime, { resolver: () => Promise.resolve([[RECORD]]) });
  return results.some((each) => each.status.result === 'pass');
}

test('the fields stand in the message and its signature covers them', async () => {
  const { mime, sizeBytes } = await sent(() => ({ fields: 'Feedback-ID: a:b\r\nCFBL-Address: c@example.org; report=arf\r\n' }));
  assert.equal(mime.length, sizeBytes);
  assert.equal(headerValue(readHeader(mime), 'feedback-id'), 'a:b');
  assert.ok(await isSigned(mime));
  for (const [from, to] of [
    ['a:b', 'a:c'],
    ['c@example', 'd@example'],
  ] as const) {
    assert.equal(await isSigned(Buffer.from(mime.toString('latin1').replace(from, to), 'latin1')), false);
  }
});

test('other fields of the same content get a signature of their own', async () => {
  const composer = createComposer({
    clock: new HeldClock(NOW),
    isEnabled: true,
    signingKeys: async () => [RSA],
    returning: async (_, [first]) => ({ fields: `Feedback-ID: ${first?.id}\r\n` }),
  });
  for (const id of [9, 10]) {
    const composed = await composer.job(
      message,
      [{ ...recipient, id }],
      async () => MIME,
    )({ eightBitMime: true, smtputf8: false, binaryMime: false });
    assert.ok('chunks' in composed && (await isSigned(Buffer.concat(composed.chunks))));
  }
});

test('the reverse-path of the transaction is the one given, and an ASCII one needs no SMTPUTF8', async () => {
  assert.equal((await sent(() => ({ fields: '' }))).mailFrom, undefined);
  const beyondAscii = { ...message, sender: 'käthe@example.org' };
  const { mailFrom, smtputf8 } = await sent(() => ({ fields: '', mailFrom: 'bounce+x@example.org' }), beyondAscii);
  assert.deepEqual([mailFrom, smtputf8], ['bounce+x@example.org', false]);
});
