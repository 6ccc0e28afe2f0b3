/** What reporters send, in their own shapes and packings (test/corpus/reports): each sample is read, or refused for its reason. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { DOCUMENT_MAX, reportDocuments } from './documents.ts';
import { type DmarcReport, readDmarcReport, ROWS_MAX } from './read-dmarc.ts';
import { readTlsReport } from './read-tls.ts';

const corpus = (name: string): Buffer => readFileSync(join(import.meta.dirname, '../../test/corpus/reports', name));

interface Attached {
  readonly type: string;
  readonly name: string;
  readonly bytes: Buffer;
}

/** A mail with words for people and these attachments. */
function mailWith(...attached: readonly Attached[]): Buffer {
  const parts = attached.map(
    ({ type, name, bytes }) =>
      `--b\r\nContent-Type: ${type}; name="${name}"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="${name}"\r\n\r\n` +
      `${bytes.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`,
  );
  return Buffer.from(
    `From: r@google.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nThis is a report.\r\n${parts.join('')}--b--\r\n`,
  );
}

async function read(...attached: readonly Attached[]): Promise<DmarcReport | { readonly why: string }> {
  const [document] = await reportDocuments(mailWith(...attached));
  assert.ok(document, 'nothing was found');
  if (document.kind === 'unreadable') return { why: document.why };
  assert.equal(document.kind, 'xml');
  return readDmarcReport(document.bytes);
}

async function mustRead(...attached: readonly Attached[]): Promise<DmarcReport> {
  const report = await read(...attached);
  assert.ok(!('why' in report), JSON.stringify(report));
  return report;
}

async function refusal(type: string, bytes: Buffer): Promise<string> {
  const report = await read({ type, name: 'report', bytes });
  assert.ok('why' in report);
  return report.why;
}

const BEGIN_MS = Date.UTC(2026, 10, 22);

test('google.zip: sources that pass, that were sent on and that are not ours, each with why', async () => {
  const report = await mustRead({ type: 'application/zip', name: 'google.test!ours.test.zip', bytes: corpus('google.zip') });
  const { rows, ...head } = report;
  assert.deepEqual(head, {
    org: 'google.test',
    email: 'noreply-dmarc-support@google.test',
    reportId: '1168461263912345678',
    beginMs: BEGIN_MS,
    endMs: BEGIN_MS + 86_399_000,
    domain: 'ours.test',
    policy: { p: 'none', sp: 'none', np: 'none', adkim: 'r', aspf: 'r', pct: '100' },
    rowsLeftOut: 0,
    errors: [],
  });
  assert.deepEqual(
    rows.map(({ sourceIp, count, isDkimAligned, isSpfAligned, disposition, why }) => [
      sourceIp,
      count,
      isDkimAligned,
      isSpfAligned,
      disposition,
      why,
    ]),
    [
      ['203.0.113.10', 120, true, true, 'none', ''],
      ['198.51.100.77', 3, true, false, 'none', ''],
      ['2001:db8::66', 41, false, false, 'quarantine', 'dkim-none spf-unaligned'],
    ],
  );
  assert.deepEqual(rows[1]?.signatures, [
    { domain: 'list.test', selector: 'x', result: 'fail' },
    { domain: 'ours.test', selector: 's1', result: 'pass' },
  ]);
  assert.deepEqual(rows[1]?.detail, { spf: [{ domain: 'list.test', scope: '', result: 'pass' }], reasons: ['forwarded'] });
});

test('yahoo.xml as gzip: a key that is not in DNS', async () => {
  const report = await mustRead({ type: 'application/gzip', name: 'yahoo.xml.gz', bytes: gzipSync(corpus('yahoo.xml')) });
  assert.equal(report.endMs, BEGIN_MS + 86_399_000);
  assert.equal(report.rows[0]?.why, 'dkim-fail spf-fail');
});

test('microsoft.xml as gzip: envelopes are told', async () => {
  const report = await mustRead({ type: 'application/octet-stream', name: 'm.xml.gz', bytes: gzipSync(corpus('microsoft.xml')) });
  assert.deepEqual(report.rows[0]?.detail, {
    envelopeFrom: 'bounce.ours.test',
    spf: [{ domain: 'bounce.ours.test', scope: 'mfrom', result: 'pass' }],
    reasons: [],
  });
});

test('mailru.zip: written as a stream, in a folder, its elements in an order of their own', async () => {
  const report = await mustRead({ type: 'application/x-zip-compressed', name: 'x.zip', bytes: corpus('mailru.zip') });
  assert.equal(report.org, 'Mail.Ru & Ко');
  assert.deepEqual([report.rows[0]?.sourceIp, report.rows[0]?.count, report.rows[0]?.isDkimAligned], ['203.0.113.10', 6, true]);
});

