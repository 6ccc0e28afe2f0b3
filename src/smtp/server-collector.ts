/**
 * The octets of one message while they arrive, in pieces as the socket gave them. Pieces are kept, not joined, until the message is whole: one copy
 * per message, into a Buffer that has its memory to itself (so that it may be handed to another thread). A large one that was announced is
 * put into its place as it comes.
 * Memory is bounded by the limit, also when a message comes one octet at a time: small pieces are joined every `SMALL_RUN`. Its place is kept while it
 * comes: `trouble` tells when it takes too long, or is too slow for what others are refused.
 */
import { Buffer } from 'node:buffer';
import { ArrivalPace } from '#base/arrival-pace.ts';
import type { ByteBudget } from '#base/byte-budget.ts';
import { leftBehind, roomFor } from '#base/large.ts';

const SMALL_BYTES = 1024;
const SMALL_RUN = 256;
/** Dots that were added for DATA, and its end, are not announced. */
const SLACK_BYTES = 4096;

export class MessageCollector {
  readonly #maxBytes: number;
  readonly #memory: ByteBudget;
  readonly #startedMs: number;
  /** From the first look: one that waited for its place begins when it has it. */
  #pace: ArrivalPace | undefined;
  #pieces: Buffer[] = [];
  #smallRun = 0;
  #sizeBytes = 0;
  #heldBytes = 0;
  #isKept = true;
  #isReleased = false;
  /** Of a message that was announced: filled as it comes. */
  #place: Buffer | undefined;

  constructor(maxBytes: number, memory: ByteBudget, nowMs: number) {
    this.#maxBytes = maxBytes;
    this.#memory = memory;
    this.#startedMs = nowMs;
  }

  /** Waits until all of a message that is coming has its place; false: there was none within the time. */
  async reserve(bytes: number, withinMs: number): Promise<boolean> {
    const isGranted = await this.#memory.reserve(bytes, withinMs);
    if (isGranted && this.#isReleased) this.#memory.give(bytes);
    else if (isGranted) {
      this.#heldBytes += bytes;
      this.#place = roomFor(bytes + SLACK_BYTES);
    }
    return isGranted;
  }

  /** Octets that arrived, kept or not. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** In how many pieces the message is held. */
  get pieceCount(): number {
    return this.#pieces.length;
  }

  /** Why its place is taken from it now, or undefined. Asked about once a second until the message is whole. */
  trouble(nowMs: number, timeoutMs: number): string | undefined {
    if (nowMs - this.#startedMs >= timeoutMs) return 'The message took too long';
    this.#pace ??= new ArrivalPace(this.#memory, nowMs);
    return this.#pace.isTooSlow(this.#sizeBytes, this.#heldBytes, nowMs) ? 'The message came too slowly, and others wait' : undefined;
  }

  add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#sizeBytes += piece.length;
    // The end of data may add three octets that are not part of the message.
    if (!this.#isKept || this.#sizeBytes > this.#maxBytes + 3 || !this.#hasPlace()) {
      this.#isKept = false;
      this.release();
      return;
    }
    if (this.#place !== undefined && this.#pieces.length === 0 && this.#sizeBytes <= this.#place.length) {
      piece.copy(this.#place, this.#sizeBytes - piece.length);
      return;
    }
    this.#pieces.push(piece);
    this.#smallRun = piece.length < SMALL_BYTES ? this.#smallRun + 1 : 0;
    if (this.#smallRun === SMALL_RUN) {
      this.#pieces.push(Buffer.concat(this.#pieces.splice(-SMALL_RUN)));
      this.#smallRun = 0;
    }
  }

  #hasPlace(): boolean {
    const lackingBytes = this.#sizeBytes - this.#heldBytes;
    if (lackingBytes <= 0) return true;
    if (!this.#memory.take(lackingBytes)) return false;
    this.#heldBytes += lackingBytes;
    return true;
  }

  /** The message without its last `trimBytes` octets, or why it was not kept. Its octets count as held until `release`. */
  take(trimBytes: number): Buffer | 'too-large' | 'no-memory' {
    const sizeBytes = this.#sizeBytes - trimBytes;
    if (sizeBytes > this.#maxBytes) return 'too-large';
    if (!this.#isKept) return 'no-memory';
    const place = this.#place;
    this.#place = undefined;
    leftBehind(sizeBytes);
    if (place !== undefined && this.#pieces.length === 0) return place.subarray(0, sizeBytes);
    const pieces = place === undefined ? this.#pieces : [place.subarray(0, this.#sizeBytes - lengthOf(this.#pieces)), ...this.#pieces];
    this.#pieces = [];
    const whole = roomFor(sizeBytes);
    let at = 0;
    for (const piece of pieces) {
      if (at >= sizeBytes) break;
      at += piece.copy(whole, at, 0, Math.min(piece.length, sizeBytes - at));
    }
    return whole;
  }

  /** The message is somebody else's now, or nobody's. */
  release(): void {
    this.#memory.give(this.#heldBytes);
    leftBehind(this.#heldBytes);
    this.#heldBytes = 0;
    this.#isReleased = true;
    this.#pieces = [];
    this.#place = undefined;
  }
}

function lengthOf(pieces: readonly Buffer[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}
