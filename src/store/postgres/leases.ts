/**
 * The leases that this process was given and has not returned: recipient → epoch. What the table says is ours and is not here was lost between the two, as when a
 * commit's answer never came; nobody works on it, and it is put back (nodes.ts). Bounded by what the node may have leased at a time, which is bounded by memory.
 */
export class Leases {
  readonly #epochs = new Map<number, number>();

  get size(): number {
    return this.#epochs.size;
  }

  add(recipient: number, epoch: number): void {
    this.#epochs.set(recipient, epoch);
  }

  remove(recipient: number, epoch: number): void {
    if (this.#epochs.get(recipient) === epoch) this.#epochs.delete(recipient);
  }

  has(recipient: number, epoch: number): boolean {
    return this.#epochs.get(recipient) === epoch;
  }

  /** They were taken over by others. */
  clear(): void {
    this.#epochs.clear();
  }
}
