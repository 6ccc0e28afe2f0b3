import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback, Networks } from './networks.ts';

test('networks and single addresses of both families', () => {
  const networks = new Networks(['10.0.0.0/8', '192.0.2.7', 'fd00::/8', '2001:db8::1']);
  for (const address of ['10.255.0.1', '192.0.2.7', 'fd12::9', '2001:db8::1']) assert.ok(networks.has(address), address);
  for (const address of ['11.0.0.1', '192.0.2.8', 'fe80::1', '2001:db8::2', '', 'localhost', '10.0.0.0/8'])
    assert.ok(!networks.has(address), address);
});

test('loopback', () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '::1']) assert.ok(isLoopback(address), address);
  for (const address of ['128.0.0.1', '::2', '0.0.0.0']) assert.ok(!isLoopback(address), address);
});

test('what is no network is a bug', () => {
  assert.throws(() => new Networks(['10.0.0']), /not a network/);
});
