/** Reports about our domains on PostgreSQL. */
import * as sql from '#store/report-rows.ts';
import type { Report, ReportStore } from '#store/report-store.ts';
import type { Row } from '#store/rows-json.ts';
import type { Database, Queries } from './database.ts';

/** `?` as this server has it. */
function numbered(text: string): string {
  let count = 0;
  return text.replace(/\?/g, () => `$${++count}`);
}

const [
  PUT_REPORT,
  PUT_ROW,
  UNVERIFIED,
  IS_BEYOND,
  BY_REPORTER,
  OLDEST_OF,
  BEYOND,
  PAST,
  DROP_ROWS,
  DROP_REPORT,
  ROWS_OF,
  PAGE,
  SUMS,
  REPORTERS,
] = [
  sql.PUT_REPORT,
  sql.PUT_ROW,
  sql.UNVERIFIED,
  sql.IS_BEYOND,
  sql.BY_REPORTER,
  sql.OLDEST_OF,
  sql.BEYOND,
  sql.PAST,
  sql.DROP_ROWS,
  sql.DROP_REPORT,
  sql.ROWS_OF,
  sql.PAGE,
  sql.SUMS,
  sql.REPORTERS,
].map(numbered) as [string, string, string, string, string, string, string, string, string, string, string, string, string, string];

async function drop(queries: Queries, ids: readonly unknown[]): Promise<void> {
  for (const id of ids) {
    await queries.run(DROP_ROWS, String(id));
    await queries.run(DROP_REPORT, String(id));
  }
}

async function beyond(queries: Queries, { domainId, isVerified }: Report, max: number): Promise<Row[]> {
  if (!isVerified) return queries.all(BEYOND, domainId, sql.unverifiedMax(max));
  if ((await queries.get(IS_BEYOND, domainId, max)) === undefined) return [];
  const less = sql.givesWay(await queries.all(BY_REPORTER, domainId), max);
  return less === undefined ? [] : queries.all(OLDEST_OF, domainId, less.reporter, less.count);
}

export function reportTables(db: Database): ReportStore {
  return {
    putReport: (report, rows, max) =>
      db.transaction(async (queries) => {
        if (report.isVerified)
          await drop(
            queries,
            (await queries.all(`${UNVERIFIED} FOR UPDATE`, report.id)).map((row) => row['id']),
          );
        if ((await queries.run(PUT_REPORT, ...sql.reportValues(report))) === 0) return 'repeated';
        for (const [number, row] of rows.entries()) await queries.run(PUT_ROW, ...sql.rowValues(report, row, number));
        await drop(
          queries,
          (await beyond(queries, report, max)).map((row) => row['id']),
        );
        return 'kept';
      }),
    reportPage: async (kind, range, after, limit) =>
      (await db.all(PAGE, ...sql.rangeValues(kind, range), ...sql.afterValues(after), limit)).map(sql.reportOf),
    reportRows: async (id, limit) => (await db.all(ROWS_OF, id, limit)).map(sql.dmarcRowOf),
    dmarcSums: async (range, limit) => (await db.all(SUMS, ...sql.rangeValues('dmarc', range), limit)).map(sql.dmarcSumOf),
    reporterSums: async (kind, range, limit) => (await db.all(REPORTERS, ...sql.rangeValues(kind, range), limit)).map(sql.reporterSumOf),
    expireReports: (beforeMs, limit) =>
      db.transaction(async (queries) => {
        const past = (await queries.all(`${PAST} FOR UPDATE SKIP LOCKED`, beforeMs, limit)).map((row) => row['id']);
        await drop(queries, past);
        return past.length;
      }),
  };
}
