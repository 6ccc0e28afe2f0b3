/** Which domain a report is kept with, and what is refused: the rules that need several domains. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { readHeader } from '#mail/header.ts';
import { AppError } from '#model/errors.ts';
import type { DmarcResult, InboundMail, InboundRcpt } from '#model/inbound.ts';
import type { DmarcRow, Report } from '#store/report-store.ts';
import { StoreError } from '#store/store.ts';
import { createReportTaker, noReports, type ReportTakerDeps } from './taker.ts';

const GOOGLE = readFileSync(join(import.meta.dirname, '../../test/corpus/reports/google.xml'), 'utf8');
const DAY_S = 86_400;
const xml = (change: (text: string) => string = (text) => text): string =>
  change(
    GOOGLE.replaceAll(/17953\d{5}/g, (text) => String(Number(text) - 1_795_305_600 + (Math.floor(Date.now() / 1000 / DAY_S) - 1) * DAY_S)),
  );

const rcpt = (address: string): InboundRcpt => {
  const [local = '', domain = ''] = address.split('@');
  return { address, local, domain, sender: 'r@google.test', clientAddress: '192.0.2.1' };
};

function rig(domains: readonly string[], change: Partial<ReportTakerDeps> = {}) {
  const kept: { readonly report: Report; readonly rows: readonly DmarcRow[] }[] = [];
  const counts = noReports();
  const taker = createReportTaker({
    mailboxes: { dmarc: 'Dmarc-Reports', tls: '' },
    perDomainMax: 10,
    domainFor: async (name) =>
      domains.includes(name)
        ? { id: domains.indexOf(name) + 1, accountId: 1, name, state: name.startsWith('shut') ? 'disabled' : 'active' }
        : undefined,
    store: {
      async putReport(report, rows) {
        kept.push({ report, rows });
        return 'kept';
      },
    },
    next: async () => undefined,
    counts,
    clock: systemClock,
    log: silentLog,
    ...change,
  });
  return {
    taker,
    kept,
    counts,
    async bring(report: string, to = 'dmarc-reports@ours.test', dmarc: DmarcResult = 'pass'): Promise<void> {
      const recipient = rcpt(to);
      const bytes = Buffer.from(`From: Reports <R@Google.test>\r\nContent-Type: text/xml\r\n\r\n${report}`);
      const mail: InboundMail = {
        envelope: { sender: recipient.sender, smtputf8: false, body: '7BIT', recipients: [{ address: to }] },
        recipients: [recipient],
        recipient,
        bytes,
        header: readHeader(bytes),
        client: { address: '192.0.2.1' },
        receivedMs: 1000,
        authentication: {
          spf: { result: 'none', domain: '' },
          dkim: [],
          dmarc: { result: dmarc, domain: dmarc === 'none' ? '' : 'Google.test' },
          arc: { result: 'none' },
          results: '',
        },
        isAutomatic: false,
      };
      const addressee = await taker.accepts(recipient);
      assert.ok(addressee?.take);
      return addressee.take(mail);
    },
  };
}

const notAReport = (error: unknown): boolean => error instanceof AppError && error.code === 'not-a-report';

test('only the addresses of the settings at domains that are ours and not disabled are taken, with any suffix', async () => {
  const { taker } = rig(['ours.test', 'shut.test']);
  for (const address of ['dmarc-reports@ours.test', 'DMARC-reports+google@ours.test'])
    assert.ok(await taker.accepts(rcpt(address)), address);
  for (const address of ['dmarc-reports@other.test', 'dmarc-reports@shut.test', 'tls-reports@ours.test', '@ours.test', 'bob@ours.test'])
    assert.equal(await taker.accepts(rcpt(address)), undefined, address);
});

test('a report is kept with the domain that it is about, wherever it was sent', async () => {
  const { bring, kept } = rig(['reports.test', 'ours.test']);
  await bring(xml(), 'dmarc-reports@reports.test');
  assert.equal(kept[0]?.report.domainId, 2);
  assert.deepEqual([kept[0]?.report.messages, kept[0]?.report.failures, kept[0]?.rows.length], [164, 41, 3]);
  await assert.rejects(rig(['reports.test']).bring(xml(), 'dmarc-reports@reports.test'), notAReport);
});

test('of a policy above a domain of ours only what bears our name is kept; what is below ours is ours', async () => {
  const mixed = xml((text) => text.replace('<header_from>ours.test', '<header_from>mail.ours.test'));
  const below = rig(['mail.ours.test']);
  await below.bring(mixed, 'dmarc-reports@mail.ours.test');
  assert.deepEqual(
    below.kept.map(({ report, rows }) => [report.messages, rows.map(({ headerFrom }) => headerFrom)]),
    [[120, ['mail.ours.test']]],
  );
  await assert.rejects(rig(['mail.ours.test']).bring(xml(), 'dmarc-reports@mail.ours.test'), notAReport);
  const above = rig(['ours.test']);
  await above.bring(xml((text) => text.replace('<domain>ours.test</domain><adkim>', '<domain>news.ours.test</domain><adkim>')));
  assert.equal(above.kept[0]?.report.messages, 164);
});

test('it is verified by DMARC of the mail alone, and its id is of domain, reporter and report', async () => {
  const { bring, kept, counts } = rig(['ours.test']);
  for (const result of ['pass', 'fail', 'none', 'temperror'] as const) await bring(xml(), undefined, result);
  assert.deepEqual(
    kept.map(({ report }) => report.isVerified),
    [true, false, false, false],
  );
  assert.deepEqual(new Set(kept.map(({ report }) => report.reporter)), new Set(['google.test']));
  assert.equal(new Set(kept.map(({ report }) => report.id)).size, 1);
  await bring(xml((text) => text.replace('1168461263912345678', '12')));
  assert.notEqual(kept.at(-1)?.report.id, kept[0]?.report.id);
  assert.deepEqual([counts.kept, counts.unverified], [2, 3]);
});

test('while the store is away it is put off, and what begins in days to come is refused', async () => {
  const putReport = (): Promise<never> => Promise.reject(new StoreError('io', 'away'));
  await assert.rejects(
    rig(['ours.test'], { store: { putReport } }).bring(xml()),
    (error: unknown) => error instanceof AppError && error.code === 'store-unavailable',
  );
  const later = xml().replaceAll(/(<begin>|<end>)(\d+)/g, (_, tag: string, seconds: string) => tag + String(Number(seconds) + 9 * DAY_S));
  await assert.rejects(rig(['ours.test']).bring(later), notAReport);
});
