/** The counters of one fact: one for the fact, one for each of its message's tags. */
import type { CounterKey } from './store.ts';

export function countersOf(fact: Omit<CounterKey, 'tag'>, tags: readonly string[]): CounterKey[] {
  const all: CounterKey = { ...fact, tag: '' };
  return tags.length === 0 ? [all] : [all, ...tags.map((tag) => ({ ...all, tag }))];
}
