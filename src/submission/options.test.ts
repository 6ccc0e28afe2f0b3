import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#model/errors.ts';
import type { SubmissionOptions } from '#model/submission.ts';
import { NO_OPTIONS, parseOptions, parseRecipientVariables } from './options.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 0, 15, 12);
const context = { nowMs: NOW_MS, horizonMs: 72 * HOUR_MS, tagsMax: 3 };

function parse(...pairs: [string, string][]): SubmissionOptions {
  return parseOptions(pairs, context);
}

function refusal(...pairs: [string, string][]): string {
  try {
    parseOptions(pairs, context);
  } catch (error) {
    assert.ok(error instanceof AppError && error.code === 'bad-parameter');
    return error.message;
  }
  return assert.fail('it was accepted');
}

test('no options is one shared object', () => {
  assert.equal(parse(), NO_OPTIONS);
});

test('tags keep their order, without repetitions, over-long ones and those over the limit', () => {
  const tags = ['News', 'news', 'x'.repeat(129), 'läden', '', 'b', 'c', 'd'].map((tag): [string, string] => ['o:tag', tag]);
  assert.deepEqual(parse(...tags).tags, ['News', 'b', 'c']);
});

test('booleans are read in every spelling that the SDKs send', () => {
  for (const yes of ['yes', 'Yes', 'true', 'True', '1', 'on']) assert.equal(parse(['o:testmode', yes]).testMode, true);
  for (const no of ['no', 'NO', 'false', 'False', '0', 'off']) assert.equal(parse(['o:dkim', no]).dkim, false);
  assert.match(refusal(['o:require-tls', 'perhaps']), /'o:require-tls' parameter is not a valid boolean/);
});

test('tracking knows htmlonly besides yes and no', () => {
  const options = parse(
    ['o:tracking', 'htmlonly'],
    ['o:tracking-clicks', 'True'],
    ['O:Tracking-Opens', 'no'],
    ['o:tracking-pixel-location-top', 'yes'],
  );
  assert.deepEqual(
    [options.tracking, options.trackingClicks, options.trackingOpens, options.trackingPixelTop],
    ['htmlonly', 'yes', 'no', 'yes'],
  );
});

test('a delivery time is an RFC 2822 date or epoch seconds; one that has passed is now', () => {
  const inTwoHours = NOW_MS + 2 * HOUR_MS;
  assert.equal(parse(['o:deliverytime', 'Thu, 15 Jan 2026 14:00:00 GMT']).deliverAtMs, inTwoHours);
  assert.equal(parse(['o:deliverytime', '15 Jan 2026 15:00 +0100']).deliverAtMs, inTwoHours);
  assert.equal(parse(['o:deliverytime', String(inTwoHours / 1000)]).deliverAtMs, inTwoHours);
  assert.equal(parse(['o:deliverytime', `${inTwoHours / 1000}.5`]).deliverAtMs, inTwoHours + 500);
  assert.equal(parse(['o:deliverytime', 'Thu, 15 Jan 2015 14:00:00 GMT']).deliverAtMs, NOW_MS);
});

test('a delivery time that is none, or beyond the horizon, is refused', () => {
  assert.equal(refusal(['o:deliverytime', 'tomorrow']), 'tomorrow is not an RFC-2822 compliant date');
  assert.equal(refusal(['o:deliverytime', '31 Feb 2026 10:00:00 GMT']), '31 Feb 2026 10:00:00 GMT is not an RFC-2822 compliant date');
  assert.equal(refusal(['o:deliverytime', '-5']), 'invalid delivery time format');
  assert.match(refusal(['o:deliverytime', 'Thu, 22 Jan 2026 14:00:00 GMT']), /up to 72 hours ahead/);
});

test('periods and local times are validated and normalised', () => {
  assert.equal(parse(['o:deliver-within', '1h30m']).deliverWithinMs, 1.5 * HOUR_MS);
  assert.equal(parse(['o:deliver-within', '0h5m']).deliverWithinMs, 300_000);
  assert.equal(parse(['o:deliverytime-optimize-period', '24h']).optimizePeriodMs, 24 * HOUR_MS);
  assert.equal(parse(['o:time-zone-localize', '02:30pm']).timeZoneLocalize, '14:30');
  assert.equal(parse(['o:time-zone-localize', '12:05AM']).timeZoneLocalize, '00:05');
  assert.match(refusal(['o:deliver-within', '4m']), /from 5m to 24h/);
  assert.match(refusal(['o:deliver-within', '25h']), /from 5m to 24h/);
  assert.match(refusal(['o:deliver-within', 'm']), /from 5m to 24h/);
  assert.match(refusal(['o:deliverytime-optimize-period', '80h']), /from 24h to 72h/);
  assert.equal(refusal(['o:time-zone-localize', '25:00']), "25:00 invalid 24 hour time(value of 'o:time-zone-localize')");
});

