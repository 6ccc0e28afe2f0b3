/**
 * Work in the background that is looked for again and again, one round at a time: at once when the last one says that there may be more, else after a pause, which a
 * ring ends early. A round that fails is told in the log, and the next one comes after the pause. It ends with the round in work when it is stopped.
 */
import { errorText } from './error-text.ts';
import type { Log } from './log.ts';

export interface Repeated {
  /** True: there may be more to do. `stopped` is how a long round learns that it is to end. */
  readonly round: (stopped: AbortSignal) => Promise<boolean>;
  readonly pauseMs: number;
  readonly log: Log;
  /** What it means when a round fails: the sentence in the log. */
  readonly trouble: string;
}

export interface Repetition {
  readonly stopped: AbortSignal;
  /** There may be something to do. */
  ring(): void;
  /** Resolves when the round in work has ended. */
  stop(): Promise<void>;
}

export function repeat({ round, pauseMs, log, trouble }: Repeated): Repetition {
  const stop = new AbortController();
  let bell = Promise.withResolvers<void>();
  const running = run();

  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      // A new one before each round: a ring while it looks means another round right after.
      bell = Promise.withResolvers<void>();
      let isMore = false;
      try {
        isMore = await round(stop.signal);
      } catch (error) {
        log.warn({ error: errorText(error) }, trouble);
      }
      if (isMore) continue;
      const timer = setTimeout(bell.resolve, pauseMs);
      await bell.promise;
      clearTimeout(timer);
    }
  }

  return {
    stopped: stop.signal,
    ring() {
      bell.resolve();
    },
    async stop() {
      stop.abort();
      bell.resolve();
      await running;
    },
  };
}
