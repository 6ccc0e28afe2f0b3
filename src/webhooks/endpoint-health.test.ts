import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { EndpointHealth, FAILURES_BEFORE_PAUSE } from './endpoint-health.ts';

function health(perEndpointMax = 10, totalMax = 100): { health: EndpointHealth; clock: HeldClock } {
  const clock = new HeldClock(0);
  return { health: new EndpointHealth({ perEndpointMax, totalMax }, clock), clock };
}

test('an endpoint has its turns and no more', () => {
  const { health: each } = health(3);
  assert.equal(each.room(1), 3);
  for (let n = 0; n < 3; n++) each.begin(1);
  assert.equal(each.room(1), 0);
  assert.equal(each.room(2), 3);
  each.end(1, 'well');
  assert.equal(each.room(1), 1);
});

test('nobody gets more than half of what is free, so that a turn is left for who comes next', () => {
  const { health: each } = health(100, 16);
  const taken: number[] = [];
  for (let endpoint = 0; endpoint < 6; endpoint++) {
    const room = each.room(endpoint);
    taken.push(room);
    for (let n = 0; n < room; n++) each.begin(endpoint);
  }
  assert.deepEqual(taken, [8, 4, 2, 1, 1, 0]);
  assert.equal(each.running, 16);
});

test('what was planned in one look is not given away twice', () => {
  const { health: each } = health(10, 10);
  assert.equal(each.room(1, 8), 1);
  assert.equal(each.room(1, 10), 0);
  assert.equal(each.room(1, 30), 0);
});

test('after some failures in a row it is tried by one at a time, with growing pauses, until it is well', () => {
  const { health: each, clock } = health();
  const fail = (): void => {
    each.begin(1);
    each.end(1, 'failed');
  };
  for (let n = 1; n < FAILURES_BEFORE_PAUSE; n++) fail();
  assert.deepEqual([each.room(1), each.pauseMs(1)], [10, 0]);
  const pauses: number[] = [];
  for (let n = 0; n < 10; n++) {
    fail();
    pauses.push(each.pauseMs(1));
    assert.equal(each.room(1), 1);
    clock.advance(each.pauseMs(1));
  }
  assert.deepEqual(pauses.slice(0, 4), [2000, 4000, 8000, 16_000]);
  assert.equal(pauses.at(-1), 300_000);
  each.begin(1);
  assert.equal(each.room(1), 0);
  each.end(1, 'well');
  assert.deepEqual([each.room(1), each.pauseMs(1)], [10, 0]);
});

test('those that ran side by side when it fell ill are one failure', () => {
  const { health: each } = health();
  for (let n = 0; n < 10; n++) each.begin(1);
  for (let n = 0; n < 10; n++) each.end(1, 'failed');
  assert.equal(each.pauseMs(1), 2000);
});

test('it is left alone as long as it asks for', () => {
  const { health: each } = health();
  each.begin(1);
  each.end(1, 'failed', 60_000);
  assert.equal(each.pauseMs(1), 60_000);
});

test('what says nothing about the endpoint changes nothing', () => {
  const { health: each } = health();
  for (let n = 0; n < 20; n++) {
    each.begin(1);
    each.end(1, 'unknown');
  }
  assert.deepEqual([each.room(1), each.pauseMs(1), each.running], [10, 0, 0]);
});

test('a pause is in whole milliseconds, whatever the clock says: stores keep no others', () => {
  const { health: each, clock } = health();
  for (let n = 0; n < FAILURES_BEFORE_PAUSE; n++) {
    each.begin(1);
    each.end(1, 'failed');
  }
  clock.advance(0.25);
  assert.ok(each.pauseMs(1) > 0);
  assert.equal(each.pauseMs(1) % 1, 0);
});
