import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticationOf, refusalOf } from './authentication.ts';
import { UNKNOWN } from './verifier.ts';

test('what strangers named is one value, whatever stands in it', () => {
  const { results } = authenticationOf(
    {
      spf: { result: 'fail', domain: 'a.test; dkim=pass' },
      dkim: [{ result: 'fail', domain: 'b.test"\\; dmarc=pass', selector: 's (x)', mark: 'ab+/=\r\nX: y' }],
      dmarc: { result: 'fail', domain: 'bücher.test', policy: 'reject' },
      arc: { result: 'none' },
    },
    'mx.test',
    'x@a.test',
  );
  assert.equal(
    results,
    'mx.test; spf=fail smtp.mailfrom="a.test; dkim=pass"; ' +
      'dkim=fail header.d="b.test\\"\\\\; dmarc=pass" header.s="s (x)" header.b="ab+/=??X: y"; ' +
      'dmarc=fail header.from="b?cher.test" policy.dmarc=reject; arc=none',
  );
});

test('what could not be checked is said to be that', () => {
  assert.equal(authenticationOf(UNKNOWN, 'mx.test', '').results, 'mx.test; spf=temperror; dkim=temperror; dmarc=temperror; arc=temperror');
});

test('only a failure under a policy of refusal is refused', () => {
  const said = (result: 'pass' | 'fail' | 'temperror', policy?: 'none' | 'quarantine' | 'reject'): number | undefined =>
    refusalOf(authenticationOf({ ...UNKNOWN, dmarc: { result, domain: 'a.test', ...(policy !== undefined && { policy }) } }, 'mx', ''))
      ?.code;
  assert.equal(said('fail', 'reject'), 550);
  for (const answer of [
    said('fail', 'quarantine'),
    said('fail', 'none'),
    said('fail'),
    said('pass', 'reject'),
    said('temperror', 'reject'),
  ])
    assert.equal(answer, undefined);
});
