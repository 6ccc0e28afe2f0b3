import { test } from 'node:test';
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { HeldClock } from '#base/clock.ts';
import { compose } from '#mail/compose.ts';
import { dkimPublicValue, dkimRecord, type DkimSigner } from '#mail/dkim.ts';
import { headerValue, headerValues, readHeader } from '#mail/header.ts';
import type { Composed, PeerCapabilities } from '#model/delivery.ts';
import { AppError } from '#model/errors.ts';
import type { MessageInfo, StoredMessage, StoredRecipient } from '#model/message.ts';
import { storedMessage, storedRecipient } from '../../test/kit/stored.ts';
import { createComposer, type Composer, type ComposerDeps } from './compose.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed25519 = generateKeyPairSync('ed25519');
const RSA: DkimSigner = { domain: 'example.org', selector: 'r', algorithm: 'rsa', key: rsa.privateKey };
const OLD_RSA: DkimSigner = { ...RSA, selector: 'old' };
const ED25519: DkimSigner = { domain: 'example.org', selector: 'e', algorithm: 'ed25519', key: ed25519.privateKey };
const FULL: PeerCapabilities = { eightBitMime: true, smtputf8: true, binaryMime: false };
const BARE: PeerCapabilities = { eightBitMime: false, smtputf8: false, binaryMime: false };
const NOW = Date.now();

interface Case {
  readonly mime?: string | Buffer;
  readonly sender?: string;
  readonly info?: Partial<MessageInfo>;
  readonly options?: Partial<MessageInfo['options']>;
  readonly recipient?: Partial<StoredRecipient>;
  readonly capabilities?: PeerCapabilities;
}

function composer(deps: Partial<ComposerDeps> = {}): Composer {
  return createComposer({ clock: new HeldClock(NOW), isEnabled: false, signingKeys: async () => [RSA, ED25519], ...deps });
}

function message(given: Case): StoredMessage {
  return storedMessage({
    id: 77,
    ...(given.sender !== undefined && { sender: given.sender }),
    createdMs: NOW,
    expiresAtMs: NOW + 1,
    contentId: 5,
    info: { ...given.info, options: { tags: [], variables: {}, testMode: false, suppressHeaders: ['all'], ...given.options } },
  });
}

function recipient(given: Partial<StoredRecipient> = {}): StoredRecipient {
  return storedRecipient({ message: 77, dueAtMs: NOW, ...given });
}

const PLAIN = 'From: shop@example.org\r\nTo: jane@example.net\r\nSubject: Hi\r\n\r\nHello\r\n';

async function run(given: Case, from = composer()): Promise<Composed | { readonly refused: string }> {
  const content = Buffer.from(given.mime ?? PLAIN);
  return from.job(message(given), [recipient(given.recipient)], () => Promise.resolve(content))(given.capabilities ?? FULL);
}

async function sent(given: Case, from = composer()): Promise<Composed & { readonly mime: Buffer }> {
  const result = await run(given, from);
  assert.ok('chunks' in result, JSON.stringify(result));
  const mime = Buffer.concat(result.chunks);
  assert.equal(mime.length, result.sizeBytes);
  return { ...result, mime };
}

async function verdicts(mime: Buffer): Promise<string[]> {
  const records: Record<string, string> = {
    'r._domainkey.example.org': dkimRecord('rsa', dkimPublicValue(rsa.publicKey)),
    'old._domainkey.example.org': dkimRecord('rsa', dkimPublicValue(rsa.publicKey)),
    'e._domainkey.example.org': dkimRecord('ed25519', dkimPublicValue(ed25519.publicKey)),
    'two._domainkey.second.example': dkimRecord('ed25519', dkimPublicValue(ed25519.publicKey)),
  };
  const { results } = await dkimVerify(mime, { resolver: (name: string) => Promise.resolve([[records[name] ?? '']]) });
  return results.map((each) => `${each.selector} ${each.signingDomain} ${each.status.result}`);
}

test('the plain case copies nothing', async () => {
  const content = Buffer.from(PLAIN);
  const result = await composer().job(message({}), [recipient()], () => Promise.resolve(content))(FULL);
  assert.ok('chunks' in result);
  assert.deepEqual([result.chunks.length, result.chunks[0] === content, result.body, result.smtputf8], [1, true, '7BIT', false]);
});

