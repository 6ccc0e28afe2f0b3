/** What both generators share: hand out numbers to N clients until they are used up, and say how it went. */
import { Latencies } from './latency.ts';

export interface LoadResult {
  /** Recipients whose message was accepted. */
  readonly accepted: number;
  /** Epoch milliseconds. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the generator itself. */
  readonly cpuSeconds: number;
}

/** What a client is given. It calls `done` once. */
export interface Work {
  /** The next number to send, from 0; undefined when all are taken. */
  next(): number | undefined;
  accepted(latencyMs: number): void;
  done(error?: Error): void;
}

/** Rejects as soon as one client fails. */
export function drive(
  count: number,
  clients: number,
  recipientsEach: number,
  open: (work: Work, client: number) => void,
): Promise<LoadResult> {
  const latencies = new Latencies(count);
  const startedAtMs = performance.timeOrigin + performance.now();
  const cpu = process.cpuUsage();
  let number = 0;
  let running = clients;
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      const used = process.cpuUsage(cpu);
      resolve({
        accepted: count * recipientsEach,
        startedAtMs,
        endedAtMs: performance.timeOrigin + performance.now(),
        p50Ms: latencies.percentile(0.5),
        p99Ms: latencies.percentile(0.99),
        cpuSeconds: (used.user + used.system) / 1e6,
      });
    };
    const work: Work = {
      next: () => (number < count ? number++ : undefined),
      accepted: (latencyMs) => latencies.add(latencyMs),
      done: (error) => {
        if (error !== undefined) reject(error);
        if (--running === 0) finish();
      },
    };
    for (let i = 0; i < clients; i++) open(work, i);
  });
}
