/**
 * Stored messages that are being shown: what is in memory of them at once, and for whom. A client that asks for many and reads none would otherwise have all of them made and kept for it.
 * One account has half of the places, so that others find some; who takes its time over an answer loses it when others wait.
 */
import type { ServerResponse } from 'node:http';
import { ByteBudget } from '#base/byte-budget.ts';
import { LARGE_BYTES, leftBehind } from '#base/large.ts';
import { AppError } from '#model/errors.ts';

const PLACE_WAIT_MS = 20_000;
/** From when on an answer ends unfinished if others wait for its place. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 1000;

export class LargeAnswers {
  readonly #all: ByteBudget;
  readonly #accountMax: number;
  /** Of accounts that have large answers now. */
  readonly #parts = new Map<number, ByteBudget>();

  /** `messageBytes`: the largest message, which an account may have in any case. */
  constructor(maxBytes: number, messageBytes: number) {
    this.#accountMax = Math.max(maxBytes / 2, messageBytes);
    this.#all = new ByteBudget(Math.max(maxBytes, messageBytes));
  }

  /** Before `bytes` are read for an answer; they count until it is out, or its connection gone. Rejects when there is no place in time. */
  async hold(accountId: number, bytes: number, response: ServerResponse): Promise<void> {
    if (bytes < LARGE_BYTES) return;
    const part = this.#parts.get(accountId) ?? new ByteBudget(this.#accountMax, this.#all);
    this.#parts.set(accountId, part);
    const isGranted = await part.reserve(bytes, PLACE_WAIT_MS);
    if (!isGranted) this.#forget(accountId, part);
    if (!isGranted) throw new AppError('overloaded');
    const watch = this.#watched(part, response);
    const over = (): void => {
      clearInterval(watch);
      part.give(bytes);
      leftBehind(bytes);
      this.#forget(accountId, part);
    };
    if (response.closed || response.destroyed) over();
    else response.once('close', over);
    if (response.closed || response.destroyed) throw new AppError('overloaded');
  }

  get usedBytes(): number {
    return this.#all.usedBytes;
  }

  get accountCount(): number {
    return this.#parts.size;
  }

  #watched(part: ByteBudget, response: ServerResponse): NodeJS.Timeout {
    let elapsedMs = 0;
    return setInterval(() => {
      elapsedMs += LOOK_MS;
      if (elapsedMs >= PATIENCE_MS && part.isWaitedFor) response.destroy();
    }, LOOK_MS);
  }

  #forget(accountId: number, part: ByteBudget): void {
    if (part.usedBytes === 0 && !part.isWaitedFor && this.#parts.get(accountId) === part) this.#parts.delete(accountId);
  }
}
