/** Reports of others about our domains. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DmarcRow, Report, ReportRange } from '#store/report-store.ts';
import type { Store } from '#store/store.ts';
import { DAY_MS, type Open, tenant, T0, type Tenant, unique } from './tenant.ts';

export function reportsConformance(open: Open): void {
  describe('reports', () => {
    let store: Store;
    before(async () => {
      ({ store } = await open());
    });
    after(() => store.close());

    const report = (of: Tenant, change: Partial<Report> = {}): Report => ({
      id: unique('report'),
      accountId: of.accountId,
      domainId: of.domainId,
      kind: 'dmarc',
      reporter: 'google.test',
      org: 'Größe Inc.',
      reportId: unique('theirs'),
      beginMs: T0,
      endMs: T0 + DAY_MS,
      receivedMs: T0 + DAY_MS,
      isVerified: true,
      messages: 7,
      failures: 2,
      detail: { policy: { p: 'none' }, errors: ['é'] },
      ...change,
    });
    const row = (change: Partial<DmarcRow> = {}): DmarcRow => ({
      sourceIp: '192.0.2.1',
      count: 5,
      disposition: 'none',
      isDkimAligned: true,
      isSpfAligned: false,
      headerFrom: 'sender.example',
      why: '',
      signatures: [{ domain: 'sender.example', selector: 's1', result: 'pass' }],
      detail: { envelopeFrom: 'b.example', spf: [{ domain: 'b.example', scope: 'mfrom', result: 'fail' }], reasons: ['forwarded'] },
      ...change,
    });
    const failing = row({ count: 2, isDkimAligned: false, why: 'dkim-fail spf-fail', signatures: [], sourceIp: '2001:db8::1' });
    const range = (of: Tenant, change: Partial<ReportRange> = {}): ReportRange => ({
      domainId: of.domainId,
      beginMs: T0,
      endMs: T0 + 10 * DAY_MS,
      withUnverified: false,
      ...change,
    });
    const ids = async (of: Tenant, change: Partial<ReportRange> = {}): Promise<string[]> =>
      (await store.reports.reportPage('dmarc', range(of, change), undefined, 100)).map(({ id }) => id);

    it('keeps a report with its rows, and sums them by what they say', async () => {
      const mine = await tenant(store);
      const [first, second] = [report(mine), report(mine, { beginMs: T0 + DAY_MS, endMs: T0 + 2 * DAY_MS })];
      assert.equal(await store.reports.putReport(first, [failing, row()], 10), 'kept');
      assert.equal(await store.reports.putReport(second, [row({ count: 90 })], 10), 'kept');
      assert.deepEqual(await store.reports.reportPage('dmarc', range(mine), undefined, 10), [second, first]);
      assert.deepEqual(await store.reports.reportRows(first.id, 10), [row(), failing]);
      assert.deepEqual(await store.reports.reportRows(first.id, 1), [row()]);
      assert.deepEqual(await store.reports.dmarcSums(range(mine), 10), [
        {
          sourceIp: '192.0.2.1',
          disposition: 'none',
          isDkimAligned: true,
          isSpfAligned: false,
          why: '',
          signed: 's1@sender.example',
          count: 95,
        },
        {
          sourceIp: '2001:db8::1',
          disposition: 'none',
          isDkimAligned: false,
          isSpfAligned: false,
          why: 'dkim-fail spf-fail',
          signed: '',
          count: 2,
        },
      ]);
      assert.deepEqual(await store.reports.reporterSums('dmarc', range(mine), 10), [
        { reporter: 'google.test', org: 'Größe Inc.', reports: 2, messages: 14, failures: 4 },
      ]);
      assert.deepEqual(await store.reports.dmarcSums(range(await tenant(store)), 10), []);
    });

    it('shows pages that follow each other, of one kind and one time', async () => {
      const mine = await tenant(store);
      const made = [0, 0, 1, 2].map((day) => report(mine, { beginMs: T0 + day * DAY_MS }));
      for (const each of made) await store.reports.putReport(each, [], 10);
      await store.reports.putReport(report(mine, { kind: 'tls' }), [], 10);
      const seen: string[] = [];
      for (let after: Report | undefined; ;) {
        const page = await store.reports.reportPage('dmarc', range(mine), after, 1);
        if (page.length === 0) break;
        after = page[0];
        seen.push(String(after?.id));
      }
      assert.deepEqual(new Set(seen), new Set(made.map(({ id }) => id)));
      assert.equal(seen.length, 4);
      assert.deepEqual(await ids(mine, { beginMs: T0 + DAY_MS, endMs: T0 + 2 * DAY_MS }), [made[2]?.id]);
    });

    it('keeps the same report once, and lets a verified one take the place of one that is not', async () => {
      const mine = await tenant(store);
      const forged = report(mine, { isVerified: false, messages: 1 });
      assert.equal(await store.reports.putReport(forged, [failing], 10), 'kept');
      assert.equal(await store.reports.putReport(forged, [row()], 10), 'repeated');
      assert.deepEqual(await ids(mine), []);
      assert.deepEqual(await ids(mine, { withUnverified: true }), [forged.id]);
      const genuine = { ...forged, isVerified: true, messages: 5 };
      const put = await Promise.all([1, 2].map(() => store.reports.putReport(genuine, [row()], 10)));
      assert.deepEqual(put.sort(), ['kept', 'repeated']);
      assert.equal(await store.reports.putReport(forged, [failing], 10), 'repeated');
      assert.deepEqual(await store.reports.reportPage('dmarc', range(mine), undefined, 10), [genuine]);
      assert.deepEqual(await store.reports.reportRows(genuine.id, 10), [row()]);
    });

    it('has no more of a domain than it may, the newest, and others never take the place of verified ones', async () => {
      const mine = await tenant(store);
      const made = [0, 1, 2, 3].map((day) => report(mine, { beginMs: T0 + day * DAY_MS }));
      for (const each of made) await store.reports.putReport(each, [row()], 3);
      const forged = [4, 5].map((day) => report(mine, { beginMs: T0 + day * DAY_MS, isVerified: false }));
      for (const each of forged) await store.reports.putReport(each, [row()], 3);
      assert.deepEqual(await ids(mine, { withUnverified: true }), [forged[1]?.id, made[3]?.id, made[2]?.id, made[1]?.id]);
      assert.deepEqual(await store.reports.reportRows(String(made[0]?.id), 10), []);
    });

    it('takes from whoever has the most, under whatever names below one, and leaves the older ones of others', async () => {
      const mine = await tenant(store);
      const genuine = ['google.test', 'yahoo.test'].map((reporter) => report(mine, { reporter }));
      for (const each of genuine) await store.reports.putReport(each, [row()], 5);
      const many = [1, 2, 3, 4, 5].map((day) => report(mine, { reporter: `n${day}.hostile.test`, beginMs: T0 + day * DAY_MS }));
      for (const each of many) await store.reports.putReport(each, [row()], 5);
      const kept = [...genuine, ...many.slice(2)].map(({ id }) => id);
      assert.deepEqual(new Set(await ids(mine)), new Set(kept));
      assert.deepEqual(await store.reports.reportRows(String(many[0]?.id), 10), []);
      const late = report(mine, { reporter: 'late.test' });
      await store.reports.putReport(late, [row()], 5);
      assert.deepEqual(new Set(await ids(mine)), new Set([...kept.filter((id) => id !== many[2]?.id), late.id]));
    });

    it('forgets what is past, with its rows', async () => {
      const mine = await tenant(store);
      const [old, young] = [report(mine, { endMs: 1000, beginMs: 10 }), report(mine, { endMs: 3000, beginMs: 20 })];
      for (const each of [old, young]) await store.reports.putReport(each, [row()], 10);
      assert.equal(await store.reports.expireReports(2000, 100), 1);
      assert.deepEqual(await ids(mine, { beginMs: 0 }), [young.id]);
      assert.deepEqual(await store.reports.reportRows(old.id, 10), []);
      await store.reports.expireReports(4000, 100);
    });
  });
}
