/**
 * An outcome becomes what the store writes in one commit (P7): the recipient's new state, the event with its attempt, the suppression, the counters.
 * Pure. What is not understood was made `deferred` before it came here (P5).
 */
import { countReason } from '#model/count-reason.ts';
import type { EventDetail, EventKind } from '#model/event.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import type { Ending } from '#model/message.ts';
import type { Outcome } from '#model/outcome.ts';
import { countersOf } from '#store/counters-of.ts';
import type { Settlement, SuppressionKind } from '#store/store.ts';
import { nextAttempt, type RetryPlan } from './retry.ts';
import { waitsOf, type WorkItem } from './work-item.ts';

export const SUPPRESSED: Readonly<
  Record<SuppressionKind, { readonly code: number; readonly text: string; readonly reason: NonNullable<EventDetail['reason']> }>
> = {
  bounce: { code: 605, text: 'Not delivering to previously bounced address', reason: 'suppress-bounce' },
  unsubscribe: { code: 606, text: 'Not delivering to unsubscribed address', reason: 'suppress-unsubscribe' },
  complaint: { code: 607, text: 'Not delivering to a user who marked your messages as spam', reason: 'suppress-complaint' },
};

/** Settles what never reaches a lane: suppressed addresses, test mode, mail that is too old (`trouble`: what kept it waiting, if that is known). Undefined: it is to be delivered. */
export function settledWithoutAttempt(item: WorkItem, nowMs: number, trouble?: string): Settlement | undefined {
  if (item.suppressed !== undefined) {
    const { code, text, reason } = SUPPRESSED[item.suppressed];
    return settlement(item, nowMs, {
      attempts: item.recipient.attempts,
      ending: 'suppressed',
      kind: 'failed',
      detail: { code, text, reason, bounceClass: 'suppressed' },
    });
  }
  if (item.message.info.options.testMode) {
    return settlement(item, nowMs, {
      attempts: 1,
      ending: 'delivered',
      kind: 'delivered',
      detail: { code: 650, text: 'Test mode: not sent', testMode: true },
    });
  }
  if (isTooOld(item, nowMs)) {
    const text = trouble === undefined ? TOO_OLD.text : `${TOO_OLD.text}: ${trouble}`;
    const detail = { ...TOO_OLD, text, waits: waitsOf(item, nowMs) };
    return settlement(item, nowMs, { attempts: item.recipient.attempts, ending: 'expired', kind: 'failed', detail });
  }
  return undefined;
}

/** The last attempt is due when the time ends; it is still made, unless it could not be for a while. */
function isTooOld({ message, recipient }: WorkItem, nowMs: number): boolean {
  const expiresAtMs = recipient.expiresAtMs ?? message.expiresAtMs;
  const overMs = nowMs - expiresAtMs;
  return overMs >= 0 && (recipient.dueAtMs !== expiresAtMs || overMs > LAST_CHANCE_MS);
}

const LAST_CHANCE_MS = 60_000;

const TOO_OLD = { code: 602, text: 'Too old', reason: 'old', bounceClass: 'expired' } as const satisfies EventDetail;

/** Settles a recipient that is a mailing list: it became mail to its members, or never can. */
export function settledList(
  item: WorkItem,
  outcome: { readonly members: number } | { readonly refused: string },
  nowMs: number,
): Settlement {
  const { attempts } = item.recipient;
  if ('refused' in outcome) {
    const detail: EventDetail = { code: 550, text: outcome.refused, reason: 'generic', bounceClass: 'routing' };
    return settlement(item, nowMs, { attempts, ending: 'failed', kind: 'failed', detail });
  }
  const detail: EventDetail = { code: 250, text: `Sent on to ${outcome.members} members of the mailing list` };
  return settlement(item, nowMs, { attempts, ending: 'delivered', kind: 'delivered', detail });
}

/** Settles an attempt. */
export function settledAttempt(item: WorkItem, outcome: Outcome, plan: RetryPlan, nowMs: number): Settlement {
  const { recipient, message } = item;
  const attempts = recipient.attempts + 1;
  const repeated = recipient.possibleDuplicate ? ({ possibleDuplicate: true } as const) : undefined;
  const attempt = { ...outcome.attempt, number: attempts, waits: waitsOf(item, outcome.attempt.startedMs), ...repeated };
  const detail: EventDetail = {
    code: outcome.code,
    enhanced: outcome.enhanced,
    text: outcome.text,
    bounceClass: outcome.bounceClass,
    attempt,
    ...repeated,
  };
  if (outcome.disposition === 'delivered') return settlement(item, nowMs, { attempts, ending: 'delivered', kind: 'delivered', detail });
  if (outcome.disposition === 'failed') {
    const suppression =
      outcome.suppress === true
        ? { kind: 'bounce' as const, address: recipient.address, code: outcome.code, error: outcome.text, createdMs: nowMs }
        : undefined;
    return {
      ...settlement(item, nowMs, { attempts, ending: 'failed', kind: 'failed', detail: { ...detail, reason: reasonOf(outcome) } }),
      suppression,
    };
  }
  const retry = nextAttempt(plan, attempts, outcome, nowMs, recipient.expiresAtMs ?? message.expiresAtMs);
  if (retry === undefined)
    return settlement(item, nowMs, {
      attempts,
      ending: 'expired',
      kind: 'failed',
      detail: { ...detail, ...TOO_OLD, text: `Too old: ${outcome.text}` },
    });
  return {
    ...settlement(item, nowMs, {
      attempts,
      kind: 'deferred',
      detail: { ...detail, reason: reasonOf(outcome), nextAtMs: retry.atMs, wait: retry.wait },
    }),
    dueAtMs: retry.atMs,
    wait: retry.wait,
    // The remote may have taken it: whatever comes next may be a repeat (P4).
    possibleDuplicate: recipient.possibleDuplicate || outcome.unclear === true,
  };
}

function reasonOf(outcome: Outcome): EventDetail['reason'] {
  if (outcome.bounceClass === 'greylisted') return 'greylisted';
  if (outcome.bounceClass === 'spam-reputation' || outcome.bounceClass === 'spam-content') return 'espblock';
  return outcome.disposition === 'failed' && outcome.suppress === true ? 'bounce' : 'generic';
}

interface Settled {
  readonly attempts: number;
  readonly ending?: Ending;
  readonly kind: EventKind;
  readonly detail: EventDetail;
}

function settlement(item: WorkItem, nowMs: number, settled: Settled): Settlement {
  const { message, recipient } = item;
  return {
    recipient: recipient.id,
    epoch: recipient.epoch,
    accountId: message.accountId,
    domainId: message.domainId,
    message: message.id,
    atMs: nowMs,
    attempts: settled.attempts,
    ending: settled.ending,
    possibleDuplicate: recipient.possibleDuplicate,
    event: { kind: settled.kind, detail: settled.detail },
    counters: countersOf(
      {
        accountId: message.accountId,
        domainId: message.domainId,
        kind: settled.kind,
        provider: providerOf(recipient.domain) ?? '',
        receiver: recipient.domain,
        reason: countReason(settled.kind, settled.detail, settled.attempts),
        source: settled.detail.attempt?.source ?? '',
      },
      message.info.options.tags,
    ),
  };
}
