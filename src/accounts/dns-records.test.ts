import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Domain } from '#store/store.ts';
import { storedDomain } from '../../test/kit/stored.ts';
import { recordsOf, type Sending } from './dns-records.ts';

const DOMAIN = storedDomain();
const dmarcOf = (domain: Domain, sending: Partial<Sending>): unknown =>
  recordsOf(domain, [], { hostname: 'mx.example.net', addresses: [], ...sending }).find(({ purpose }) => purpose === 'dmarc')?.value;

test('DMARC reports are asked for where the mail of the domain was seen to come here, and nowhere else', () => {
  const isHere: Domain = { ...DOMAIN, dnsAnswers: { 'mx example.org': { state: 'ok', found: ['mx.example.net'] } } };
  assert.equal(dmarcOf(isHere, { dmarcMailbox: 'dmarc' }), 'v=DMARC1; p=none; rua=mailto:dmarc@example.org');
  assert.equal(dmarcOf(isHere, {}), 'v=DMARC1; p=none');
  assert.equal(dmarcOf(DOMAIN, { dmarcMailbox: 'dmarc' }), 'v=DMARC1; p=none');
  const isElsewhere: Domain = { ...DOMAIN, dnsAnswers: { 'mx example.org': { state: 'different', found: ['mx.other.example'] } } };
  assert.equal(dmarcOf(isElsewhere, { dmarcMailbox: 'dmarc' }), 'v=DMARC1; p=none');
});