test('v: values that are JSON objects or lists become data, others stay text', () => {
  const options = parse(['v:id', '12'], ['v:list', '[1, {"a": 2}]'], ['v:broken', '{"a"'], ['v:__proto__', '{"x": 1}']);
  assert.deepEqual(options.variables, { id: '12', list: [1, { a: 2 }], broken: '{"a"' });
});

test('X-Mailgun-Variables are merged under the v: values', () => {
  const options = parse(['v:a', 'mine'], ['h:X-Mailgun-Variables', '{"a": 1, "b": {"c": 2}}']);
  assert.deepEqual(options.variables, { a: 'mine', b: { c: 2 } });
  assert.equal(refusal(['h:X-Mailgun-Variables', 'a=b']), "'X-Mailgun-Variables' header is not a valid JSON");
});

test('a template has a name and a version in lower case, its own variables, and t:text', () => {
  const options = parse(['template', 'Welcome'], ['t:version', 'V2'], ['t:variables', '{"n": 1}'], ['t:text', 'yes'], ['t:unknown', 'x']);
  assert.deepEqual(options.template, { name: 'welcome', version: 'v2', variables: { n: 1 }, text: true });
  assert.deepEqual(parse(['template', 'a']).template, { name: 'a', variables: {}, text: false });
  assert.equal(refusal(['t:variables', '[1]']), "'t:variables' parameter is not a valid JSON");
});

test('the other options are checked and kept', () => {
  const options = parse(
    ['o:secondary-dkim', 'Example.com/s1'],
    ['o:archive-to', 'https://example.com/archive'],
    ['o:suppress-headers', 'X-Mailgun-Tag, X-Mailgun-Sid'],
    ['o:sending-ip', '192.0.2.1'],
    ['o:sending-ip-pool', 'pool1'],
  );
  assert.equal(options.secondaryDkim, 'example.com/s1');
  assert.equal(options.archiveTo, 'https://example.com/archive');
  assert.deepEqual(options.suppressHeaders, ['x-mailgun-tag', 'x-mailgun-sid']);
  assert.deepEqual([options.sendingIp, options.sendingIpPool], ['192.0.2.1', 'pool1']);
  assert.equal(refusal(['o:secondary-dkim', 'example']), 'example is not a valid secondary dkim domain name');
  assert.match(refusal(['o:archive-to', 'ftp://example.com/']), /not a valid URL/);
  assert.match(refusal(['o:archive-to', 'file:///etc/passwd']), /not a valid URL/);
  assert.match(refusal(['o:suppress-headers', 'X A']), /list of header names/);
});

test('options of other products and times are ignored', () => {
  assert.deepEqual(parse(['o:campaign', 'x'], ['o:constructor', 'x'], ['x', 'y']), { tags: [], variables: {}, testMode: false });
});

test('all options together may take 16 KB', () => {
  assert.equal(parse(['v:a', 'x'.repeat(16 * 1024 - 3)]).variables['a'], 'x'.repeat(16 * 1024 - 3));
  const message = 'Send options (parameters starting with o:, h:, or v:) are limited to 16 kB total';
  assert.equal(refusal(['v:a', 'x'.repeat(16 * 1024 - 2)]), message);
  assert.equal(refusal(['v:a', 'ä'.repeat(8000)], ['h:X-A', 'x'.repeat(500)]), message);
});

test('a refusal shows the caller’s text without control characters and not without end', () => {
  assert.equal(refusal(['o:deliverytime', `x\r\n${'y'.repeat(500)}`]), `x??${'y'.repeat(97)} is not an RFC-2822 compliant date`);
});

test('recipient variables are a JSON object of objects, found by address in lower case', () => {
  const variables = parseRecipientVariables('{"Bob@Example.com": {"id": 1}, "__proto__": {"x": 1}}');
  assert.deepEqual(variables.get('bob@example.com'), { id: 1 });
  assert.equal(({} as Record<string, unknown>)['x'], undefined);
  for (const text of ['', '[]', '{"a": 1}', 'null', '{"a": [1]}', '{']) {
    assert.throws(() => parseRecipientVariables(text), { message: "'recipient-variables' parameter is not a valid JSON" });
  }
});

test('JSON that nests without end stays text in a v: parameter and is refused where JSON must be', () => {
  const deep = `{"a":${'['.repeat(7000)}${']'.repeat(7000)}}`;
  assert.equal(parse(['v:a', deep]).variables['a'], deep);
  assert.equal(refusal(['t:variables', deep]), "'t:variables' parameter is not a valid JSON");
  assert.equal(refusal(['h:X-Mailgun-Variables', deep]), "'X-Mailgun-Variables' header is not a valid JSON");
});

test('recipient-variables with more values than anybody needs are refused before they are built', () => {
  const many = JSON.stringify(Object.fromEntries(Array.from({ length: 110_000 }, (_, i) => [`k${i}@x.example`, {}])));
  assert.throws(() => parseRecipientVariables(many), { message: "'recipient-variables' parameter is not a valid JSON" });
});
