/**
 * Calls to a store thread, in batches: while one batch is being worked on, the next gathers. For the writer this is the group commit:
 * everything that arrives during one commit shares the next.
 */
import { Worker } from 'node:worker_threads';
import { StoreError } from '#store/store.ts';
import type { Answer, Call, ThreadOptions } from './thread.ts';

interface Waiting {
  readonly call: Call;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

const BATCH_MAX = 512;
/** Calls that may wait; past it new ones are refused as busy (P9). */
const WAITING_MAX = 50_000;

export class Channel {
  readonly #worker: Worker;
  readonly #lingerMs: number;
  readonly #onFatal: (error: Error) => void;
  #waiting: Waiting[] = [];
  #inFlight: Waiting[] = [];
  #isScheduled = false;
  #isClosed = false;
  #onIdle: (() => void) | undefined;
  #sentAtMs = 0;
  /** What the thread said when it had started. */
  readonly ready: Promise<{ readonly node: number; readonly recovered: number }>;
  batches = 0;
  /** Set after each batch: how long it took. */
  onBatch: ((ms: number, size: number) => void) | undefined;
  /** A call was answered with trouble of the disk's or the file's. */
  onTrouble: ((trouble: string, message: string) => void) | undefined;

  constructor(options: ThreadOptions, lingerMs: number, onFatal: (error: Error) => void) {
    this.#lingerMs = lingerMs;
    this.#onFatal = onFatal;
    this.#worker = new Worker(new URL('./thread.ts', import.meta.url), { workerData: options, name: `store ${options.kind}` });
    this.ready = new Promise((resolve, reject) => {
      this.#inFlight = [{ call: ['start', []], resolve: resolve as (value: never) => void, reject }];
    });
    this.#worker.on('message', (answers: Answer[]) => this.#onAnswers(answers));
    this.#worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', () => this.#fail(new Error('the store thread ended')));
  }

  /** Milliseconds that the batch in work has taken so far; 0 when idle. */
  get busyMs(): number {
    return this.#inFlight.length === 0 ? 0 : performance.now() - this.#sentAtMs;
  }

  call<T>(name: string, args: readonly unknown[]): Promise<T> {
    if (this.#isClosed) return Promise.reject(new StoreError('closed', 'the store is closed'));
    if (this.#waiting.length >= WAITING_MAX) return Promise.reject(new StoreError('busy', 'too many calls wait for the store'));
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ call: [name, args], resolve: resolve as (value: never) => void, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#inFlight.length > 0) return;
    this.#isScheduled = true;
    const send = (): void => {
      this.#isScheduled = false;
      this.#send();
    };
    if (this.#lingerMs > 0) setTimeout(send, this.#lingerMs);
    else setImmediate(send);
  }

  #send(): void {
    if (this.#inFlight.length > 0 || this.#waiting.length === 0) return;
    const batch = this.#waiting.length <= BATCH_MAX ? this.#waiting : this.#waiting.slice(0, BATCH_MAX);
    this.#waiting = batch === this.#waiting ? [] : this.#waiting.slice(BATCH_MAX);
    this.#inFlight = batch;
    this.#sentAtMs = performance.now();
    this.#worker.postMessage(batch.map((waiting) => waiting.call));
  }

  #onAnswers(answers: readonly Answer[]): void {
    const done = this.#inFlight;
    this.#inFlight = [];
    this.batches++;
    this.onBatch?.(performance.now() - this.#sentAtMs, done.length);
    if (this.#waiting.length > 0) this.#schedule();
    for (const [position, answer] of answers.entries()) {
      const { resolve, reject, call } = done[position] as Waiting;
      if (answer[0]) resolve(answer[1] as never);
      else if (answer[1] === undefined) reject(new Error(`store ${call[0]}: ${answer[2]}`));
      else {
        this.onTrouble?.(answer[1], answer[2]);
        reject(new StoreError(answer[1] as StoreError['kind'], answer[2]));
      }
    }
    if (this.#inFlight.length === 0 && this.#waiting.length === 0) this.#onIdle?.();
  }

  #fail(error: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { reject } of [...this.#inFlight, ...this.#waiting]) reject(new StoreError('closed', error.message));
    this.#inFlight = [];
    this.#waiting = [];
    this.#onFatal(error);
  }

  /** Finishes what was handed in, then ends the thread. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.ready.catch(() => undefined);
    if (this.#inFlight.length > 0 || this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#isClosed = true;
    const ended = new Promise<void>((resolve) => {
      this.#worker.once('exit', () => resolve());
    });
    this.#worker.postMessage('close');
    await ended;
  }
}
