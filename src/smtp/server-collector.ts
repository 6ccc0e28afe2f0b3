/**
 * The octets of one message while they arrive, in pieces as the socket gave them. Pieces are kept, not joined, until the message is whole: one copy
 * per message, into a Buffer of exactly its size that has its ArrayBuffer to itself (so that it may be handed to another thread).
 * Memory is bounded by the limit, also when a message comes one octet at a time: small pieces are joined every `SMALL_RUN`.
 */
import { Buffer } from 'node:buffer';

const SMALL_BYTES = 1024;
const SMALL_RUN = 256;

/** How many octets of messages may be in memory at once, over all connections: from their arrival until the hook has answered. */
export class MessageMemory {
  readonly #maxBytes: number;
  #heldBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  take(bytes: number): boolean {
    if (this.#heldBytes + bytes > this.#maxBytes) return false;
    this.#heldBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#heldBytes -= bytes;
  }
}

export class MessageCollector {
  readonly #maxBytes: number;
  readonly #memory: MessageMemory;
  #pieces: Buffer[] = [];
  #smallRun = 0;
  #sizeBytes = 0;
  #heldBytes = 0;
  #isKept = true;

  constructor(maxBytes: number, memory: MessageMemory) {
    this.#maxBytes = maxBytes;
    this.#memory = memory;
  }

  /** Octets that arrived, kept or not. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** In how many pieces the message is held. */
  get pieceCount(): number {
    return this.#pieces.length;
  }

  add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#sizeBytes += piece.length;
    // The end of data may add three octets that are not part of the message.
    if (!this.#isKept || this.#sizeBytes > this.#maxBytes + 3 || !this.#memory.take(piece.length)) {
      this.#isKept = false;
      this.release();
      return;
    }
    this.#heldBytes += piece.length;
    this.#pieces.push(piece);
    this.#smallRun = piece.length < SMALL_BYTES ? this.#smallRun + 1 : 0;
    if (this.#smallRun === SMALL_RUN) {
      this.#pieces.push(Buffer.concat(this.#pieces.splice(-SMALL_RUN)));
      this.#smallRun = 0;
    }
  }

  /** The message without its last `trimBytes` octets, or why it was not kept. Its octets count as held until `release`. */
  take(trimBytes: number): Buffer | 'too-large' | 'no-memory' {
    const sizeBytes = this.#sizeBytes - trimBytes;
    if (sizeBytes > this.#maxBytes) return 'too-large';
    if (!this.#isKept) return 'no-memory';
    const pieces = this.#pieces;
    this.#pieces = [];
    const whole = Buffer.allocUnsafeSlow(sizeBytes);
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
    this.#heldBytes = 0;
    this.#pieces = [];
  }
}
