/** postrider queue: what waits, where and why. A running server tells its lanes too; without one the store tells what it holds. */
import type { LaneReport } from '#lanes/lane.ts';
import { WAIT_REASONS } from '#model/wait-reason.ts';
import type { QueueDepth } from '#store/store.ts';
import { withStore } from './administration.ts';
import { askServer } from './ask-server.ts';
import type { Command } from './command.ts';
import { json, roughly, table } from './table.ts';

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
    const live = await askServer<QueueReport>(settings.data, '/queue');
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
    domain.queued === 0 && domain.wait === 'due' ? 'it is being tried' : WAIT_REASONS[domain.wait],
  ]);
  return [
    isRunning ? '' : 'No server runs on this data directory; this is what the store holds.\n\n',
    laneRows.length > 0
      ? `${table(['site', 'source', 'state', 'conn', 'in memory', 'rate', 'delivered', 'deferred', 'failed', 'trouble'], laneRows)}\n`
      : '',
    domainRows.length > 0 ? table(['domain', 'queued', 'being sent', 'oldest', 'looked at', 'why'], domainRows) : 'The queue is empty.\n',
  ].join('');
}
