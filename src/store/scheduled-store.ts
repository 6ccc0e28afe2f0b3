/**
 * Mail that its sender wants to leave at a time to come: listed, moved to another time and taken back, as long as nobody has begun with it. What is being tried, or was tried before, is not scheduled any
 * more, and neither moved nor taken back here.
 */
import type { StoredMessage, StoredRecipient } from '#model/message.ts';

/** After the recipient that was listed last. */
export interface ScheduledPosition {
  readonly dueAtMs: number;
  readonly id: number;
}

export interface Scheduled {
  readonly message: StoredMessage;
  readonly recipient: StoredRecipient;
}

/** Of one message: all of its scheduled recipients, or the one with this id. */
export interface ScheduledChoice {
  readonly accountId: number;
  readonly domainId: number;
  readonly message: number;
  readonly recipient?: number;
}

export interface ScheduledStore {
  /** Of these domains, which are the caller's own; the earliest first. */
  listScheduled(domainIds: readonly number[], after: ScheduledPosition | undefined, limit: number): Promise<Scheduled[]>;
  /** They are due then, and given up as much later or sooner as they are moved. Resolves to how many were still scheduled; each gets the event `rescheduled`. */
  moveScheduled(choice: ScheduledChoice, dueAtMs: number, nowMs: number): Promise<number>;
  /** Resolves to how many were still scheduled; each gets the event `cancelled`. */
  cancelScheduled(choice: ScheduledChoice, nowMs: number): Promise<number>;
}
