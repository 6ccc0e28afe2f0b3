import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuessGuard } from './guesses.ts';

const OWNER = 'app@example.org';
const minute = 60_000;

function failTimes(guard: GuessGuard, times: number, login: string, address: string, nowMs = 0): number {
  let delayMs = 0;
  for (let i = 0; i < times; i++) delayMs = guard.failed(login, address, nowMs);
  return delayMs;
}

test('each failure is answered more slowly than the last, up to ten seconds', () => {
  const guard = new GuessGuard();
  const delays = Array.from({ length: 9 }, () => guard.failed(OWNER, '192.0.2.1', 0));
  assert.deepEqual(delays.slice(0, 4), [250, 500, 1000, 2000]);
  assert.ok(delays.every((delay, i) => i === 0 || delay >= (delays[i - 1] as number)));
  assert.equal(delays.at(-1), 10_000);
});

test('ten failures lock the pair out, and each further lock lasts twice as long', () => {
  const guard = new GuessGuard();
  failTimes(guard, 9, OWNER, '192.0.2.1');
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.1', 0), 0);
  failTimes(guard, 1, OWNER, '192.0.2.1');
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.1', 0), minute);
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.1', minute), 0);
  failTimes(guard, 10, OWNER, '192.0.2.1', minute);
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.1', minute), 2 * minute);
});

test('others who fail elsewhere do not lock the owner out, not even from a new address', () => {
  const guard = new GuessGuard();
  for (let i = 0; i < 250; i++) failTimes(guard, 10, OWNER, `198.51.100.${i}`);
  assert.equal(guard.lockedForMs(OWNER, '203.0.113.9', 0), 0);
});

test('while a login is under siege, each new address has two tries for it, and ten for others', () => {
  const guard = new GuessGuard();
  for (let i = 0; i < 10; i++) failTimes(guard, 10, OWNER, `198.51.100.${i}`);
  failTimes(guard, 2, OWNER, '203.0.113.9');
  assert.ok(guard.lockedForMs(OWNER, '203.0.113.9', 0) > 0);
  failTimes(guard, 2, 'other@example.org', '203.0.113.9');
  assert.equal(guard.lockedForMs('other@example.org', '203.0.113.9', 0), 0);
});

test('an address that tries many logins is locked for all of them, except for those that logged in from it lately', () => {
  const guard = new GuessGuard();
  guard.succeeded(OWNER, '192.0.2.1', 0);
  for (let i = 0; i < 100; i++) failTimes(guard, 1, `guess${i}@example.org`, '192.0.2.1');
  assert.ok(guard.lockedForMs('new@example.org', '192.0.2.1', 0) > 0);
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.1', 0), 0);
});

test('success clears the failures of the pair, not those of the address', () => {
  const guard = new GuessGuard();
  failTimes(guard, 9, OWNER, '192.0.2.1');
  guard.succeeded(OWNER, '192.0.2.1', 0);
  failTimes(guard, 9, OWNER, '192.0.2.1');
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.1', 0), 0);
  failTimes(guard, 82, 'other@example.org', '192.0.2.1');
  assert.ok(guard.lockedForMs('third@example.org', '192.0.2.1', 0) > 0, '100 failures of the address count, whoever succeeded between');
});

test('an owner who logged in lately and then errs is locked for a minute at most', () => {
  const guard = new GuessGuard();
  guard.succeeded(OWNER, '192.0.2.1', 0);
  failTimes(guard, 29, OWNER, '192.0.2.1');
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.1', 0), 0);
  for (let round = 0; round < 5; round++) failTimes(guard, 30, OWNER, '192.0.2.1');
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.1', 0), minute);
});

test('the addresses of one IPv6 /64 count as one, and a mapped IPv4 address as itself', () => {
  const guard = new GuessGuard();
  for (let i = 0; i < 10; i++) guard.failed(OWNER, `2001:db8:0:1::${i}`, 0);
  assert.ok(guard.lockedForMs(OWNER, '2001:0db8:0000:0001:ffff::1', 0) > 0);
  assert.equal(guard.lockedForMs(OWNER, '2001:db8:0:2::1', 0), 0);
  for (let i = 0; i < 10; i++) guard.failed(OWNER, '::ffff:192.0.2.7', 0);
  assert.ok(guard.lockedForMs(OWNER, '192.0.2.7', 0) > 0);
  assert.equal(guard.lockedForMs(OWNER, '192.0.2.8', 0), 0);
});

test('counts are forgotten an hour after the last failure', () => {
  const guard = new GuessGuard();
  failTimes(guard, 9, OWNER, '192.0.2.1');
  assert.equal(guard.failed(OWNER, '192.0.2.1', 61 * minute), 250);
});
