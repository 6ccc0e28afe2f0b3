/**
 * The queue as people ask for it: what the store knows, completed by what only the running lanes know, namely why mail waits that is in memory
 * already (P6).
 */
import type { Clock } from '#base/clock.ts';
import type { Wait } from '#model/wait-reason.ts';
import type { QueueDepth, Store } from '#store/store.ts';
import type { Pipeline } from './pipeline.ts';

const RECIPIENTS_MAX = 1000;

/** By recipient: what it waits for in memory. Who is not in it is being tried, or is not in memory. */
export type Waits = Readonly<Record<number, Omit<Wait, 'fromMs'>>>;

export interface QueueQuestions {
  /** Receiving domains with what waits for them, those with the most first. */
  domains(limit: number): Promise<QueueDepth[]>;
  waits(messages: readonly number[]): Promise<Waits>;
}

export function queueQuestions(store: Store, pipeline: Pick<Pipeline, 'lanes' | 'waitOf'>, clock: Clock): QueueQuestions {
  return {
    async domains(limit) {
      const domains = await store.events.queueByDomain(clock.nowMs(), limit);
      return domains.map((depth) => (depth.queued > 0 ? depth : withWaitOfLane(depth)));
    },
    async waits(messages) {
      const views = await Promise.all(messages.map((id) => store.events.messageById(undefined, id, RECIPIENTS_MAX)));
      const waits: Record<number, Omit<Wait, 'fromMs'>> = {};
      for (const recipient of views.flatMap((view) => view?.recipients ?? [])) {
        const wait = recipient.state === 'leased' ? pipeline.waitOf(recipient) : undefined;
        if (wait !== undefined) waits[recipient.id] = wait;
      }
      return waits;
    },
  };

  /** All of the domain's mail is in memory: on disk nothing tells what it waits for. */
  function withWaitOfLane(depth: QueueDepth): QueueDepth {
    const lane = pipeline.lanes.ofDomain(depth.domain);
    if (lane === undefined || lane.waiting === 0) return depth;
    return { ...depth, wait: lane.wait.reason, nextDueAtMs: lane.wait.untilMs };
  }
}
