/** Deletes what retention no longer keeps, in small steps between which mail goes on. Mail and reports each by themselves: what cannot be deleted of one holds up nothing of the other. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { repeat, type Repetition } from '#base/repeat.ts';
import type { ReportStore } from '#store/report-store.ts';
import type { MailStore } from '#store/store.ts';

const LOOK_MS = 30_000;
const STEP_ROWS = 200;
const STEP_PAUSE_MS = 20;
/** Each has up to thousands of rows. */
const REPORTS_STEP = 10;

export interface RetentionOptions {
  readonly mail: Pick<MailStore, 'expire'>;
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
  const deleting = (what: string, stepMax: number, step: () => Promise<number>): Repetition =>
    repeat({
      round: async () => (await step()) >= stepMax && sleep(STEP_PAUSE_MS, true),
      pauseMs: LOOK_MS,
      log,
      trouble: `no ${what} can be deleted at the moment`,
    });
  const all = [
    deleting('mail', STEP_ROWS, () => mail.expire(clock.nowMs(), STEP_ROWS, eventsMs, postsMs)),
    deleting('reports', REPORTS_STEP, () => reports.expireReports(clock.nowMs() - reportsMs, REPORTS_STEP)),
  ];
  return {
    async stop() {
      await Promise.all(all.map((each) => each.stop()));
    },
  };
}
