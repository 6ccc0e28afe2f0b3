import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DmarcSum } from '#store/report-store.ts';
import { receiversOf, summarise, withDeliveries } from './summary.ts';

const sum = (change: Partial<DmarcSum>): DmarcSum => ({
  sourceIp: '192.0.2.9',
  disposition: 'none',
  isDkimAligned: false,
  isSpfAligned: false,
  why: '',
  signed: '',
  count: 1,
  ...change,
});
const known = {
  domain: 'ours.test',
  isOurAddress: (address: string) => address === '203.0.113.1',
  selectors: new Set(['s1']),
  delivered: (reporter: string) => (reporter === 'google.test' ? 7 : undefined),
};
const kindOf = (signed: string, sourceIp = '192.0.2.9'): unknown => summarise([sum({ signed, sourceIp })], known)[0]?.kind;

test('a source is ours by its address, forwards by our signature, and is unknown otherwise', () => {
  assert.equal(kindOf('', '203.0.113.1'), 'ours');
  assert.equal(kindOf('s1@ours.test'), 'forwarder');
  // Another service signs for the domain, a key of another domain has the same name, and no key is named.
  for (const signed of ['other@ours.test', 's1@sub.ours.test', '@ours.test', '']) assert.equal(kindOf(signed), 'unknown', signed);
});

test('what fared in several ways at one source is one source with all of them, and the larger source is first', () => {
  const [first, second] = summarise(
    [
      sum({ sourceIp: '198.51.100.1', count: 10, isSpfAligned: true }),
      sum({ count: 50, isDkimAligned: true, signed: 's1@ours.test' }),
      sum({ count: 3, disposition: 'reject', why: 'dkim-fail spf-fail' }),
      sum({ count: 4, disposition: 'quarantine', why: 'dkim-none spf-unaligned' }),
      sum({ count: 2, disposition: 'none', why: 'dkim-fail spf-fail' }),
    ],
    known,
  );
  assert.deepEqual(first, {
    sourceIp: '192.0.2.9',
    kind: 'forwarder',
    messages: 59,
    pass: 50,
    fail: 9,
    dkimAligned: 50,
    spfAligned: 0,
    dispositions: { none: 52, quarantine: 4, reject: 3 },
    signed: ['s1@ours.test'],
    why: [
      { dkim: 'dkim-fail', spf: 'spf-fail', messages: 5 },
      { dkim: 'dkim-none', spf: 'spf-unaligned', messages: 4 },
    ],
  });
  assert.deepEqual([second?.sourceIp, second?.pass, second?.spfAligned], ['198.51.100.1', 10, 10]);
});

test('deliveries stand beside reporters that are known to receive for somebody', () => {
  const reporter = { reporter: 'google.test', org: 'G', reports: 1, messages: 8, failures: 0 };
  assert.deepEqual(withDeliveries([reporter, { ...reporter, reporter: 'x.test' }], known), [
    { ...reporter, delivered: 7 },
    { ...reporter, reporter: 'x.test' },
  ]);
  assert.deepEqual(receiversOf('google.com'), { providers: ['Gmail'], domain: 'google.com' });
});
