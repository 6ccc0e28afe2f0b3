/**
 * What waits in one lane, in memory: by priority, and inside a priority in turns between accounts, so that one account's million
 * does not stand before another's receipt. Bounded by whoever fills it (`Lane.room`).
 */
import type { Priority } from '#model/message.ts';

export interface Queued {
  readonly accountId: number;
  readonly priority: Priority;
  /** Items with the same key (not 0) may share one transaction: same content, same envelope, nothing per recipient. */
  readonly groupKey: number;
}

/** After this many takes in a row from a class, while less urgent mail waits, that mail has one turn. */
const URGENT_RUN_MAX = 16;

/** Items of one account: a first-in-first-out array whose head moves. */
interface Turn<T> {
  items: T[];
  head: number;
}

class PriorityClass<T extends Queued> {
  /** In the order of their turns. */
  readonly #turns = new Map<number, Turn<T>>();
  size = 0;

  push(item: T): void {
    const turn = this.#turns.get(item.accountId);
    if (turn === undefined) this.#turns.set(item.accountId, { items: [item], head: 0 });
    else turn.items.push(item);
    this.size++;
  }

  unshift(items: readonly T[]): void {
    for (const item of items.toReversed()) {
      const turn = this.#turns.get(item.accountId);
      if (turn === undefined) this.#turns.set(item.accountId, { items: [item], head: 0 });
      else if (turn.head > 0) turn.items[--turn.head] = item;
      else turn.items.unshift(item);
      this.size++;
    }
  }

  /** The next account's head, with the neighbours that may share its transaction. */
  take(groupMax: number): T[] {
    const [accountId, turn] = this.#turns.entries().next().value as [number, Turn<T>];
    this.#turns.delete(accountId);
    const first = turn.items[turn.head++] as T;
    const taken = [first];
    while (first.groupKey !== 0 && taken.length < groupMax && turn.items[turn.head]?.groupKey === first.groupKey) {
      taken.push(turn.items[turn.head++] as T);
    }
    if (turn.head < turn.items.length) {
      // Forget what was taken once it is half of the array: amortised constant time.
      if (turn.head > 64 && turn.head * 2 > turn.items.length) {
        turn.items = turn.items.slice(turn.head);
        turn.head = 0;
      }
      this.#turns.set(accountId, turn);
    }
    this.size -= taken.length;
    return taken;
  }

  has(isWanted: (item: T) => boolean): boolean {
    return this.#turns.values().some(({ items, head }) => items.some((item, position) => position >= head && isWanted(item)));
  }

  waitingOf(accountId: number): number {
    const turn = this.#turns.get(accountId);
    return turn === undefined ? 0 : turn.items.length - turn.head;
  }

  drain(): T[] {
    const all = [...this.#turns.values()].flatMap((turn) => turn.items.slice(turn.head));
    this.#turns.clear();
    this.size = 0;
    return all;
  }
}

export class LaneQueue<T extends Queued> {
  readonly #classes: readonly PriorityClass<T>[] = [new PriorityClass<T>(), new PriorityClass<T>(), new PriorityClass<T>()];
  /** Takes in a row from each class that less urgent mail waited for. */
  readonly #runs = [0, 0, 0];

  get size(): number {
    let size = 0;
    for (const priorityClass of this.#classes) size += priorityClass.size;
    return size;
  }

  has(isWanted: (item: T) => boolean): boolean {
    return this.#classes.some((priorityClass) => priorityClass.has(isWanted));
  }

  waitingOf(accountId: number, priority: Priority): number {
    return (this.#classes[priority] as PriorityClass<T>).waitingOf(accountId);
  }

  push(item: T): void {
    (this.#classes[item.priority] as PriorityClass<T>).push(item);
  }

  /** Puts items back where they were taken from. */
  putBack(items: readonly T[]): void {
    const first = items[0];
    if (first !== undefined) (this.#classes[first.priority] as PriorityClass<T>).unshift(items);
  }

  /** The items of the next transaction; empty when nothing waits. */
  take(groupMax: number): T[] {
    let waiting = this.size;
    for (const [position, priorityClass] of this.#classes.entries()) {
      if (priorityClass.size === 0) continue;
      waiting -= priorityClass.size;
      if (waiting === 0) return priorityClass.take(groupMax);
      const run = (this.#runs[position] as number) + 1;
      this.#runs[position] = run > URGENT_RUN_MAX ? 0 : run;
      if (run <= URGENT_RUN_MAX) return priorityClass.take(groupMax);
    }
    return [];
  }

  /** Everything, leaving it empty. */
  drain(): T[] {
    return this.#classes.flatMap((priorityClass) => priorityClass.drain());
  }
}
