/**
 * The octets of one message while they arrive, in pieces as the socket gave them. Pieces are kept, not joined, until the message is whole: one copy
 * per message, into a Buffer of exactly its size that has its ArrayBuffer to itself (so that it may be handed to another thread).
 * Memory is bounded by the limit, also when a message comes one octet at a time: small pieces are joined every `SMALL_RUN`.
 */
import { Buffer } from 'node:buffer';

const SMALL_BYTES = 1024;
const SMALL_RUN = 256;

export class MessageCollector {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #smallRun = 0;
  #sizeBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Octets that arrived, kept or not. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#sizeBytes += piece.length;
    // The end of data may add three octets that are not part of the message.
    if (this.#sizeBytes > this.#maxBytes + 3) {
      this.#pieces = [];
      return;
    }
    this.#pieces.push(piece);
    this.#smallRun = piece.length < SMALL_BYTES ? this.#smallRun + 1 : 0;
    if (this.#smallRun === SMALL_RUN) {
      this.#pieces.push(Buffer.concat(this.#pieces.splice(-SMALL_RUN)));
      this.#smallRun = 0;
    }
  }

  /** The message without its last `trimBytes` octets; undefined when it is over the limit. The collector is empty afterwards. */
  take(trimBytes: number): Buffer | undefined {
    const pieces = this.#pieces;
    const sizeBytes = this.#sizeBytes - trimBytes;
    this.clear();
    if (sizeBytes > this.#maxBytes) return undefined;
    const whole = Buffer.allocUnsafeSlow(sizeBytes);
    let at = 0;
    for (const piece of pieces) {
      if (at >= sizeBytes) break;
      at += piece.copy(whole, at, 0, Math.min(piece.length, sizeBytes - at));
    }
    return whole;
  }

  clear(): void {
    this.#pieces = [];
    this.#smallRun = 0;
    this.#sizeBytes = 0;
  }
}
