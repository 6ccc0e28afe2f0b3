/**
 * How an address is warmed up: a plan of daily volumes, stage after stage. A stage lasts a day, and longer while too little is sent: receivers learn to trust an address by the
 * mail that they see of it, not by its age. Pure.
 */
import type { WarmUp } from '#store/egress-store.ts';
import type { Ceiling } from './ceiling.ts';

/** Recipients in any 24 hours. After the last stage nothing holds the address back. */
export const WARM_UP_PLAN: readonly number[] = [
  50, 100, 200, 400, 800, 1500, 3000, 6000, 10_000, 20_000, 35_000, 60_000, 100_000, 175_000, 300_000, 500_000,
];

export const STAGE_MS = 86_400_000;
/** Of its volume, without which a stage is not over. */
const STAGE_USED_PART = 0.5;

export function beginWarmUp(address: string, nowMs: number, plan: readonly number[] = WARM_UP_PLAN): WarmUp {
  return { address, plan, stage: 1, startedMs: nowMs, stageStartedMs: nowMs, updatedMs: nowMs, history: [] };
}

export function stageLimit({ plan, stage }: WarmUp): number {
  return plan[stage - 1] ?? 0;
}

/** The name is the same on all nodes and in all stages, so that what was sent in one counts in the next. */
export function warmUpCeiling(warmUp: WarmUp): Ceiling {
  return { name: ceilingName(warmUp.address), count: stageLimit(warmUp), perMs: STAGE_MS, holds: 'always', isCounted: false };
}

export function ceilingName(address: string): string {
  return `warm-up plan of ${address}`;
}

/** `sent`: in the last 24 hours. undefined: it stays as it is. completed: the plan is over. */
export function afterLook(warmUp: WarmUp, sent: number, nowMs: number): WarmUp | 'completed' | undefined {
  const limit = stageLimit(warmUp);
  if (nowMs - warmUp.stageStartedMs < STAGE_MS || sent < limit * STAGE_USED_PART) return undefined;
  if (warmUp.stage >= warmUp.plan.length) return 'completed';
  return {
    ...warmUp,
    stage: warmUp.stage + 1,
    stageStartedMs: nowMs,
    updatedMs: nowMs,
    history: [...warmUp.history, { startedMs: warmUp.stageStartedMs, completedMs: nowMs, limit }],
  };
}
