/** Seals, verified by a library that others wrote. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { authenticate } from 'mailauth';
import { arcFields, type Sealing } from './arc.ts';
import { dkimPublicValue, dkimRecord, type DkimSigner } from './dkim.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const RECORD = dkimRecord('rsa', dkimPublicValue(publicKey));
const signer: DkimSigner = { domain: 'ours.example', selector: 's1', algorithm: 'rsa', key: privateKey };
const LETTER = Buffer.from(
  'From: Ann <ann@sender.example>\r\nTo: bob@ours.example\r\nSubject:  A  letter\r\n with two lines\r\nX: y\r\n\r\n Text  with\t spaces \r\n\r\n\r\n',
);

async function sealed(message: Buffer, change: Partial<Sealing> = {}): Promise<Buffer> {
  const facts: Sealing = { signer, chain: { result: 'none' }, results: 'ours.example; spf=pass; dkim=none', atMs: Date.now(), ...change };
  return Buffer.concat([Buffer.from((await arcFields(message, facts)) ?? ''), message]);
}

async function chainOf(message: Buffer): Promise<string> {
  const resolver = async (name: string): Promise<unknown[]> => {
    if (name === 's1._domainkey.ours.example') return [[RECORD]];
    throw Object.assign(new Error(name), { code: 'ENOTFOUND' });
  };
  const options = { ip: '192.0.2.1', helo: 'x', sender: 'a@b.example', mta: 'next.example', resolver } as Parameters<
    typeof authenticate
  >[1];
  const { arc } = await authenticate(message, options);
  return arc === false ? 'none' : arc.status.result;
}

test('a message that is sealed verifies, with one seal and with several', async () => {
  const once = await sealed(LETTER);
  assert.equal(await chainOf(once), 'pass');
  const twice = await sealed(once, { chain: { result: 'pass', instance: 1 } });
  const thrice = await sealed(Buffer.concat([Buffer.from('Received: from a\r\n'), twice]), { chain: { result: 'pass', instance: 2 } });
  assert.match(thrice.toString(), /^ARC-Seal: i=3; a=rsa-sha256; t=\d+; cv=pass;/);
  assert.equal(await chainOf(thrice), 'pass');
});

test('a seal does not hold for another text', async () => {
  const message = (await sealed(LETTER)).toString().replace('Text', 'Lies');
  assert.equal(await chainOf(Buffer.from(message)), 'fail');
});

test('a chain that is broken, or that may be, is not sealed over', async () => {
  const facts = { signer, results: 'ours.example; spf=pass', atMs: Date.now() };
  const once = await sealed(LETTER);
  for (const chain of [
    { result: 'fail' },
    { result: 'temperror' },
    { result: 'pass', instance: 2 },
    { result: 'pass', instance: 50 },
  ] as const)
    assert.equal(await arcFields(once, { ...facts, chain }), undefined, JSON.stringify(chain));
});
