/** Kinds of events that are few among many, and are found by an index of their own: all but acceptances and deliveries. */
import { EVENT_KINDS, type EventKind } from '#model/event.ts';

/** undefined: others are asked for as well. */
export function rareKinds(kinds: readonly EventKind[] | undefined): readonly EventKind[] | undefined {
  return kinds !== undefined && kinds.every((kind) => EVENT_KINDS[kind] > EVENT_KINDS.delivered) ? kinds : undefined;
}
