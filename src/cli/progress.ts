/**
 * Long work on the terminal: a bar in a line that is written again and again, or, where that cannot be (a file, a pipe), a line for each part and one from time
 * to time; and its end at Ctrl-C, in good order.
 */
import type { CopyProgress } from '#store/copy/copy-store.ts';
import type { Terminal } from './command.ts';

const REDRAW_MS = 100;
const LINE_EVERY_MS = 10_000;
const BAR_WIDTH = 24;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const VERBS = { copy: 'copying', compare: 'comparing' } as const;
const DONE = { copy: 'copied', compare: 'compared' } as const;

export interface ProgressBar {
  show(progress: CopyProgress): void;
  /** What is written next begins in a line of its own. */
  end(): void;
}

export function progressBar(terminal: Terminal): ProgressBar {
  let shownMs = Number.NEGATIVE_INFINITY;
  let isOpen = false;
  return {
    show(progress) {
      const nowMs = performance.now();
      const isDone = progress.done >= progress.total;
      if (terminal.columns === undefined) {
        if (!isDone && nowMs - shownMs < LINE_EVERY_MS) return;
        terminal.error(`${lineOf(progress, isDone)}\n`);
      } else {
        if (!isDone && nowMs - shownMs < REDRAW_MS) return;
        terminal.error(`\r${barOf(progress).slice(0, terminal.columns - 1)}\x1b[K`);
        isOpen = true;
      }
      shownMs = nowMs;
    },
    end() {
      if (isOpen) terminal.error('\r\x1b[K');
      isOpen = false;
    },
  };
}

function lineOf({ phase, what, done, total, bytes }: CopyProgress, isDone: boolean): string {
  return `${isDone ? DONE[phase] : VERBS[phase]} ${what}: ${isDone ? count(done) : `${count(done)} of ${count(total)}`} (${size(bytes)})`;
}

function barOf({ phase, what, done, total, bytes }: CopyProgress): string {
  const full = total === 0 ? BAR_WIDTH : Math.min(BAR_WIDTH, Math.floor((done / total) * BAR_WIDTH));
  const bar = '#'.repeat(full).padEnd(BAR_WIDTH, '.');
  return `${VERBS[phase].padEnd(9)} ${what.padEnd(16)} [${bar}] ${count(done)} of ${count(total)}, ${size(bytes)}`;
}

export function count(n: number): string {
  return n.toLocaleString('en');
}

/** "12.3 MB" */
export function size(bytes: number): string {
  for (const [unit, name] of [
    [1e9, 'GB'],
    [1e6, 'MB'],
    [1e3, 'KB'],
  ] as const) {
    if (bytes >= unit) return `${(bytes / unit).toFixed(1)} ${name}`;
  }
  return `${bytes} B`;
}

/** The first signal asks the work to end where it can go on later; a second ends the program. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work(stop.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
