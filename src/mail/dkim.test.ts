import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, hash } from 'node:crypto';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { dkimBodyHash, dkimPublicValue, dkimRecord, dkimSignature, type DkimSigner } from './dkim.ts';
import { readHeader } from './header.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed25519 = generateKeyPairSync('ed25519');
const SIGNERS: readonly DkimSigner[] = [
  { domain: 'example.org', selector: 'r1', algorithm: 'rsa', key: rsa.privateKey },
  { domain: 'example.org', selector: 'e1', algorithm: 'ed25519', key: ed25519.privateKey },
];
const RECORDS: Readonly<Record<string, string>> = {
  'r1._domainkey.example.org': dkimRecord('rsa', dkimPublicValue(rsa.publicKey)),
  'e1._domainkey.example.org': dkimRecord('ed25519', dkimPublicValue(ed25519.publicKey)),
};
const AT = Date.now();

async function signed(mime: Buffer, signers = SIGNERS): Promise<Buffer> {
  const header = readHeader(mime);
  const bodyHash = dkimBodyHash(mime.subarray(header.bodyStart));
  const fields = await Promise.all(signers.map((signer) => dkimSignature(header, bodyHash, signer, AT)));
  return Buffer.concat([Buffer.from(fields.join('')), mime]);
}

/** What the independent verifier says of each signature. */
async function verdicts(mime: Buffer): Promise<string[]> {
  const result = await dkimVerify(mime, {
    resolver: (name: string): Promise<string[][]> => {
      const record = RECORDS[name];
      return record === undefined
        ? Promise.reject(Object.assign(new Error('no record'), { code: 'ENOTFOUND' }))
        : Promise.resolve([[record]]);
    },
  });
  return result.results.map((each) => each.status.result);
}

let seed = 7;
const next = (max: number): number => (seed = (seed * 48271) % 2147483647) % max;
const pick = <T>(items: readonly T[]): T => items[next(items.length)] as T;

const VALUES = [
  'plain',
  ' two  spaces ',
  '\ttab\t',
  'folded\r\n value',
  'folded\r\n\t \ttwice\r\n  over',
  '',
  '   ',
  'ümlaut ✓',
  'a:b;c=d',
  'x'.repeat(2000),
  ' trailing \t',
  'no\u00a0break\u00a0',
];
const NAMES = [
  'Subject',
  'SUBJECT',
  'To',
  'Cc',
  'Date',
  'Message-ID',
  'Reply-To',
  'X-Other',
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
  'Received',
  'References',
  'MIME-Version',
  'Feedback-ID',
  'Content-Type',
  'From',
];
const PIECES = [
  'text',
  ' ',
  '  ',
  '\t',
  ' \t ',
  '\r\n',
  '\r\n',
  '\r\n\r\n',
  'ümlaut',
  '.',
  ' \r\n',
  '\t\r\n',
  'x'.repeat(300),
  '\x0b',
  '\x80\xff',
];

function oddMessage(): Buffer {
  const fields = ['From: Sender <sender@example.org>\r\n'];
  for (let i = next(12); i > 0; i--)
    fields.splice(next(fields.length + 1), 0, `${pick(NAMES)}:${pick(['', ' ', '\t', '  '])}${pick(VALUES)}\r\n`);
  let body = '';
  for (let i = next(20); i > 0; i--) body += pick(PIECES);
  body += pick(['', '\r\n', '\r\n\r\n\r\n', ' \r\n\t\r\n']);
  return Buffer.concat([
    Buffer.from(`${fields.join('')}\r\n`),
    Buffer.from(body.endsWith('\r\n') || body === '' ? body : `${body}\r\n`, pick(['latin1', 'utf8'] as const)),
  ]);
}

test('an independent verifier accepts both signatures of thousands of odd messages', { timeout: 30_000 }, async () => {
  for (let i = 0; i < 1500; i++) {
    const mime = oddMessage();
    assert.deepEqual(await verdicts(await signed(mime)), ['pass', 'pass'], JSON.stringify(mime.toString('latin1')));
  }
});

test('messages at the edges verify', async () => {
  const from = 'From: a@example.org\r\n';
  for (const text of [
    `${from}\r\n`,
    `${from}\r\n\r\n`,
    `${from}\r\n\r\n\r\n\r\n`,
    `${from}\r\n   \r\n\t\r\n`,
    `${from}\r\nx\r\n\r\n\r\n`,
    `${from}\r\n\r\n\r\nx\r\n`,
    `Subject: ${'word '.repeat(2000)}\r\n${from}\r\nx\r\n`,
    `${from}${'To: b@example.org\r\n'.repeat(98)}\r\nx\r\n`,
    `${'Subject: many\r\n'.repeat(300)}${from}\r\nx\r\n`,
    `${from}${'Subject: many\r\n'.repeat(300)}\r\nx\r\n`,
    from,
  ]) {
    assert.deepEqual(await verdicts(await signed(Buffer.from(text))), ['pass', 'pass'], JSON.stringify(text.slice(0, 100)));
  }
});

