/** When a recipient is tried again, and when it is not any more. Pure. */
import { jitter } from '#base/random.ts';
import type { Outcome } from '#model/outcome.ts';
import type { WaitReason } from '#model/wait-reason.ts';

export interface RetryPlan {
  /** Delays after the first, second, … attempt; the last one repeats. */
  readonly delaysMs: readonly number[];
  /** Share by which a delay is varied, so that mail that failed together does not return together. */
  readonly spread: number;
  /** Bounds of a hint in the reply ("try again in 300 seconds"). */
  readonly hintMinMs: number;
  readonly hintMaxMs: number;
}

export interface Retry {
  readonly atMs: number;
  readonly wait: WaitReason;
}

/**
 * `attempts`: how many there were, at least 1. Undefined: it is too old, the next attempt would fall after `expiresAtMs`.
 * One last attempt is made just before the end rather than giving up early.
 */
export function nextAttempt(plan: RetryPlan, attempts: number, outcome: Outcome, nowMs: number, expiresAtMs: number): Retry | undefined {
  if (nowMs >= expiresAtMs) return undefined;
  const scheduled = plan.delaysMs[Math.min(attempts, plan.delaysMs.length) - 1] ?? plan.delaysMs.at(-1) ?? plan.hintMinMs;
  const hint = outcome.retryAfterMs;
  const delayMs = hint === undefined ? scheduled * jitter(plan.spread) : Math.min(Math.max(hint, plan.hintMinMs), plan.hintMaxMs);
  const wait = hint === undefined ? (outcome.bounceClass === 'dns-failure' ? 'dns-trouble' : 'retry') : 'retry-hint';
  return { atMs: Math.min(nowMs + Math.round(delayMs), expiresAtMs), wait };
}
