/**
 * What `complain@` does once it has its mail: its owner presses "spam". As with a real feedback report the address is suppressed for the domain, and a
 * `complained` event tells. They are not in one commit with the delivery, nor are they to be: a report comes when it comes.
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import type { Fact } from '#store/fact-store.ts';
import { mailboxOf } from './behaviours.ts';

export interface ComplaintsOptions {
  record(fact: Omit<Fact, 'outbox'>): Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
}

export type ComplainAbout = (message: StoredMessage, recipient: StoredRecipient) => Promise<void>;

/** To be called for each recipient that was delivered. Never rejects. */
export function createComplaints({ record, clock, log }: ComplaintsOptions): ComplainAbout {
  return async (message, recipient) => {
    const local = recipient.address.slice(0, recipient.address.lastIndexOf('@'));
    if (mailboxOf(local)?.behaviour.kind !== 'complain') return;
    const nowMs = clock.nowMs();
    try {
      await record({
        event: {
          kind: 'complained',
          atUs: nowMs * 1000,
          accountId: message.accountId,
          domainId: message.domainId,
          message: message.id,
          recipient: recipient.id,
          detail: {},
        },
        once: 'complained',
        suppression: { kind: 'complaint', address: recipient.address, code: 0, error: '', createdMs: nowMs },
        counters: [],
      });
    } catch (error) {
      log.warn({ message: message.id, error: String(error) }, 'a complaint of the sandbox could not be written');
    }
  };
}
