/** postrider queue: what waits, where and why. A running server tells its lanes too; without one the store tells what it holds. */
import { request } from 'node:http';
import { controlPath } from '#app/control-path.ts';
import type { LaneReport } from '#lanes/lane.ts';
import { WAIT_REASONS } from '#model/wait-reason.ts';
import type { QueueDepth } from '#store/store.ts';
import { withStore } from './administration.ts';
import { Failure } from './command.ts';
import type { Command } from './command.ts';
import { json, roughly, table } from './table.ts';

const ANSWER_MS = 10_000;
const ANSWER_MAX = 64 * 1024 * 1024;
const DOMAINS_MAX = 1000;

export interface QueueReport {
  readonly lanes: readonly LaneReport[];
  readonly domains: readonly QueueDepth[];
}

export const queue: Command = {
  name: 'queue',
  parameters: '',
  summary: 'Shows the lanes of the running server with their state, and the receiving domains with what waits for them and why',
  examples: ['postrider queue', 'postrider queue --json'],
  options: {},
  takes: [0, 0],
  printsData: true,
  async run({ config, json: asJson, terminal }) {
    const settings = config();
    const live = await askServer(controlPath(settings.data));
    const report = live ?? {
      lanes: [],
      domains: await withStore(settings, (store) => store.events.queueByDomain(Date.now(), DOMAINS_MAX)),
    };
    terminal.out(asJson ? json({ isRunning: live !== undefined, ...report }) : textOf(report, live !== undefined));
    return 0;
  },
};

function textOf({ lanes, domains }: QueueReport, isRunning: boolean): string {
  const nowMs = Date.now();
  const laneRows = lanes.map((lane) => [
    lane.site,
    lane.source,
    lane.state,
    `${lane.connections}/${lane.connectionsAllowed}`,
    lane.waitingInMemory,
    lane.ratePerMinute === undefined ? '-' : `${Math.round(lane.ratePerMinute)}/m`,
    lane.delivered,
    lane.deferred,
    lane.failed,
    lane.suspendedUntilMs === undefined
      ? (lane.lastTrouble ?? '')
      : `suspended for another ${roughly(lane.suspendedUntilMs - nowMs)}: ${lane.lastTrouble ?? ''}`,
  ]);
  const domainRows = domains.map((domain) => [
    domain.domain,
    domain.queued,
    domain.leased,
    roughly(nowMs - domain.oldestMs),
    domain.nextDueAtMs <= nowMs ? 'now' : `in ${roughly(domain.nextDueAtMs - nowMs)}`,
    WAIT_REASONS[domain.wait],
  ]);
  return [
    isRunning ? '' : 'The server does not run; this is what the store holds.\n\n',
    laneRows.length > 0
      ? `${table(['site', 'source', 'state', 'conn', 'in memory', 'rate', 'delivered', 'deferred', 'failed', 'trouble'], laneRows)}\n`
      : '',
    domainRows.length > 0 ? table(['domain', 'queued', 'being sent', 'oldest', 'looked at', 'why'], domainRows) : 'The queue is empty.\n',
  ].join('');
}

/** undefined: no server runs on this data directory. */
function askServer(socketPath: string): Promise<QueueReport | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/queue', signal: AbortSignal.timeout(ANSWER_MS) }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > ANSWER_MAX) asked.destroy(new Failure('the server answered too much'));
        else chunks.push(chunk);
      });
      answer.on('error', reject);
      answer.on('end', () => {
        try {
          if (answer.statusCode !== 200)
            throw new Failure(`the server answered ${answer.statusCode ?? 'nothing'} to the question for its queue`);
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as QueueReport);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
    asked.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else if (error.name === 'TimeoutError' || error.name === 'AbortError')
        reject(new Failure(`the server did not answer within ${ANSWER_MS / 1000} seconds`));
      else reject(error);
    });
    asked.end();
  });
}