test('both algorithms sign, each with its first key, and what was composed verifies', async () => {
  const signing = composer({ isEnabled: true, signingKeys: async () => [RSA, OLD_RSA, ED25519] });
  const expected = ['r example.org pass', 'e example.org pass'];
  assert.deepEqual(
    await verdicts((await sent({ options: { suppressHeaders: [], tags: ['a'], variables: { x: 1 } } }, signing)).mime),
    expected,
  );
  assert.deepEqual(await verdicts((await sent({}, signing)).mime), expected);
});

test('a conversion for a lesser server happens before the signature, and each form is signed for itself', async () => {
  const signing = composer({ isEnabled: true });
  const mime =
    'From: Jörg <shop@example.org>\r\nSubject: Grüße\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße aus dem langen Tal\r\n';
  for (const capabilities of [FULL, BARE, { ...FULL, eightBitMime: false }, { ...FULL, smtputf8: false }, FULL, BARE]) {
    for (const smtputf8 of [true, false]) {
      const result = await sent({ mime, capabilities, info: { smtputf8 } }, signing);
      assert.deepEqual(await verdicts(result.mime), ['r example.org pass', 'e example.org pass']);
      assert.equal(headerValue(readHeader(result.mime), 'subject'), 'Grüße');
      assert.equal(result.smtputf8, smtputf8 && capabilities.smtputf8);
      if (!capabilities.eightBitMime && !result.smtputf8) assert.equal(result.body, '7BIT');
    }
  }
});

test('one content is signed once while the signature is fresh', async () => {
  const clock = new HeldClock(NOW);
  const signing = composer({ isEnabled: true, clock });
  const one = await sent({}, signing);
  clock.advance(60_000);
  assert.deepEqual((await sent({}, signing)).mime, one.mime);
  clock.advance(3_600_000);
  assert.notDeepEqual((await sent({}, signing)).mime, one.mime);
});

test('nothing is signed when it is off, unwanted, or there are no keys', async () => {
  for (const [deps, options] of [
    [{ isEnabled: false }, {}],
    [{ isEnabled: true }, { dkim: false }],
    [{ isEnabled: true, signingKeys: async () => [] }, {}],
  ] as const) {
    assert.equal((await sent({ options }, composer(deps))).mime.toString(), PLAIN);
  }
});

test('a failing key is not remembered', async () => {
  let fails = true;
  const broken: DkimSigner = { ...RSA, algorithm: 'ed25519' };
  const signing = composer({ isEnabled: true, signingKeys: async () => [fails ? { ...broken, key: rsa.publicKey } : RSA] });
  await assert.rejects(run({}, signing));
  fails = false;
  assert.deepEqual(await verdicts((await sent({}, signing)).mime), ['r example.org pass']);
});

test('a second domain signs too, under the name it is published', async () => {
  const secondaryKey = async (account: number, domain: string, selector: string): Promise<DkimSigner | undefined> =>
    account === 1 && domain === 'hidden.example' && selector === 'k' ? { ...ED25519, domain, selector } : undefined;
  const signing = composer({ isEnabled: true, signingKeys: async () => [RSA], secondaryKey });
  const options = { secondaryDkim: 'hidden.example/k', secondaryDkimPublic: 'second.example/two' };
  assert.deepEqual(await verdicts((await sent({ options }, signing)).mime), ['r example.org pass', 'two second.example pass']);
  assert.deepEqual(await verdicts((await sent({ options: { secondaryDkim: 'other.example/k' } }, signing)).mime), ['r example.org pass']);
});

test('addresses beyond ASCII go only to a server with SMTPUTF8', async () => {
  const utf8 = { address: '用户@example.net' };
  assert.equal((await sent({ recipient: utf8 })).smtputf8, true);
  assert.match(JSON.stringify(await run({ recipient: utf8, capabilities: BARE })), /refused.*SMTPUTF8/);
  assert.match(JSON.stringify(await run({ sender: 'jörg@example.org', capabilities: BARE })), /refused.*SMTPUTF8/);
  const mime = 'From: 用户@example.org\r\n\r\nx\r\n';
  assert.match(JSON.stringify(await run({ mime, info: { smtputf8: true }, capabilities: BARE })), /refused.*SMTPUTF8/);
  assert.equal((await sent({ mime, info: { smtputf8: true } })).smtputf8, true);
  // Announced but not needed.
  assert.equal((await sent({ info: { smtputf8: true }, capabilities: BARE })).smtputf8, false);
});