test('fastmail.xml, gzip that is called XML: the later schema, with a namespace', async () => {
  const report = await mustRead({ type: 'text/xml', name: 'report.xml', bytes: gzipSync(corpus('fastmail.xml')) });
  assert.deepEqual(report.policy, { p: 'none', np: 'reject', adkim: 'r', testing: 'n', discovery_method: 'treewalk' });
  assert.deepEqual(report.errors, ['DNS of spf.example.test did not answer']);
  const [row] = report.rows;
  assert.deepEqual(
    [row?.headerFrom, row?.disposition, row?.signatures[0]?.selector, row?.isDkimAligned],
    ['ours.test', 'none', 's1', true],
  );
});

test('small-mta.xml: plain, with a bare ampersand, dates in words and rows that are none', async () => {
  const report = await mustRead({ type: 'text/xml', name: 'report.xml', bytes: corpus('small-mta.xml') });
  assert.equal(report.org, 'Smith & Sons mail');
  assert.equal(report.reportId, '<17953056@smith.test>');
  assert.deepEqual([report.domain, report.beginMs, report.endMs], ['ours.test', BEGIN_MS, BEGIN_MS + 86_400_000]);
  assert.deepEqual(
    report.rows.map(({ sourceIp, isDkimAligned, isSpfAligned }) => [sourceIp, isDkimAligned, isSpfAligned]),
    [['203.0.113.10', false, true]],
  );
});

test('stored.zip without compression, UTF-16, and a report that is the body of its mail', async () => {
  assert.equal((await mustRead({ type: 'application/zip', name: 'a.zip', bytes: corpus('stored.zip') })).org, 'Yahoo');
  const wide = Buffer.from(`\ufeff${corpus('yahoo.xml').toString()}`, 'utf16le');
  assert.equal((await mustRead({ type: 'text/xml', name: 'a.xml', bytes: wide })).org, 'Yahoo');
  const [body] = await reportDocuments(
    Buffer.concat([Buffer.from('From: a@b.test\r\nContent-Type: text/xml\r\n\r\n'), corpus('yahoo.xml')]),
  );
  assert.equal(body?.kind, 'xml');
});

test('truncated.xml is none, and says why; so are reports without what makes one', async () => {
  assert.equal(await refusal('text/xml', corpus('truncated.xml')), 'it ends before its end');
  const google = corpus('google.xml').toString();
  const without = (pattern: RegExp): Promise<string> => refusal('text/xml', Buffer.from(google.replace(pattern, '')));
  assert.equal(await without(/<report_id>.*<\/report_id>/), 'it has no id');
  assert.equal(await without(/<begin>.*<\/begin>/), 'it names no time that it is about');
  assert.equal(await without(/<domain>ours.test<\/domain><adkim>/), 'it names no domain');
  assert.equal(await refusal('text/xml', Buffer.from('<?xml version="1.0"?><rss></rss>')), 'its root is no report');
});

test('entities.xml: what it declares is not expanded, and no file is read', async () => {
  const report = await mustRead({ type: 'text/xml', name: 'a.xml', bytes: corpus('entities.xml') });
  assert.equal(report.org, '&e;&file;');
});

test('bombs: nothing is unpacked beyond its bound, whatever the archive says about its size', async () => {
  const zeros = Buffer.alloc(DOCUMENT_MAX * 4);
  assert.match(await refusal('application/gzip', gzipSync(zeros)), /^it cannot be unpacked: /);
  assert.match(await refusal('application/zip', zip(deflateRawSync(zeros), 8, 100)), /^it cannot be unpacked: /);
  assert.equal(await refusal('application/zip', zip(gzipSync(gzipSync(gzipSync(corpus('yahoo.xml')))), 0, 100)), 'it is packed too often');
  assert.match(await refusal('application/gzip', gzipSync(corpus('google.xml')).subarray(0, 300)), /^it cannot be unpacked: /);
});

test('damaged archives are told as such, wherever they are cut', async () => {
  const whole = corpus('google.zip');
  for (let end = 4; end < whole.length; end += 7) assert.notEqual(await refusal('application/zip', whole.subarray(0, end)), '');
  for (let at = 4; at < whole.length; at += 3) {
    const changed = Buffer.from(whole);
    changed.writeUInt8(0xff, at);
    // It may still be read; it may not be thrown at us.
    await read({ type: 'application/zip', name: 'a.zip', bytes: changed });
  }
});

