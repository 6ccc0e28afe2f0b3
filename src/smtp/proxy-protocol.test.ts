/** PROXY protocol: what is read, what is not believed, and from whom. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { startReceiver, TEST_CONTEXT } from '../../test/kit/smtp-receiver.ts';
import { SmtpTalk } from '../../test/kit/smtp-talk.ts';
import { readProxyHeader } from './proxy-protocol.ts';

const V2_START = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

function version2(command: number, family: number, payload: Buffer): Buffer {
  const head = Buffer.from([command, family, 0, 0]);
  head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([V2_START, head, payload]);
}

const V4 = version2(0x21, 0x11, Buffer.from('cb00710ac00002011f900019', 'hex'));
const V6 = version2(0x21, 0x21, Buffer.from('20010db8000000000000000000000001fe800000000000000000000000000002c0000019', 'hex'));

test('version 1', () => {
  const line = Buffer.from('PROXY TCP4 203.0.113.10 192.0.2.1 8080 25\r\nEHLO');
  assert.deepEqual(readProxyHeader(line), { kind: 'read', lengthBytes: 43, client: { address: '203.0.113.10', port: 8080 } });
  const six = Buffer.from('PROXY TCP6 2001:DB8::1 ::1 8080 25\r\n');
  assert.deepEqual(readProxyHeader(six), { kind: 'read', lengthBytes: six.length, client: { address: '2001:db8::1', port: 8080 } });
  assert.deepEqual(readProxyHeader(Buffer.from('PROXY UNKNOWN whatever\r\n')), { kind: 'read', lengthBytes: 24 });
});

test('version 2, with extra fields, and from the proxy itself', () => {
  assert.deepEqual(readProxyHeader(V4), { kind: 'read', lengthBytes: 28, client: { address: '203.0.113.10', port: 8080 } });
  assert.deepEqual(readProxyHeader(V6), { kind: 'read', lengthBytes: 52, client: { address: '2001:db8::1', port: 49152 } });
  const withExtra = version2(0x21, 0x11, Buffer.concat([V4.subarray(16), Buffer.from('0400010a', 'hex')]));
  assert.equal(readProxyHeader(withExtra).kind, 'read');
  assert.deepEqual(readProxyHeader(version2(0x20, 0x00, Buffer.alloc(0))), { kind: 'read', lengthBytes: 16 });
});

test('every beginning of a header waits for more', () => {
  for (const header of [V4, V6, Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n')]) {
    for (let length = 0; length < header.length; length++) {
      assert.equal(readProxyHeader(header.subarray(0, length)).kind, 'more', `${length} of ${header.length}`);
    }
  }
});

const MALFORMED: readonly (string | Buffer)[] = [
  'EHLO client.test\r\n',
  'PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n',
  'PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n',
  'PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n',
  'PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n',
  'PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n',
  'PROXY TCP4 ::1 ::1 1 2\r\n',
  'PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n',
  'PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n',
  'PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n',
  'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n',
  `PROXY UNKNOWN ${'x'.repeat(200)}`,
  version2(0x11, 0x11, V4.subarray(16)),
  version2(0x22, 0x11, V4.subarray(16)),
  version2(0x21, 0x12, V4.subarray(16)),
  version2(0x21, 0x11, Buffer.alloc(11)),
  version2(0x21, 0x21, Buffer.alloc(35)),
  version2(0x21, 0x11, Buffer.alloc(5000)),
];

for (const header of MALFORMED) {
  test(`${JSON.stringify(header.toString('latin1').slice(0, 60))} is malformed`, () => {
    assert.equal(readProxyHeader(Buffer.from(header)).kind, 'malformed');
  });
}

test('a proxy names the client; the dialogue goes on behind the header', async (t) => {
  const receiver = await startReceiver(t, {}, { isProxy: (address) => address === '127.0.0.1' });
  const talk = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  talk.send(V6.subarray(0, 20));
  talk.send(V6.subarray(20));
  assert.match(await talk.reply(), /^220 /);
  assert.equal(receiver.sessions[0]?.address, '2001:db8::1');
  assert.equal(receiver.sessions[0]?.port, 49152);
});

test('limits per address are those of the client, not of the proxy', async (t) => {
  const receiver = await startReceiver(t, {}, { isProxy: () => true, limits: { connectionsPerAddress: 1 } });
  for (const client of ['192.0.2.1', '192.0.2.2']) {
    const talk = await SmtpTalk.open(receiver.port, { expectGreeting: false });
    talk.send(`PROXY TCP4 ${client} 192.0.2.9 1 2\r\n`);
    assert.match(await talk.reply(), /^220 /);
  }
  const again = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  again.send('PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n');
  assert.match(await again.rest(), /^421 4\.7\.0 /);
});

test('a proxy without a header, or with a late one, is cut', async (t) => {
  const receiver = await startReceiver(t, {}, { isProxy: () => true, limits: { handshakeTimeoutMs: 60 } });
  const wrong = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  wrong.send('EHLO client.test\r\n');
  assert.equal(await wrong.rest(), '');
  const silent = await SmtpTalk.open(receiver.port, { expectGreeting: false });
  assert.equal(await silent.rest(), '');
});

test('who is no proxy cannot pretend to be somebody else', async (t) => {
  const receiver = await startReceiver(t, {}, { isProxy: (address) => address === '127.0.0.9' });
  const talk = await receiver.open();
  assert.match(await talk.say('PROXY TCP4 203.0.113.10 192.0.2.1 8080 25'), /^500 /);
  assert.equal(receiver.sessions[0]?.address, '127.0.0.1');
});

test('TLS from the first octet may follow the header in one packet', async (t) => {
  const receiver = await startReceiver(t, {}, { isProxy: () => true, implicitTls: true, secureContext: () => TEST_CONTEXT });
  const plain = connect(receiver.port, '127.0.0.1');
  await once(plain, 'connect');
  plain.cork();
  plain.write('PROXY TCP4 203.0.113.10 192.0.2.1 8080 25\r\n');
  const secure = connectTls({ socket: plain, rejectUnauthorized: false });
  setImmediate(() => plain.uncork());
  await once(secure, 'secureConnect');
  const talk = new SmtpTalk(secure);
  assert.match(await talk.reply(), /^220 /);
  assert.equal(receiver.sessions[0]?.address, '203.0.113.10');
});
