/** Deletes what retention no longer keeps, in small steps between which mail goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { repeat } from '#base/repeat.ts';
import type { ReportStore } from '#store/report-store.ts';
import type { MailStore } from '#store/store.ts';

const LOOK_MS = 30_000;
const STEP_ROWS = 200;
const STEP_PAUSE_MS = 20;
/** Each has up to thousands of rows. */
const REPORTS_STEP = 10;

export interface RetentionOptions {
  readonly mail: MailStore;
  readonly reports: Pick<ReportStore, 'expireReports'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly eventsMs: number;
  /** Of the log of webhooks. */
  readonly postsMs: number;
  /** Of what others report about our domains. */
  readonly reportsMs: number;
}

export function startRetention(options: RetentionOptions): { stop(): Promise<void> } {
  const { mail, reports, clock, log, eventsMs, postsMs, reportsMs } = options;
  return repeat({
    async round() {
      const isMoreMail = (await mail.expire(clock.nowMs(), STEP_ROWS, eventsMs, postsMs)) >= STEP_ROWS;
      const areMoreReports = (await reports.expireReports(clock.nowMs() - reportsMs, REPORTS_STEP)) >= REPORTS_STEP;
      return (isMoreMail || areMoreReports) && sleep(STEP_PAUSE_MS, true);
    },
    pauseMs: LOOK_MS,
    log,
    trouble: 'nothing can be deleted at the moment',
  });
}