test('a report is read up to its bounds: rows, depth, length of texts', async () => {
  const google = corpus('google.xml').toString();
  const record = /<record>.*?<\/record>/s.exec(google)?.[0] ?? '';
  const many = google.replace(record, record.repeat(ROWS_MAX + 10));
  const report = await mustRead({ type: 'text/xml', name: 'a.xml', bytes: Buffer.from(many) });
  assert.deepEqual([report.rows.length, report.rowsLeftOut], [ROWS_MAX, 12]);
  assert.equal(await refusal('text/xml', Buffer.from(google.replace('<record>', '<a>'.repeat(100_000)))), 'it is nested too deeply');
  const long = await mustRead({
    type: 'text/xml',
    name: 'a.xml',
    bytes: Buffer.from(google.replace('google.test', 'g'.repeat(1_000_000))),
  });
  assert.equal(long.org.length, 250);
});

test('letters have no report in them', async () => {
  assert.deepEqual(await reportDocuments(Buffer.from('From: a@b.test\r\n\r\nHello, how is the deliverability?')), []);
});

test('tls-google.json as gzip, and tls-microsoft.json: sessions by domain, with what failed', async () => {
  const [document] = await reportDocuments(
    mailWith({ type: 'application/tlsrpt+gzip', name: 'google.json.gz', bytes: gzipSync(corpus('tls-google.json')) }),
  );
  assert.equal(document?.kind, 'json');
  const report = readTlsReport(document?.kind === 'json' ? document.bytes : Buffer.alloc(0));
  assert.ok(!('why' in report));
  assert.deepEqual([report.org, report.beginMs, report.reportId], ['Google Inc.', BEGIN_MS, '2026-11-22T00:00:00Z_ours.test']);
  assert.deepEqual(report.policies.get('ours.test'), [
    {
      type: 'sts',
      mx: ['mx.ours.test'],
      successes: 31,
      failures: 2,
      details: [
        {
          result: 'certificate-expired',
          count: 2,
          sendingIp: '192.0.2.25',
          receivingHost: 'mx.ours.test',
          receivingIp: '203.0.113.25',
          reason: '',
        },
      ],
    },
  ]);
  const other = readTlsReport(corpus('tls-microsoft.json'));
  assert.deepEqual('policies' in other && [...other.policies.keys()], ['ours.test', 'elsewhere.test']);
});

test('JSON that is no report is told as such', () => {
  const whyOf = (text: string): unknown => {
    const read = readTlsReport(Buffer.from(text));
    return 'why' in read && read.why;
  };
  assert.equal(whyOf('{"a'), 'it is no JSON');
  assert.equal(whyOf('[1]'), 'it is no report');
  assert.equal(whyOf('{"a":1}'), 'it names no time that it is about');
  assert.equal(whyOf(`{"a":${'['.repeat(100_000)}`), 'it is no JSON');
  const google = corpus('tls-google.json').toString();
  assert.equal(whyOf(google.replace('"report-id"', '"x"')), 'it has no id');
  assert.equal(whyOf(google.replace('"policies"', '"x"')), 'it names no domain');
});

/** An archive with one file that says it is of that size. */
function zip(packed: Buffer, method: number, claimedBytes: number): Buffer {
  const local = Buffer.alloc(31);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(method, 8);
  local.writeUInt32LE(packed.length, 18);
  local.writeUInt32LE(claimedBytes, 22);
  local.writeUInt16LE(1, 26);
  local.write('x', 30);
  const entry = Buffer.alloc(47);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(method, 10);
  entry.writeUInt32LE(packed.length, 20);
  entry.writeUInt32LE(claimedBytes, 24);
  entry.writeUInt16LE(1, 28);
  entry.write('x', 46);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(entry.length, 12);
  end.writeUInt32LE(local.length + packed.length, 16);
  return Buffer.concat([local, packed, entry, end]);
}

test('a TLS report of a million values is refused before it is parsed, and one as full as is kept is read', () => {
  const head = '"date-range":{"start-datetime":"2026-11-22T00:00:00Z","end-datetime":"2026-11-22T23:59:59Z"},"report-id":"1"';
  const reportOf = (policies: string): Buffer => Buffer.from(`{${head},"policies":[${policies}]}`);
  const failure =
    '{"result-type":"a","sending-mta-ip":"192.0.2.1","receiving-mx-hostname":"b","receiving-ip":"192.0.2.2","failed-session-count":1}';
  const policy = `{"policy":{"policy-type":"sts","policy-domain":"ours.test"},"failure-details":[${Array(50).fill(failure).join()}]}`;

  const full = readTlsReport(reportOf(Array(50).fill(policy).join()));
  assert.ok('policies' in full);
  assert.equal(full.policies.get('ours.test')?.length, 50);
  assert.deepEqual(readTlsReport(reportOf(`${policy},${'{},'.repeat(1_000_000)}{}`)), { why: 'it has too many values' });
});
