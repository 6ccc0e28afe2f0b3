import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { clientAddresses } from './client-address.ts';

const BALANCERS = ['10.0.0.0/8', '::1'];
const asked = (peer: string, forwarded?: string | string[], proxyFrom: readonly string[] = BALANCERS): string =>
  clientAddresses(proxyFrom)({ socket: { remoteAddress: peer }, headers: { 'x-forwarded-for': forwarded } } as unknown as IncomingMessage);

test('a client that comes by itself is who its connection says, whatever its header says', () => {
  assert.equal(asked('192.0.2.7', '198.51.100.1'), '192.0.2.7');
  assert.equal(asked('::ffff:192.0.2.7'), '192.0.2.7');
  assert.equal(asked('10.0.0.1', '198.51.100.1', []), '10.0.0.1');
});

test('behind balancers it is the last address that is none of theirs', () => {
  assert.equal(asked('10.0.0.1', '198.51.100.1'), '198.51.100.1');
  assert.equal(asked('10.0.0.1', '203.0.113.9, 198.51.100.1, 10.0.0.2'), '198.51.100.1');
  assert.equal(asked('10.0.0.1', ['203.0.113.9', '198.51.100.1']), '198.51.100.1');
  assert.equal(asked('::1', '[2001:db8::5]:4711'), '2001:db8::5');
  assert.equal(asked('10.0.0.1', '198.51.100.1:4711'), '198.51.100.1');
});

test('what is no address ends the walk at the last that was one', () => {
  assert.equal(asked('10.0.0.1', 'unknown'), '10.0.0.1');
  assert.equal(asked('10.0.0.1', '198.51.100.1, <script>, 10.0.0.3'), '10.0.0.3');
  assert.equal(asked('10.0.0.1'), '10.0.0.1');
});
