import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalNetwork, createNetworkTest } from './networks.ts';

test('a network has one spelling', () => {
  for (const [given, expected] of [
    ['192.0.2.77/24', '192.0.2.0/24'],
    ['192.0.2.77', '192.0.2.77'],
    ['192.0.2.77/32', '192.0.2.77'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8:0:0::1/32', '2001:db8::/32'],
    ['2001:db8::0001', '2001:db8::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
  ] as const) {
    assert.equal(canonicalNetwork(given), expected, given);
  }
});

test('what is no network is none', () => {
  for (const given of [
    '',
    'x',
    '10.1',
    '0x7f000001',
    '192.0.2.1/33',
    '192.0.2.1/',
    '192.0.2.1/8/9',
    '192.0.2.1/-1',
    'fe80::1%eth0',
    '::1/129',
    '192.0.2.256',
  ]) {
    assert.equal(canonicalNetwork(given), undefined, given);
  }
});

test('an address is in a network of its own kind, also when it is mapped into the other one', () => {
  const has = createNetworkTest(['192.0.2.0/24', '2001:db8::1']);
  assert.deepEqual(['192.0.2.9', '::ffff:192.0.2.9', '2001:db8::1', '192.0.3.1', '2001:db8::2', 'nonsense'].map(has), [
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});
