/**
 * Hands settlements and releases to the store until they stand. While the store cannot be written, outcomes are kept here and tried again:
 * an attempt that was made is never forgotten because a disk was full for a minute. Bounded by the number of recipients that are leased.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#base/log.ts';
import { type MailStore, type Release, type Settlement, StoreError } from '#store/store.ts';

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5000;

export interface SettlerOptions {
  readonly mail: MailStore;
  readonly log: Log;
  /** It stands. */
  settled?(settlement: Settlement): void;
}

export class Settler {
  readonly #options: SettlerOptions;
  #pending = 0;
  #isClosed = false;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Outcomes that are not in the store yet. */
  get pending(): number {
    return this.#pending;
  }

  /** `outbox`: what others are to be told of it, where that must be asked for first. */
  settle(settlement: Settlement, outbox?: () => Promise<Settlement['outbox']>): void {
    void this.#untilWritten('settle', settlement.recipient, async () => {
      const whole = outbox === undefined ? settlement : { ...settlement, outbox: await outbox() };
      const stands = await this.#options.mail.settle(whole);
      if (stands) this.#options.settled?.(whole);
      return stands;
    });
  }

  release(release: Release): void {
    void this.#untilWritten('release', release.recipient, () => this.#options.mail.release(release));
  }

  /** No more retries: what is left keeps its lease, which the next start ends. */
  close(): void {
    this.#isClosed = true;
  }

  /** An outcome that came too late is told. What was only given back is with its new holder already. */
  #refused(what: 'settle' | 'release', recipient: number): void {
    const { log } = this.#options;
    if (what === 'settle') log.warn({ recipient, what }, 'refused: another lease holds the recipient');
    else log.debug({ recipient, what }, 'refused: another lease holds the recipient');
  }

  async #untilWritten(what: 'settle' | 'release', recipient: number, write: () => Promise<boolean>): Promise<void> {
    this.#pending++;
    try {
      for (let delayMs = RETRY_MIN_MS; ; delayMs = Math.min(RETRY_MAX_MS, delayMs * 2)) {
        try {
          if (!(await write())) this.#refused(what, recipient);
          return;
        } catch (error) {
          const isPassing = error instanceof StoreError && error.kind !== 'closed';
          if (!isPassing || this.#isClosed) {
            this.#options.log.error(
              { recipient, what, error: String(error) },
              'an outcome could not be written; its lease stands until the next start',
            );
            return;
          }
          await sleep(delayMs);
        }
      }
    } finally {
      this.#pending--;
    }
  }
}