test('an 8-bit header that was not submitted as UTF-8 becomes ASCII', async () => {
  const mime = Buffer.concat([Buffer.from('From: a@example.org\r\nSubject: Gr'), Buffer.from([0xfc]), Buffer.from('n\r\n\r\nx\r\n')]);
  const result = await sent({ mime });
  assert.deepEqual([result.smtputf8, result.body], [false, '7BIT']);
  assert.equal(headerValue(readHeader(result.mime), 'subject'), 'Grün');
});

test('lines over 998 octets are never sent', async () => {
  const mime = `From: a@example.org\r\nX-Long: ${'word '.repeat(400)}\r\n\r\n${'x'.repeat(3000)}\r\n`;
  for (const line of (await sent({ mime })).mime.toString().split('\r\n')) assert.ok(line.length <= 998);
});

test("the service's fields stand above, in short lines of ASCII, unless they are suppressed", async () => {
  const options = {
    tags: ['welcome', 'grün'],
    variables: { id: 7, name: 'Jörg', long: 'w '.repeat(2000), nested: { a: ['ü'] } },
    suppressHeaders: [],
  };
  const { mime } = await sent({ options });
  const header = readHeader(mime);
  assert.deepEqual(headerValues(header, 'x-mailgun-tag'), ['welcome', 'grün']);
  assert.deepEqual(JSON.parse(headerValue(header, 'x-mailgun-variables') ?? ''), options.variables);
  assert.match(headerValue(header, 'x-mailgun-sid') ?? '', /^[\w.]+$/);
  for (const line of mime.toString().split('\r\n')) assert.ok(line.length <= 998 && /^[\t\x20-\x7e]*$/.test(line));
  const fewer = readHeader((await sent({ options: { ...options, suppressHeaders: ['x-mailgun-TAG', 'X-Mailgun-Sid'] } })).mime);
  assert.deepEqual(
    fewer.fields.map((field) => field.name).filter((name) => name.startsWith('x-')),
    ['x-mailgun-variables'],
  );
  assert.equal((await sent({ options: { ...options, suppressHeaders: ['all'] } })).mime.toString(), PLAIN);
});

const BATCH = compose(
  {
    from: 'shop@example.org',
    to: ['%recipient%'],
    cc: [],
    subject: 'For %recipient_fname% %recipient_lname%',
    text: '%recipient_email%|%recipient_name%|%recipient.id%|%recipient.a.b%|%recipient.none%|%recipient.yes%|%recipient.nil%|%recipient.list%|%recipient.toString%|%unsubscribe_url%',
    headers: [],
    attachments: [],
  },
  { messageId: 'id@example.org', dateMs: NOW },
);

test('a batch recipient gets their own values', async () => {
  const variables = { id: 7, a: { b: 'deep' }, yes: true, nil: null, list: [1, 'x'] };
  const info = { batchId: 'b1' };
  const { mime } = await sent({ mime: BATCH, info, recipient: { name: 'Jane van Doe, Jr', variables } });
  const header = readHeader(mime);
  assert.equal(headerValue(header, 'to'), '"Jane van Doe, Jr" <jane@example.net>');
  assert.equal(headerValue(header, 'subject'), 'For Jane van Doe, Jr');
  assert.match(
    mime.toString(),
    /\r\n\r\njane@example\.net\|Jane van Doe, Jr\|7\|deep\|%recipient\.none%\|true\|\|\[1,"x"\]\|%recipient\.toString%\|%unsubscribe_url%\r\n/,
  );
  const other = await sent({ mime: BATCH, info });
  assert.equal(headerValue(readHeader(other.mime), 'to'), 'jane@example.net');
});

test('a copy for someone in Cc is still to the recipient it is about', async () => {
  const variables = { recipient: 'Jane <jane@example.net>', recipient_email: 'jane@example.net', recipient_name: 'Jane', id: 1 };
  const { mime } = await sent({
    mime: BATCH,
    info: { batchId: 'b1' },
    recipient: { address: 'boss@example.org', name: 'Jane', variables },
  });
  assert.equal(headerValue(readHeader(mime), 'to'), 'Jane <jane@example.net>');
  assert.match(mime.toString(), /\r\njane@example\.net\|Jane\|1\|/);
});

