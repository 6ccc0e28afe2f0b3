/**
 * /metrics in Prometheus' text format. Numbers are read when they are asked for; nothing is measured for them in between, but for the
 * answers of this door. Labels are few and bounded: no address, no domain of a tenant.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { StoreError } from '#store/store.ts';
import type { ApiDeps, DeliveryCounts, InboundFigures } from './deps.ts';
import type { ApiCounters } from './endpoint.ts';

export interface Metrics extends ApiCounters {
  text(): Promise<string>;
  readonly contentType: string;
}

const LANE_STATES = ['starting', 'running', 'suspended', 'draining'] as const;

export function createMetrics(
  deps: Pick<
    ApiDeps,
    'store' | 'laneReport' | 'deliveryCounts' | 'postCounts' | 'inboundCounts' | 'returnCounts' | 'reportCounts' | 'tracking'
  >,
): Metrics {
  const registry = new Registry();
  const answers = new Map<string, Map<number, number>>();
  let accepted = 0;
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'postrider_api_answers_total',
      help: 'Answers of the HTTP API',
      labelNames: ['method', 'status'],
      collect() {
        this.reset();
        for (const [method, byStatus] of answers)
          for (const [status, count] of byStatus) this.inc({ method, status: String(status) }, count);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'postrider_api_recipients_accepted_total',
      help: 'Recipients accepted by the HTTP API',
      collect() {
        this.reset();
        this.inc(accepted);
      },
    }),
  );
  deliveryMetrics(registry, deps);
  postMetrics(registry, deps);
  inboundMetrics(registry, deps);
  trackingMetrics(registry, deps);
  returnMetrics(registry, deps);
  storeMetrics(registry, deps);
  processMetrics(registry);
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    accepted(recipients) {
      accepted += recipients;
    },
    answered(method, status) {
      let byStatus = answers.get(method);
      if (byStatus === undefined) answers.set(method, (byStatus = new Map()));
      byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    },
  };
}

function deliveryMetrics(registry: Registry, { laneReport, deliveryCounts }: Pick<ApiDeps, 'laneReport' | 'deliveryCounts'>): void {
  const counted = (name: keyof DeliveryCounts, help: string): void => {
    registry.registerMetric(
      new Counter({
        registers: [],
        name: `postrider_recipients_${name}_total`,
        help,
        collect() {
          this.reset();
          this.inc(deliveryCounts?.()[name] ?? laneSum(name));
        },
      }),
    );
  };
  const laneSum = (name: keyof DeliveryCounts): number =>
    name === 'accepted' ? 0 : laneReport().reduce((sum, lane) => sum + lane[name], 0);
  counted('accepted', 'Recipients accepted by this node');
  counted('delivered', 'Recipients delivered by this node');
  counted('deferred', 'Attempts of this node that were deferred');
  counted('failed', 'Recipients that failed for good');
  registry.registerMetric(
    new Gauge({
      registers: [],
      name: 'postrider_lanes',
      help: 'Lanes of this node by state',
      labelNames: ['state'],
      collect() {
        this.reset();
        for (const state of LANE_STATES) this.set({ state }, 0);
        for (const lane of laneReport()) this.inc({ state: lane.state });
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      registers: [],
      name: 'postrider_lane_connections',
      help: 'Open connections to receiving servers',
      collect() {
        this.set(laneReport().reduce((sum, lane) => sum + lane.connections, 0));
      },
    }),
  );
}

const INBOUND_RESULTS: Readonly<Record<keyof InboundFigures, string>> = {
  received: 'received',
  refused: 'refused',
  deferred: 'deferred',
  unknownRecipients: 'unknown_recipient',
  relayAttempts: 'relay_attempt',
  earlyTalkers: 'early_talker',
  rateLimited: 'rate_limited',
};

function inboundMetrics(registry: Registry, { inboundCounts }: Pick<ApiDeps, 'inboundCounts'>): void {
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'postrider_inbound_total',
      help: 'Mail from other servers at this node. received, refused, deferred: messages. unknown_recipient, relay_attempt: recipients. early_talker: connections. rate_limited: messages that were not begun',
      labelNames: ['result'],
      collect() {
        this.reset();
        const counts = inboundCounts?.();
        if (counts === undefined) return;
        for (const [name, result] of Object.entries(INBOUND_RESULTS)) this.inc({ result }, counts[name as keyof InboundFigures]);
      },
    }),
  );
}

function returnMetrics(registry: Registry, { returnCounts, reportCounts }: Pick<ApiDeps, 'returnCounts' | 'reportCounts'>): void {
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'postrider_reports_total',
      help: 'Reports on our domains that came to this node (DMARC, TLS). kept: and verified. unverified: anybody may have written it',
      labelNames: ['result'],
      collect() {
        this.reset();
        for (const [result, count] of Object.entries(reportCounts?.() ?? {})) this.inc({ result }, count);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'postrider_returned_total',
      help: 'Word of delivered mail that came back to this node. bounce, complaint: recorded. unproven: without a token of ours, or with a false one',
      labelNames: ['result'],
      collect() {
        this.reset();
        for (const [result, count] of Object.entries(returnCounts?.() ?? {})) this.inc({ result }, count);
      },
    }),
  );
}

function trackingMetrics(registry: Registry, { tracking }: Pick<ApiDeps, 'tracking'>): void {
  if (tracking === undefined) return;
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'postrider_tracked_visits_total',
      help: 'Opens and clicks at this node. recorded: written down. dropped: too many of one copy of a message, or at once. lost: the store did not take them',
      labelNames: ['result'],
      collect() {
        this.reset();
        for (const [result, count] of Object.entries(tracking.counts)) this.inc({ result }, count);
      },
    }),
  );
}

function postMetrics(registry: Registry, { store, postCounts }: Pick<ApiDeps, 'store' | 'postCounts'>): void {
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'postrider_posts_total',
      help: 'Posts of this node to servers outside. done: taken. failed: not taken, each time. given_up: entries that are not posted any more',
      labelNames: ['result'],
      collect() {
        this.reset();
        const { done, failed, givenUp } = postCounts?.() ?? { done: 0, failed: 0, givenUp: 0 };
        this.inc({ result: 'done' }, done);
        this.inc({ result: 'failed' }, failed);
        this.inc({ result: 'given_up' }, givenUp);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      registers: [],
      name: 'postrider_outbox_entries',
      help: 'What is still to be posted to servers outside',
      async collect() {
        const entries = await told(() => store.outbox.depth());
        if (entries === undefined) this.remove();
        else this.set(entries);
      },
    }),
  );
}

/** undefined: the store cannot be asked at the moment. Its figures are left out then; all others are told, and that it cannot be written above all. */
async function told<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

