/**
 * When a receiving server says in words when to come back: "try again in 300 seconds", "greylisted for 5 minutes", "retry after 00:05:00".
 * A hint is attacker input: it is believed only between the two bounds. Linear over text that the reply parser has bounded.
 */
export const RETRY_HINT_MIN_MS = 60_000;
export const RETRY_HINT_MAX_MS = 86_400_000;

const UNITS: readonly (readonly [prefix: string, ms: number])[] = [
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
];
const AMOUNT =
  /\b(?:in|after|for|wait|within|retry|least)[: ]{1,2}(?:at least |about |another )?(\d{1,6}) ?(s|sec|secs|seconds?|m|min|mins|minutes?|h|hrs?|hours?|days?)\b/i;
const CLOCK = /\b(?:in|after|for|wait|within|retry|least)[: ]{1,2}(\d{1,2}):(\d{2}):(\d{2})\b/i;
/** The sentence must be about coming back: "older than 5 days" is not. */
const SUBJECT = /again|retry|retries|wait|delay|grey|gray|defer|postpone|later|come back|resend|throttl|rate/i;

export function retryHintMs(text: string): number | undefined {
  if (!SUBJECT.test(text)) return undefined;
  const clock = CLOCK.exec(text);
  if (clock !== null) return bounded((Number(clock[1]) * 3600 + Number(clock[2]) * 60 + Number(clock[3])) * 1000);
  const amount = AMOUNT.exec(text);
  if (amount === null) return undefined;
  const unit = (amount[2] as string).toLowerCase();
  const unitMs = UNITS.find(([prefix]) => unit.startsWith(prefix))?.[1] ?? 1000;
  return bounded(Number(amount[1]) * unitMs);
}

function bounded(ms: number): number {
  return Math.min(RETRY_HINT_MAX_MS, Math.max(RETRY_HINT_MIN_MS, ms));
}
