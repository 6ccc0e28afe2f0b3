/** In which band a domain is, by what happened to its mail in the last week. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Band } from '#store/egress-store.ts';
import { bandFor } from './dynamic-pools.ts';

const bandOf = (processed: number, bounceRate: number, complaintRate: number, current?: Band): Band =>
  bandFor({ processed, bounceRate, complaintRate }, current).band;

test('a domain of which little is known is a new sender, and stays what it was', () => {
  assert.equal(bandOf(0, 0, 0), 'new');
  assert.equal(bandOf(99, 1, 1), 'new');
  assert.equal(bandOf(999, 0.01, 0), 'new');
  assert.equal(bandOf(0, 0, 0, 'good'), 'good');
  assert.equal(bandOf(50, 0, 0, 'poor'), 'poor');
});

test('enough mail without trouble makes a domain a good one', () => {
  assert.equal(bandOf(1000, 0.049, 0.0009), 'good');
  assert.equal(bandOf(1000, 0.02, 0.0005, 'new'), 'good');
});

test('bounces of some mail, and complaints of much, make it a poor one', () => {
  assert.deepEqual(bandFor({ processed: 100, bounceRate: 0.05, complaintRate: 0 }, 'new'), { band: 'poor', reason: 'bounce rate' });
  assert.deepEqual(bandFor({ processed: 1000, bounceRate: 0, complaintRate: 0.001 }, 'good'), { band: 'poor', reason: 'complaint rate' });
  // One of a few hundred.
  assert.equal(bandOf(300, 0, 0.004, 'new'), 'new');
});

test('a poor one comes back when it is clearly better', () => {
  assert.equal(bandOf(5000, 0.04, 0, 'poor'), 'poor');
  assert.equal(bandOf(5000, 0.01, 0.0008, 'poor'), 'poor');
  assert.equal(bandOf(5000, 0.029, 0.0006, 'poor'), 'good');
});