function storeMetrics(registry: Registry, { store }: Pick<ApiDeps, 'store'>): void {
  registry.registerMetric(
    new Gauge({
      registers: [],
      name: 'postrider_queue_recipients',
      help: 'Recipients in the queue by state',
      labelNames: ['state'],
      async collect() {
        const depth = await told(() => store.events.queueDepth());
        this.reset();
        if (depth === undefined) return;
        this.set({ state: 'queued' }, depth.queued);
        this.set({ state: 'leased' }, depth.leased);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'postrider_store_commits_total',
      help: 'Transactions committed by the writer',
      collect() {
        this.reset();
        this.inc(store.health().commits);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      registers: [],
      name: 'postrider_store_commit_seconds_p99',
      help: 'Time of a commit, 99th percentile of the recent ones',
      collect() {
        this.set(store.health().commitMsP99 / 1000);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      registers: [],
      name: 'postrider_store_writable',
      help: '1: mail can be accepted',
      collect() {
        this.set(store.health().isWritable ? 1 : 0);
      },
    }),
  );
}

function processMetrics(registry: Registry): void {
  registry.registerMetric(
    new Counter({
      registers: [],
      name: 'process_cpu_seconds_total',
      help: 'CPU time of this process, user and system',
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1e6);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      registers: [],
      name: 'process_resident_memory_bytes',
      help: 'Resident memory of this process',
      collect() {
        this.set(process.memoryUsage.rss());
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      registers: [],
      name: 'process_start_time_seconds',
      help: 'When this process started, Unix time',
      collect() {
        this.set(Math.round(performance.timeOrigin / 1000));
      },
    }),
  );
}