test('a change of body or header breaks both signatures', async () => {
  const mime = await signed(Buffer.from('From: a@example.org\r\nSubject: one\r\nX-Free: 1\r\n\r\nbody one\r\n'));
  assert.deepEqual(await verdicts(Buffer.from(mime.toString().replace('body one', 'body two'))), ['neutral', 'neutral']);
  assert.deepEqual(await verdicts(Buffer.from(mime.toString().replace('Subject: one', 'Subject: two'))), ['fail', 'fail']);
  assert.deepEqual(await verdicts(Buffer.from(mime.toString().replace('X-Free: 1', 'X-Free: 2'))), ['pass', 'pass']);
});

test('a field of the signed kinds cannot be added later', async () => {
  const mime = (await signed(Buffer.from('From: a@example.org\r\nSubject: one\r\n\r\nbody\r\n'))).toString();
  for (const added of [
    'From: evil@example.net',
    'Subject: other',
    'To: x@example.net',
    'Reply-To: x@example.net',
    'Content-Type: text/html',
  ]) {
    assert.deepEqual(await verdicts(Buffer.from(`${added}\r\n${mime}`)), ['fail', 'fail'], added);
  }
});

test('white space that relaxed canonicalisation forgives does not change the body hash', () => {
  const reference = dkimBodyHash(Buffer.from('a b\r\n\r\nc\r\n'));
  for (const text of ['a b\r\n\r\nc', 'a  b \r\n\t\r\nc\t\r\n\r\n \r\n', 'a\tb\r\n\r\nc\r\n\r\n\r\n']) {
    assert.equal(dkimBodyHash(Buffer.from(text)), reference, JSON.stringify(text));
  }
  assert.notEqual(dkimBodyHash(Buffer.from('ab\r\n\r\nc\r\n')), reference);
  assert.notEqual(dkimBodyHash(Buffer.from(' a b\r\n\r\nc\r\n')), reference);
});

test('an empty body has the hash of nothing (RFC 6376 section 3.4.4)', () => {
  assert.equal(dkimBodyHash(Buffer.alloc(0)), '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
  assert.equal(dkimBodyHash(Buffer.from('\r\n \r\n')), '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
  assert.equal(dkimBodyHash(Buffer.from('x')), hash('sha256', 'x\r\n', 'base64'));
});

test('From is signed whatever stands below it', async () => {
  const mime = await signed(Buffer.from(`From: a@example.org\r\n${'Subject: many\r\n'.repeat(300)}\r\nx\r\n`));
  assert.deepEqual(await verdicts(Buffer.from(mime.toString().replace('From: a@', 'From: b@'))), ['fail', 'fail']);
});

test('the signature field keeps its lines short', async () => {
  const mime = await signed(Buffer.from(`From: a@example.org\r\n${'References: <x@y>\r\n'.repeat(30)}\r\nx\r\n`));
  const field = mime.toString().slice(0, mime.indexOf('From:'));
  for (const line of field.split('\r\n')) assert.ok(line.length <= 78, line);
});

test('the record holds the key as it must be published', () => {
  const rsaRecord = dkimRecord('rsa', dkimPublicValue(rsa.publicKey));
  assert.match(rsaRecord, /^v=DKIM1; k=rsa; p=[A-Za-z0-9+/]+=*$/);
  const der = Buffer.from(rsaRecord.slice(rsaRecord.indexOf('p=') + 2), 'base64');
  assert.ok(createPublicKey({ key: der, type: 'spki', format: 'der' }).equals(rsa.publicKey));
  assert.match(dkimRecord('ed25519', dkimPublicValue(ed25519.publicKey)), /^v=DKIM1; k=ed25519; p=[A-Za-z0-9+/]{43}=$/);
});

test('hashing a hostile body costs linear time', () => {
  const start = threadCpuMs();
  for (const text of [' '.repeat(5_000_000), ' \r\n'.repeat(1_500_000), '\t x'.repeat(1_500_000), '\r\n'.repeat(2_500_000)])
    dkimBodyHash(Buffer.from(text));
  assert.ok(threadCpuMs() - start < 2000);
});
