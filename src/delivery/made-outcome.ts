/** Outcomes that no receiving server's reply decided: we could not look the domain up, not connect, or not send it. */
import type { AttemptRecord, BounceClass, Disposition, Outcome } from '#model/outcome.ts';

/** Service codes, in places where SMTP has none (see `Outcome.code`). */
export const CODE_NO_MX = 498;
export const CODE_NO_CONNECTION = 499;

const TEXT_CHARACTERS_MAX = 1000;

export interface Facts {
  readonly code: number;
  readonly enhanced?: string;
  readonly text: string;
  readonly bounceClass: BounceClass;
}

export function madeOutcome(disposition: Disposition, facts: Facts, attempt: Omit<AttemptRecord, 'number' | 'trouble'>): Outcome {
  const text = facts.text.slice(0, TEXT_CHARACTERS_MAX);
  return { disposition, ...facts, text, attempt: { number: 0, ...attempt, trouble: text } };
}
