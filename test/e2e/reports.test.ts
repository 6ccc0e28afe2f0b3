/** Reports of others on our domains, in the running program: they come by SMTP as reporters send them, and are told by the API together with what is known here. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { hourLasts } from '../kit/hour.ts';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { until } from '../kit/until.ts';
import { bringTo } from './inbound-routes-kit.ts';

const LOCAL = { TXT: ['v=spf1 ip4:127.0.0.1 -all'] };
const POLICY = { TXT: ['v=DMARC1; p=reject'] };
const DAY_S = 86_400;
/** The sample's day, which is made yesterday. */
const SAMPLE_S = 1_795_305_600;
// Today, too, is one for all tests.
await hourLasts(120_000);
const yesterdayS = (Math.floor(Date.now() / 1000 / DAY_S) - 1) * DAY_S;

const home = await Installation.make(
  { after },
  {
    'smtp.inbound': '127.0.0.1:0',
    'inbound.greeting_delay': '0s',
    'inbound.unknown_sender': 'accept',
    'reports.own_networks': '["203.0.113.0/28"]',
    // Who is verified is asked of this process, once.
    'dns.timeout': '30s',
    'inbound.authentication_timeout': '1m',
  },
  {
    zone: {
      'google.test': LOCAL,
      '_dmarc.google.test': POLICY,
      'x.test': { A: ['127.0.0.1'], ...LOCAL },
      '_dmarc.x.test': POLICY,
      'other.test': LOCAL,
    },
  },
);
const server = await home.start();
const selector = await (async (): Promise<string> => {
  const { body } = await server.mustCall('GET', `/v4/domains/${DOMAIN}`);
  const names = (body['sending_dns_records'] as { name: string }[]).map(({ name }) => name);
  return String(names.find((name) => name.includes('._domainkey.'))?.split('.', 1)[0]);
})();

function sample(name: string): string {
  return readFileSync(join(import.meta.dirname, '../corpus/reports', name), 'utf8')
    .replaceAll(/\b17953\d{5}\b/g, (text) => String(Number(text) - SAMPLE_S + yesterdayS))
    .replaceAll('s1<', `${selector}<`);
}

function mail(from: string, report: Buffer, type = 'application/gzip', name = 'report.xml.gz'): string {
  return (
    `From: Reports <${from}>\r\nTo: dmarc-reports@${DOMAIN}\r\nSubject: Report Domain: ${DOMAIN}\r\nMIME-Version: 1.0\r\n` +
    `Content-Type: ${type}; name="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${report.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`
  );
}

/** From the reporter that it names, unless another sends it. */
function bring(report: string, given: { readonly author?: string; readonly sender?: string; readonly to?: string } = {}): Promise<string> {
  const { author = 'noreply@google.test', to = `dmarc-reports@${DOMAIN}` } = given;
  return bringTo(server, to, mail(author, gzipSync(report)), given.sender ?? author);
}

interface Summary {
  readonly reports: number;
  readonly messages: number;
  readonly pass: number;
  readonly fail: number;
  readonly reporters: readonly {
    readonly reporter: string;
    readonly reports: number;
    readonly messages: number;
    readonly delivered?: number;
  }[];
  readonly sources: readonly {
    readonly source_ip: string;
    readonly source: string;
    readonly messages: number;
    readonly pass: number;
    readonly why: readonly object[];
  }[];
}

async function summary(query = ''): Promise<Summary> {
  return (await server.mustCall('GET', `/v1/domains/${DOMAIN}/dmarc${query}`)).body as unknown as Summary;
}

interface Listed {
  readonly items: readonly (Readonly<Record<string, unknown>> & { readonly rows: readonly Readonly<Record<string, unknown>>[] })[];
  readonly paging: { readonly next?: string };
}

async function reports(kind: 'dmarc/reports' | 'tls-reports', query = ''): Promise<Listed> {
  return (await server.mustCall('GET', `/v1/domains/${DOMAIN}/${kind}${query}`)).body as unknown as Listed;
}