test('a batch verifies for each recipient, and its v: variables are filled in', async () => {
  const signing = composer({ isEnabled: true });
  for (const id of ['1', '2', 'ü']) {
    const { mime } = await sent(
      {
        mime: BATCH,
        info: { batchId: 'b1' },
        options: { variables: { own: '%recipient.id%' }, suppressHeaders: [] },
        recipient: { variables: { id } },
      },
      signing,
    );
    assert.deepEqual(await verdicts(mime), ['r example.org pass', 'e example.org pass']);
    assert.deepEqual(JSON.parse(headerValue(readHeader(mime), 'x-mailgun-variables') ?? ''), { own: id });
  }
});

test('a batch that differs only in its headers has one body hash and still verifies', async () => {
  const parts = { from: 'shop@example.org', to: ['%recipient%'], cc: [], subject: 'x', text: 'same', headers: [], attachments: [] };
  const mime = compose(parts, { messageId: 'id@example.org', dateMs: NOW });
  const signing = composer({ isEnabled: true });
  for (const address of ['a@example.net', 'b@example.net']) {
    const result = await sent({ mime, info: { batchId: 'b' }, recipient: { address } }, signing);
    assert.deepEqual(await verdicts(result.mime), ['r example.org pass', 'e example.org pass']);
    assert.equal(headerValue(readHeader(result.mime), 'to'), address);
  }
});

test('a late template is rendered with values filled in, and one that fails is refused', async () => {
  const parts = {
    from: 'shop@example.org',
    to: ['%recipient%'],
    cc: [],
    subject: 'Hi {{name}}',
    html: '<p>{{name}} %recipient.id%</p>',
    headers: [],
    attachments: [],
  };
  const mime = compose(parts, { messageId: 'id@example.org', dateMs: NOW });
  const given: Case = {
    mime,
    info: { batchId: 'b', renderLate: { name: 't', version: 'v' } },
    options: { template: { name: 't', variables: { name: '%recipient.name%' }, text: false } },
    recipient: { variables: { name: 'Jörg {{id}}', id: '%recipient.name%' } },
  };
  const rendering = composer({ render: (source, context) => source.replace('{{name}}', String(context['name'])) });
  const result = await sent(given, rendering);
  assert.equal(headerValue(readHeader(result.mime), 'subject'), 'Hi Jörg {{id}}');
  assert.match(result.mime.toString(), /<p>J=C3=B6rg \{\{id\}\} %recipient\.name%<\/p>/);
  const failing = composer({
    render: () => {
      throw new AppError('template-failed', { name: 't', reason: 'why' });
    },
  });
  assert.match(JSON.stringify(await run(given, failing)), /refused.*why/);
});

test('two recipients of a batch in one transaction are a bug', async () => {
  const job = composer().job(message({ info: { batchId: 'b' } }), [recipient(), recipient()], () => Promise.resolve(BATCH));
  await assert.rejects(job(FULL));
});

test('a batch whose values make more of it than fits in memory fails with a reason', async () => {
  const mime = `From: shop@example.org\r\nTo: jane@example.net\r\n\r\n${'%recipient.x% '.repeat(2000)}\r\n`;
  const variables = { x: 'x'.repeat(1_000_000) };
  const result = await run({ mime, info: { batchId: 'b' }, recipient: { variables } });
  assert.ok('refused' in result);
  assert.match(result.refused, /grows beyond \d+ characters/);
});

test('variables that grow without end are left out of the header', async () => {
  const variables = { name: '%recipient.x%'.repeat(1000) };
  const { mime } = await sent({
    info: { batchId: 'b' },
    options: { variables, suppressHeaders: [] },
    recipient: { variables: { x: 'x'.repeat(1_000_000) } },
  });
  assert.ok(mime.length < 100_000);
});

const HTML = 'From: shop@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>%x%</p>\r\n';

/** Puts the recipient's id and the time into the text, and a field above the message. */
const marking: NonNullable<ComposerDeps['passes']>[number] = (_message, { id }, sentMs) => ({
  leaf: (octets) => octets.replace('%x%', `${id} ${sentMs}`),
  fields: `List-Unsubscribe: <https://links.example/u/${id}>\r\n`,
});

