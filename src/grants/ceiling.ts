/**
 * A ceiling that holds for the whole cluster, and how its time is cut into windows: the parts of it that grants are for. Pure.
 *
 * A quota of the clock's own hours or days has windows as long as itself. Where no stretch of time may see more, wherever it begins, the time is cut into up to
 * twenty windows, and what one of them is given counts together with as many before it as such a stretch can touch. That costs a little of
 * the steady flow (one part in twenty; one in ten of a rate by the second), and nothing of the exactness.
 */
export interface Ceiling {
  /** The same for all nodes. */
  readonly name: string;
  readonly count: number;
  readonly perMs: number;
  /** windows: counted anew each hour, day or second of the clock (UTC). months: with each month of the calendar. always: no stretch of `perMs` sees more. */
  readonly holds: 'windows' | 'months' | 'always';
  /** Accepts tell what they use, in their own commit. */
  readonly isCounted: boolean;
}

export interface Windows {
  readonly windowMs: number;
  /** What is given of windows less than this apart counts together. */
  readonly spanMs: number;
}

const WINDOWS_MAX = 20;
/** An answer of the store takes some of it. */
const WINDOW_MIN_MS = 100;

/** `atMs`: in the window; months differ in length. */
export function windowsOf({ perMs, holds }: Ceiling, atMs: number): Windows {
  if (holds === 'months') return { windowMs: monthStartMs(atMs, 1) - monthStartMs(atMs), spanMs: MONTH_MIN_MS };
  if (holds === 'windows') return { windowMs: perMs, spanMs: perMs };
  const windows = Math.max(1, Math.min(WINDOWS_MAX, Math.floor(perMs / WINDOW_MIN_MS)));
  const windowMs = Math.ceil(perMs / windows);
  // A stretch as long as all of them touches one more.
  return { windowMs, spanMs: (windows + 1) * windowMs };
}

/** When the window began that this is in. */
export function windowAt(ceiling: Ceiling, atMs: number): number {
  if (ceiling.holds === 'months') return monthStartMs(atMs);
  const { windowMs } = windowsOf(ceiling, atMs);
  return Math.floor(atMs / windowMs) * windowMs;
}

/** Two months never begin nearer to each other than this. */
const MONTH_MIN_MS = 28 * 86_400_000;

function monthStartMs(atMs: number, later = 0): number {
  const at = new Date(atMs);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + later, 1);
}
