import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SubmissionOptions } from '#model/submission.ts';
import type { DomainSettings } from '#store/domain-store.ts';
import { trackingOf, wantsTracking } from './wishes.ts';

const BASE = 'https://links.example';
const of = (options: Partial<SubmissionOptions>, settings: DomainSettings = {}) =>
  trackingOf({ tags: [], variables: {}, testMode: false, ...options }, settings, BASE);
const ALL_ON: DomainSettings = { trackOpens: true, trackClicks: true, openAtTop: true };

test('nothing is counted unless somebody wants it', () => {
  assert.equal(of({}), undefined);
  assert.equal(of({}, { trackOpens: false, trackClicks: false, openAtTop: true, utm: 'utm_source=x' }), undefined);
});

test('the domain says what holds for its mail', () => {
  assert.deepEqual(of({}, ALL_ON), { base: BASE, opens: 'top', clicks: 'all' });
  assert.deepEqual(of({}, { trackClicks: 'htmlonly' }), { base: BASE, clicks: 'html' });
  assert.deepEqual(of({}, { trackOpens: true }), { base: BASE, opens: 'bottom' });
});

test('a message says otherwise, in both directions', () => {
  assert.equal(of({ tracking: 'no' }, ALL_ON), undefined);
  assert.deepEqual(of({ tracking: 'yes' }), { base: BASE, opens: 'bottom', clicks: 'all' });
  assert.deepEqual(of({ tracking: 'htmlonly' }), { base: BASE, opens: 'bottom', clicks: 'html' });
  assert.deepEqual(of({ trackingClicks: 'no' }, ALL_ON), { base: BASE, opens: 'top' });
  assert.deepEqual(of({ trackingOpens: 'no' }, ALL_ON), { base: BASE, clicks: 'all' });
  assert.deepEqual(of({ trackingPixelTop: 'no' }, ALL_ON), { base: BASE, opens: 'bottom', clicks: 'all' });
});

test('the narrower of a message\u2019s words wins', () => {
  assert.deepEqual(of({ tracking: 'no', trackingClicks: 'htmlonly' }, ALL_ON), { base: BASE, clicks: 'html' });
  assert.deepEqual(of({ tracking: 'yes', trackingOpens: 'no' }), { base: BASE, clicks: 'all' });
  assert.deepEqual(of({ trackingClicks: 'yes' }, { trackClicks: 'htmlonly' }), { base: BASE, clicks: 'all' });
});

test('parameters go with counted links only', () => {
  const settings: DomainSettings = { trackClicks: true, utm: 'utm_source=x' };
  assert.deepEqual(of({}, settings), { base: BASE, clicks: 'all', utm: 'utm_source=x' });
  assert.deepEqual(of({ tracking: 'no', trackingOpens: 'yes' }, settings), { base: BASE, opens: 'bottom' });
  assert.deepEqual(of({}, { ...settings, utm: '' }), { base: BASE, clicks: 'all' });
});

test('where links could lead nowhere nothing is counted, though it is wanted', () => {
  const options = { tags: [], variables: {}, testMode: false };
  assert.equal(trackingOf(options, ALL_ON, undefined), undefined);
  assert.equal(wantsTracking(options, ALL_ON), true);
  assert.equal(wantsTracking(options, {}), false);
});
