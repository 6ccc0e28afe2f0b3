/**
 * Takes the content of a message away as soon as its last recipient is settled, for domains that want none kept. Whether it is the last costs as much as the message has
 * recipients, so a message is asked again only after twice the time; retention, which keeps nothing of such domains either, takes what is left by a stop.
 */
import type { Log } from '#base/log.ts';
import type { MailStore, Settlement } from '#store/store.ts';

const DELAY_MIN_MS = 1000;
const DELAY_MAX_MS = 600_000;
/** P9: messages that are asked again. What is beyond is left to retention. */
const MESSAGES_MAX = 20_000;

export interface ZeroContentOptions {
  readonly mail: Pick<MailStore, 'deleteContent'>;
  readonly wantsNone: (domainId: number) => Promise<boolean>;
  readonly log: Log;
}

export class ZeroContent {
  readonly #options: ZeroContentOptions;
  readonly #waiting = new Map<number, NodeJS.Timeout>();
  #isStopped = false;

  constructor(options: ZeroContentOptions) {
    this.#options = options;
  }

  /** It stands in the store. */
  settled({ ending, domainId, accountId, message }: Settlement): void {
    if (ending === undefined || this.#isStopped || this.#waiting.has(message)) return;
    this.#options.wantsNone(domainId).then(
      (wantsNone) => (wantsNone && !this.#waiting.has(message) ? this.#take(accountId, message, DELAY_MIN_MS) : undefined),
      (error: unknown) => this.#leave(message, error),
    );
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  #take(accountId: number, message: number, delayMs: number): void {
    if (this.#isStopped) return;
    // Its place is taken while it is asked, so that no second question is on its way.
    this.#waiting.set(message, this.#later(accountId, message, delayMs));
    this.#options.mail.deleteContent(accountId, message).then(
      (isGone) => {
        if (isGone || this.#waiting.size > MESSAGES_MAX) this.#forget(message);
      },
      (error: unknown) => this.#leave(message, error),
    );
  }

  #later(accountId: number, message: number, delayMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      if (delayMs >= DELAY_MAX_MS) this.#forget(message);
      else this.#take(accountId, message, delayMs * 2);
    }, delayMs).unref();
  }

  #leave(message: number, error: unknown): void {
    this.#forget(message);
    this.#options.log.warn({ message, error: String(error) }, 'the content of a settled message is left to retention');
  }

  #forget(message: number): void {
    clearTimeout(this.#waiting.get(message));
    this.#waiting.delete(message);
  }
}
