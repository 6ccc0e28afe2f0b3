/** Reports about our domains on the embedded store. */
import * as sql from '#store/report-rows.ts';
import type { Report, ReportStore } from '#store/report-store.ts';
import type { Synchronous } from './accounts.ts';
import type { Row } from '#store/rows-json.ts';
import type { Database } from './database.ts';

export function reportTables(db: Database): Synchronous<ReportStore> {
  const drop = (ids: readonly unknown[]): void => {
    for (const id of ids) {
      db.run(sql.DROP_ROWS, String(id));
      db.run(sql.DROP_REPORT, String(id));
    }
  };
  const beyond = ({ domainId, isVerified }: Report, max: number): Row[] => {
    if (!isVerified) return db.all(sql.BEYOND, domainId, sql.unverifiedMax(max));
    if (db.get(sql.IS_BEYOND, domainId, max) === undefined) return [];
    const less = sql.givesWay(db.all(sql.BY_REPORTER, domainId), max);
    return less === undefined ? [] : db.all(sql.OLDEST_OF, domainId, less.reporter, less.count);
  };
  return {
    putReport(report, rows, max) {
      if (report.isVerified) drop(db.all(sql.UNVERIFIED, report.id).map((row) => row['id']));
      if (db.run(sql.PUT_REPORT, ...sql.reportValues(report)) === 0) return 'repeated';
      for (const [number, row] of rows.entries()) db.run(sql.PUT_ROW, ...sql.rowValues(report, row, number));
      drop(beyond(report, max).map((row) => row['id']));
      return 'kept';
    },
    reportPage: (kind, range, after, limit) =>
      db.all(sql.PAGE, ...sql.rangeValues(kind, range), ...sql.afterValues(after), limit).map(sql.reportOf),
    reportRows: (id, limit) => db.all(sql.ROWS_OF, id, limit).map(sql.dmarcRowOf),
    dmarcSums: (range, limit) => db.all(sql.SUMS, ...sql.rangeValues('dmarc', range), limit).map(sql.dmarcSumOf),
    reporterSums: (kind, range, limit) => db.all(sql.REPORTERS, ...sql.rangeValues(kind, range), limit).map(sql.reporterSumOf),
    expireReports(beforeMs, limit) {
      const past = db.all(sql.PAST, beforeMs, limit).map((row) => row['id']);
      drop(past);
      return past.length;
    },
  };
}
