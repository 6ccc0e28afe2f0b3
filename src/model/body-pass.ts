/** What a room does to a message for one recipient when it is composed: texts that are changed, header fields that are added. Joined in app, in an order. */
import type { LeafPass } from '#mail/text-leaves.ts';
import type { StoredMessage, StoredRecipient } from './message.ts';

export interface BodyPass {
  readonly leaf?: LeafPass;
  /** Complete fields in ASCII, put above the message and signed with it. */
  readonly fields?: string;
}

/**
 * undefined: nothing of this message is for it. The same for the same arguments each time: a copy of what was sent is made again by it. Who gives one for a message sees to it
 * that each recipient has a transaction of their own (`queue/work-item`).
 */
export type BodyPassFor = (message: StoredMessage, recipient: StoredRecipient, sentMs: number) => BodyPass | undefined;
