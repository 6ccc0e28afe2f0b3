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
  /** windows: counted anew each hour, day or second of the clock (UTC). always: no stretch of `perMs` sees more. */
  readonly holds: 'windows' | 'always';
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

export function windowsOf({ perMs, holds }: Ceiling): Windows {
  if (holds === 'windows') return { windowMs: perMs, spanMs: perMs };
  const windows = Math.max(1, Math.min(WINDOWS_MAX, Math.floor(perMs / WINDOW_MIN_MS)));
  const windowMs = Math.ceil(perMs / windows);
  // A stretch as long as all of them touches one more.
  return { windowMs, spanMs: (windows + 1) * windowMs };
}

export function windowAt(windowMs: number, atMs: number): number {
  return Math.floor(atMs / windowMs) * windowMs;
}