test('a report by mail is told by source: ours, who sends our mail on, and who is not ours, with why; twice counts once', async () => {
  for (const _ of [1, 2]) assert.match(await bring(sample('google.xml')), /^250 /);
  const told = await summary();
  assert.deepEqual([told.reports, told.messages, told.pass, told.fail], [1, 164, 123, 41]);
  assert.deepEqual(
    told.sources.map(({ source_ip: ip, source, messages, pass, why }) => [ip, source, messages, pass, why]),
    [
      ['203.0.113.10', 'ours', 120, 120, []],
      ['2001:db8::66', 'unknown', 41, 0, [{ dkim: 'dkim-none', spf: 'spf-unaligned', messages: 41 }]],
      ['198.51.100.77', 'forwarder', 3, 3, []],
    ],
  );
  const { items } = await reports('dmarc/reports');
  const [report] = items;
  assert.deepEqual([items.length, report?.['reporter'], report?.['verified'], report?.['org']], [1, 'google.test', true, 'google.test']);
  assert.equal(report?.['begin'], new Date(yesterdayS * 1000).toISOString());
  assert.deepEqual(
    report?.rows.map((row) => [row['source_ip'], row['source'], row['count'], row['dkim'], row['spf']]),
    [
      ['203.0.113.10', 'ours', 120, 'pass', 'pass'],
      ['2001:db8::66', 'unknown', 41, 'fail', 'fail'],
      ['198.51.100.77', 'unknown', 3, 'pass', 'fail'],
    ],
  );
  const [, forwarded] = (report?.rows[2]?.['signatures'] ?? []) as object[];
  assert.deepEqual(forwarded, { domain: DOMAIN, selector, result: 'pass', is_ours: true });
  const { text } = await server.call('GET', '/metrics');
  assert.match(text, /postrider_reports_total\{result="repeated"\} 1/);
});

test('what was delivered to the reporter in that time stands beside what it reports', async () => {
  await server.send(['ann@x.test', 'bob@x.test']);
  const own = sample('microsoft.xml').replaceAll(String(yesterdayS + DAY_S), String(yesterdayS + 2 * DAY_S));
  assert.match(await bring(own, { author: 'dmarc@x.test' }), /^250 /);
  const reporter = await until(
    async () => (await summary()).reporters.find((each) => each.reporter === 'x.test' && each.delivered === 2),
    'it',
  );
  assert.deepEqual([reporter.reports, reporter.messages, reporter.delivered], [1, 2, 2]);
});

test('a forged report is told apart, never takes the place of a genuine one, and gives way to it', async () => {
  const before = await summary();
  // Says that it is of google.test; comes from elsewhere.
  const forged = sample('yahoo.xml');
  assert.match(await bring(forged, { sender: 'mallory@other.test' }), /^250 /);
  const [{ reports: count, messages }, both] = [await summary(), await summary('?unverified=yes')];
  assert.deepEqual([count, messages, both.messages], [before.reports, before.messages, before.messages + 9]);
  const seen = (await reports('dmarc/reports', '?unverified=yes')).items.filter((report) => report['verified'] === false);
  assert.deepEqual(
    seen.map((report) => report['reporter']),
    ['google.test'],
  );
  assert.match(await bring(forged.replace('<count>9', '<count>10')), /^250 /);
  assert.match(await bring(forged, { sender: 'mallory@other.test' }), /^250 /);
  const after = await summary();
  assert.deepEqual([after.reports, after.messages], [before.reports + 1, before.messages + 10]);
  assert.equal((await reports('dmarc/reports', '?unverified=yes')).items.filter((report) => report['verified'] === false).length, 0);
});

test('pages lead through all reports, each once', async () => {
  const seen: unknown[] = [];
  for (let url: string | undefined = `/v1/domains/${DOMAIN}/dmarc/reports?limit=1&rows=0`; url !== undefined;) {
    const { body } = await server.mustCall('GET', url);
    const { items, paging } = body as unknown as Listed;
    seen.push(...items.map((report) => report['id']));
    assert.ok(items.every(({ rows }) => rows.length === 0));
    url = paging.next?.replace(server.url, '');
  }
  assert.equal(new Set(seen).size, seen.length);
  assert.equal(seen.length, (await summary()).reports);
});

