import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAddressGuard } from './address-guard.ts';

const plain = createAddressGuard({ allowNetworks: [], ownListeners: [], localAddresses: [] });

test('public addresses are delivered to', () => {
  for (const address of ['8.8.8.8', '2606:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808'])
    assert.equal(plain.refusal(address), undefined, address);
});

test('every spelling of an address that is not public is refused, with its kind', () => {
  for (const [address, kind] of [
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::127.0.0.1', 'loopback'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['172.16.0.1', 'private'],
    ['192.168.0.1', 'private'],
    ['fd00:ec2::254', 'private'],
    ['100.100.100.200', 'private (carrier-grade NAT)'],
    ['169.254.169.254', 'link-local'],
    ['::ffff:169.254.169.254', 'link-local'],
    ['fe80::1', 'link-local'],
    ['fe80::1%eth0', 'malformed'],
    ['168.63.129.16', 'metadata service'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['::', 'unspecified'],
    ['224.0.0.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['192.0.2.1', 'special-purpose (reserved)'],
    ['240.0.0.1', 'special-purpose (reserved)'],
    ['2001:db8::1', 'special-purpose (reserved)'],
    ['2002:7f00:1::', 'special-purpose (6to4)'],
    ['2001:0:1::1', 'special-purpose (teredo)'],
    ['2130706433x', 'malformed'],
    ['', 'malformed'],
  ] as const) {
    assert.equal(plain.refusal(address), kind, address);
  }
});

test('networks that the operator allows are delivered to, and no others', () => {
  const guard = createAddressGuard({ allowNetworks: ['127.0.0.0/8', 'fd00::/8'], ownListeners: [], localAddresses: [] });
  assert.equal(guard.refusal('127.0.0.1'), undefined);
  assert.equal(guard.refusal('::ffff:127.0.0.1'), undefined);
  assert.equal(guard.refusal('fd12::1'), undefined);
  assert.equal(guard.refusal('10.0.0.1'), 'private');
  assert.equal(guard.refusal('::1'), 'loopback');
});

test('our own listeners are recognised, also behind a wildcard and in mapped form', () => {
  const guard = createAddressGuard({
    allowNetworks: [],
    ownListeners: [
      { address: '0.0.0.0', port: 25 },
      { address: '127.0.0.1', port: 2525 },
    ],
    localAddresses: ['198.51.100.7'],
  });
  assert.equal(guard.isOwn('198.51.100.7', 25), true);
  assert.equal(guard.isOwn('::ffff:198.51.100.7', 25), true);
  assert.equal(guard.isOwn('127.0.0.9', 25), true);
  assert.equal(guard.isOwn('127.0.0.1', 2525), true);
  assert.equal(guard.isOwn('198.51.100.8', 25), false);
  assert.equal(guard.isOwn('198.51.100.7', 26), false);
});

test('a single address may be allowed', () => {
  const guard = createAddressGuard({ allowNetworks: ['127.0.0.2', '::1'], ownListeners: [], localAddresses: [] });
  assert.equal(guard.refusal('127.0.0.2'), undefined);
  assert.equal(guard.refusal('::ffff:127.0.0.2'), undefined);
  assert.equal(guard.refusal('::1'), undefined);
  assert.equal(guard.refusal('127.0.0.3'), 'loopback');
});
