/**
 * Calls to a store thread, in batches: while one batch is being worked on, the next gathers. For the writer this is the group commit:
 * everything that arrives during one commit shares the next.
 */
import { Worker } from 'node:worker_threads';
import { StoreError } from '#store/store.ts';
import type { Answer, Batch, Call, LogReport, ThreadOptions } from './thread.ts';

interface Waiting {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly content: Uint8Array | undefined;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** A batch, which for the writer is a commit, holds at most so many calls, and ends with the one that fills its bytes. */
const BATCH_MAX = 512;
const BATCH_BYTES_MAX = 16 * 1024 * 1024;
/** Calls that may wait, and the contents they may bring; past it new ones are refused as busy (P9). */
const WAITING_MAX = 50_000;
const WAITING_BYTES_MAX = 256 * 1024 * 1024;

export class Channel {
  readonly #worker: Worker;
  readonly #lingerMs: number;
  readonly #onFatal: (error: Error) => void;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #inFlight: Waiting[] = [];
  #isScheduled = false;
  #isClosed = false;
  #onIdle: (() => void) | undefined;
  #sentAtMs = 0;
  /** What the thread said when it had started. */
  readonly ready: Promise<{ readonly node: number; readonly recovered: number }>;
  /** Set after each batch: how long it took. */
  onBatch: ((ms: number, size: number) => void) | undefined;
  /** A call was answered with trouble of the disk's or the file's. */
  onTrouble: ((trouble: string, message: string) => void) | undefined;

  /** The rest of the log was copied, or could not be. */
  onLog: ((trouble: string | undefined) => void) | undefined;

  constructor(options: ThreadOptions, lingerMs: number, onFatal: (error: Error) => void) {
    this.#lingerMs = lingerMs;
    this.#onFatal = onFatal;
    this.#worker = new Worker(new URL('./thread.ts', import.meta.url), { workerData: options, name: `store ${options.kind}` });
    this.ready = new Promise((resolve, reject) => {
      this.#inFlight = [{ name: 'start', args: [], content: undefined, resolve: resolve as (value: never) => void, reject }];
    });
    this.#worker.on('message', (message: Answer[] | LogReport) => {
      if (Array.isArray(message)) this.#onAnswers(message);
      else this.onLog?.(message.logTrouble);
    });
    this.#worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', () => this.#fail(new Error('the store thread ended')));
  }

  /** Milliseconds that the batch in work has taken so far; 0 when idle. */
  get busyMs(): number {
    return this.#inFlight.length === 0 ? 0 : performance.now() - this.#sentAtMs;
  }

  /** `content` becomes the last argument; it is copied when the batch leaves. */
  call<T>(name: string, args: readonly unknown[], content?: Uint8Array): Promise<T> {
    const bytes = content?.byteLength ?? 0;
    if (this.#isClosed) return Promise.reject(new StoreError('closed', 'the store is closed'));
    if (this.#waiting.length >= WAITING_MAX || this.#waitingBytes + bytes > WAITING_BYTES_MAX) {
      return Promise.reject(new StoreError('busy', 'too many calls wait for the store'));
    }
    return new Promise<T>((resolve, reject) => {
      this.#waitingBytes += bytes;
      this.#waiting.push({ name, args, content, resolve: resolve as (value: never) => void, reject });
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
    let count = 0;
    let bytes = 0;
    let copiedBytes = 0;
    while (count < this.#waiting.length && count < BATCH_MAX && bytes < BATCH_BYTES_MAX) {
      const content = this.#waiting[count++]?.content;
      bytes += content?.byteLength ?? 0;
      if (content !== undefined && !isShared(content)) copiedBytes += content.byteLength;
    }
    const batch = this.#waiting;
    this.#waiting = batch.splice(count);
    this.#waitingBytes -= bytes;
    this.#inFlight = batch;
    this.#sentAtMs = performance.now();
    this.#post(batch, copiedBytes, bytes - copiedBytes);
  }

  /** All contents of a batch go in one buffer, which is handed over instead of being copied again on the way. Large ones are in shared memory. */
  #post(batch: readonly Waiting[], bytes: number, sharedBytes: number): void {
    const contents = Buffer.allocUnsafeSlow(bytes);
    let end = 0;
    const calls = batch.map(({ name, args, content }): Call => {
      if (content === undefined) return [name, args];
      if (isShared(content)) return [name, [...args, content]];
      const start = end;
      contents.set(content, start);
      end += content.byteLength;
      return [name, args, start, end];
    });
    this.#worker.postMessage({ calls, contents: contents.buffer, sharedBytes } satisfies Batch, [contents.buffer]);
  }

  #onAnswers(answers: readonly Answer[]): void {
    const done = this.#inFlight;
    this.#inFlight = [];
    this.onBatch?.(performance.now() - this.#sentAtMs, done.length);
    if (this.#waiting.length > 0) this.#schedule();
    for (const [position, answer] of answers.entries()) {
      const { resolve, reject, name } = done[position] as Waiting;
      if (answer[0]) resolve(answer[1] as never);
      else if (answer[1] === undefined) reject(new Error(`store ${name}: ${answer[2]}`));
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
    this.#waitingBytes = 0;
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

function isShared(content: Uint8Array): boolean {
  return content.buffer instanceof SharedArrayBuffer;
}
