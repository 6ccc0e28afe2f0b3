import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storedDomain } from '../../test/kit/stored.ts';
import { returnDomainOf, returnRecordsOf } from './dns-records.ts';

const DOMAIN = storedDomain();
const seen = { state: 'ok', found: [] } as const;

test('notifications go to the host that was chosen for them, once its MX was seen to be us; else to the domain', () => {
  const chosen = { ...DOMAIN, settings: { mailfromHost: 'bounces' } };
  assert.equal(returnDomainOf(chosen), undefined);
  assert.equal(returnDomainOf({ ...chosen, dnsAnswers: { 'mx example.org': seen } }), 'example.org');
  assert.equal(
    returnDomainOf({ ...chosen, dnsAnswers: { 'mx example.org': seen, 'mx bounces.example.org': seen } }),
    'bounces.example.org',
  );
  assert.equal(returnDomainOf({ ...chosen, dnsAnswers: { 'mx bounces.example.org': { state: 'different', found: [] } } }), undefined);
  assert.equal(returnDomainOf({ ...DOMAIN, dnsAnswers: { 'mx bounces.example.org': seen } }), undefined);
});

test('the host needs an MX and, as the envelope bears its name, SPF', () => {
  const sending = { hostname: 'mail.example.net', addresses: ['192.0.2.1'] };
  assert.equal(returnRecordsOf(DOMAIN, sending), undefined);
  const records = returnRecordsOf({ ...DOMAIN, settings: { mailfromHost: 'bounces' } }, sending);
  assert.equal(records?.mx.zoneLine, 'bounces.example.org. IN MX 10 mail.example.net.');
  assert.equal(records?.spf.zoneLine, 'bounces.example.org. IN TXT "v=spf1 ip4:192.0.2.1 ~all"');
});
