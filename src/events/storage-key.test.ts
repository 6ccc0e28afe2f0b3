import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageOfKey, storageKey } from './storage-key.ts';

test('a key leads back to its message', () => {
  for (const id of [1, 42, Number.MAX_SAFE_INTEGER]) assert.equal(messageOfKey(storageKey(id)), id);
});

test('anything else is no key', () => {
  for (const key of ['', 'x', storageKey(1) + 'A', Buffer.from('{"v":1,"m":-1}').toString('base64url'), 'A'.repeat(1000)]) {
    assert.equal(messageOfKey(key), undefined, key.slice(0, 20));
  }
});