test('what is about nobody of ours, broken, packed to burst, or a letter is refused, and is not there', async () => {
  const before = await summary('?unverified=yes');
  assert.match(await bring(sample('elsewhere.xml')), /^550 5\.7\.1 /);
  assert.match(await bring(sample('truncated.xml')), /^550 5\.7\.1 /);
  const bomb = mail('noreply@google.test', gzipSync(Buffer.alloc(100_000_000)));
  assert.match(await bringTo(server, `dmarc-reports@${DOMAIN}`, bomb, 'noreply@google.test'), /^550 5\.7\.1 /);
  const letter = `From: noreply@google.test\r\nSubject: Hello\r\n\r\nHello.\r\n`;
  assert.match(await bringTo(server, `dmarc-reports@${DOMAIN}`, letter, 'noreply@google.test'), /^550 5\.7\.1 /);
  const later = sample('microsoft.xml').replaceAll(String(yesterdayS), String(yesterdayS + 10 * DAY_S));
  assert.match(await bring(later.replaceAll(String(yesterdayS + DAY_S), String(yesterdayS + 11 * DAY_S))), /^550 5\.7\.1 /);
  assert.deepEqual((await summary('?unverified=yes')).reports, before.reports);
  assert.match(await bring(sample('google.xml'), { to: 'dmarc-reports@elsewhere.test' }), /^550 5\.7\.1 /);
});

test('a letter to the address goes to a route that wants it', async () => {
  await server.mustCall('POST', '/v3/routes', { expression: `match_recipient("dmarc-reports@${DOMAIN}")`, action: 'store()' });
  const letter = `From: ann@google.test\r\nSubject: A question\r\n\r\nHello.\r\n`;
  assert.match(await bringTo(server, `dmarc-reports@${DOMAIN}`, letter, 'ann@google.test'), /^250 /);
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?event=stored`);
  assert.equal((body['items'] as unknown[]).length, 1);
});

test('reports about TLS are told with their policies', async () => {
  const json = readFileSync(join(import.meta.dirname, '../corpus/reports/tls-google.json'), 'utf8');
  const day = new Date(yesterdayS * 1000).toISOString().slice(0, 10);
  const message = mail('tls@google.test', gzipSync(json.replaceAll('2026-11-22', day)), 'application/tlsrpt+gzip', 'google.json.gz');
  assert.match(await bringTo(server, `tls-reports@${DOMAIN}`, message, 'tls@google.test'), /^250 /);
  const [report] = (await reports('tls-reports')).items;
  assert.deepEqual([report?.['org'], report?.['verified'], report?.['sessions'], report?.['failures']], ['Google Inc.', true, 33, 2]);
  const [policy] = (report?.['policies'] ?? []) as { type: string; details: { result: string; sending_ip: string }[] }[];
  assert.deepEqual(
    [policy?.type, policy?.details[0]?.result, policy?.details[0]?.sending_ip],
    ['sts', 'certificate-expired', '192.0.2.25'],
  );
  assert.equal(
    (await reports('dmarc/reports')).items.some((each) => each['org'] === 'Google Inc.'),
    false,
  );
});

test('a report past its retention is gone, and a younger one stays', async () => {
  const old = sample('mailru.xml').replaceAll(/\b\d{10}(?=<\/(?:begin|end)>)/g, (text) => String(Number(text) - 10 * DAY_S));
  assert.match(await bring(old), /^250 /);
  const ids = async (from = server): Promise<unknown[]> =>
    ((await from.mustCall('GET', `/v1/domains/${DOMAIN}/dmarc/reports?limit=100`)).body['items'] as { report_id: string }[]).map(
      ({ report_id: id }) => id,
    );
  const before = await ids();
  const id = '48327543219861751795305600';
  assert.ok(before.includes(id));
  await server.stop();
  const again = await home.start({ 'retention.reports': '5d' });
  await until(async () => !(await ids(again)).includes(id), 'the old report to go');
  assert.deepEqual(
    await ids(again),
    before.filter((each) => each !== id),
  );
});