test("what a pass makes is the recipient's own, and the signatures cover it", async () => {
  const signing = composer({ isEnabled: true, passes: [marking, () => undefined] });
  for (const id of [9, 10]) {
    const result = await sent({ mime: HTML, recipient: { id } }, signing);
    assert.match(result.mime.toString(), new RegExp(`List-Unsubscribe: <https://links\\.example/u/${id}>\r\n[^]*<p>${id} ${NOW}</p>`));
    assert.deepEqual(await verdicts(result.mime), ['r example.org pass', 'e example.org pass']);
    assert.equal(result.sentMs, NOW);
  }
  const tampered = (await sent({ mime: HTML }, signing)).mime.toString().replace('links.example/u/9', 'links.example/u/8');
  assert.deepEqual(await verdicts(Buffer.from(tampered)), ['r example.org fail', 'e example.org fail']);
});

test('passes see what was filled in, one after the other', async () => {
  const passes = ['a', 'b'].map((mark): typeof marking => () => ({ leaf: (octets) => octets.replace('name', `name ${mark}`) }));
  const mime = HTML.replace('%x%', '%recipient.who%');
  const result = await sent({ mime, info: { batchId: 'b' }, recipient: { variables: { who: 'my name' } } }, composer({ passes }));
  assert.match(result.mime.toString(), /<p>my name b a<\/p>/);
});

test('a message that no pass is for is sent as it is kept', async () => {
  const content = Buffer.from(PLAIN);
  for (const passes of [[], [() => undefined], [() => ({ leaf: (octets: string) => octets })]]) {
    const result = await composer({ passes }).job(message({}), [recipient()], async () => content)(FULL);
    assert.ok('chunks' in result);
    assert.deepEqual([result.chunks[0] === content, result.sentMs], [true, undefined]);
  }
});

test('what a pass makes beyond ASCII is converted for a lesser server', async () => {
  const passes: ComposerDeps['passes'] = [() => ({ leaf: (octets) => octets.replace('%x%', Buffer.from('Grüße').toString('latin1')) })];
  const result = await sent({ mime: HTML.replace('html', 'html; charset=utf-8'), capabilities: BARE }, composer({ passes }));
  assert.equal(result.body, '7BIT');
});

const words: ComposerDeps['words'] =
  (_message, { id }) =>
  (key) =>
    key === 'unsubscribe_url' ? `https://links.example/u/${id}` : undefined;

test('words of the recipient are filled in without a batch, and nothing else is; in a batch beside its variables', async () => {
  const mime = HTML.replace('Content-Type', 'X-Leave: <%unsubscribe_url%>\r\nContent-Type').replace(
    '%x%',
    '%recipient.who% %unsubscribe_url%',
  );
  const signing = composer({ isEnabled: true, words });
  const alone = await sent({ mime }, signing);
  assert.match(
    alone.mime.toString(),
    /X-Leave: <https:\/\/links\.example\/u\/9>\r\n[^]*<p>%recipient\.who% https:\/\/links\.example\/u\/9<\/p>/,
  );
  assert.deepEqual(await verdicts(alone.mime), ['r example.org pass', 'e example.org pass']);
  const inBatch = await sent({ mime, info: { batchId: 'b' }, recipient: { id: 10, variables: { who: 'you' } } }, signing);
  assert.match(inBatch.mime.toString(), /<p>you https:\/\/links\.example\/u\/10<\/p>/);
  const again = await signing.again(message({}), recipient(), FULL, Buffer.from(mime), NOW);
  assert.ok(Buffer.isBuffer(again) && alone.mime.toString().endsWith(again.toString()));
});

test('recipients with content of their own never share a transaction', async () => {
  const worded = composer({ words }).job(message({}), [recipient(), recipient({ id: 10 })], async () => Buffer.from(HTML));
  await assert.rejects(worded(FULL), /each has a transaction of its own/);
  const job = composer({ passes: [marking] }).job(message({}), [recipient(), recipient({ id: 10 })], async () => Buffer.from(HTML));
  await assert.rejects(job(FULL), /each has a transaction of its own/);
});
