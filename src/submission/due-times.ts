/**
 * When each recipient of a message is due, and given up: at once, at the time that the sender set, or at a time of day where the recipient is.
 */
import type { EnvelopeRecipient, SubmissionOptions } from '#model/submission.ts';
import type { AcceptMessage, AcceptRecipient } from '#store/store.ts';
import { nextLocalTimeMs, timeZoneIn } from './local-time.ts';

export interface DueTimes {
  readonly message: Pick<AcceptMessage, 'dueAtMs' | 'wait' | 'expiresAtMs'>;
  /** What one has of its own; absent: all are due together. */
  readonly own?: (recipient: EnvelopeRecipient) => Pick<AcceptRecipient, 'dueAtMs' | 'expiresAtMs' | 'timeZone'>;
  /** See `MessageInfo`. */
  readonly isUnoptimized?: true;
}

/** Throws AppError 'bad-parameter' when a recipient's time zone is none. */
export function dueTimes(
  options: SubmissionOptions,
  recipients: readonly EnvelopeRecipient[],
  nowMs: number,
  lifetimeMs: number,
  defaultTimeZone: string,
): DueTimes {
  const fromMs = Math.max(nowMs, options.deliverAtMs ?? nowMs);
  if (options.timeZoneLocalize !== undefined) {
    return localTimes({ ...options, timeZoneLocalize: options.timeZoneLocalize }, recipients, {
      nowMs,
      fromMs,
      lifetimeMs,
      defaultTimeZone,
    });
  }
  // o:deliverytime-optimize-period asks for the hour at which a recipient usually reads, within the period. That would be known from its opens and clicks, which
  // are not recorded yet: without history mail is not made to wait, and the timeline says so. Once there is history, each recipient's hour within `fromMs` and
  // `fromMs + options.optimizePeriodMs` is to be asked for here, and is due as a local time is.
  const isUnoptimized = options.optimizePeriodMs !== undefined;
  return { message: together(fromMs, nowMs, lifetimeMs), ...(isUnoptimized && { isUnoptimized }) };
}

function together(dueAtMs: number, nowMs: number, lifetimeMs: number): DueTimes['message'] {
  return { dueAtMs, wait: dueAtMs > nowMs ? 'scheduled' : 'due', expiresAtMs: dueAtMs + lifetimeMs };
}

interface Frame {
  readonly nowMs: number;
  readonly fromMs: number;
  readonly lifetimeMs: number;
  readonly defaultTimeZone: string;
}

function localTimes(
  { timeZoneLocalize, variables }: SubmissionOptions & { readonly timeZoneLocalize: string },
  recipients: readonly EnvelopeRecipient[],
  { nowMs, fromMs, lifetimeMs, defaultTimeZone }: Frame,
): DueTimes {
  const fallBack = timeZoneIn(variables, 'the message') ?? defaultTimeZone;
  const dueInZone = new Map<string, number>();
  const zones = new Map<EnvelopeRecipient, string>();
  for (const recipient of recipients) {
    const zone = timeZoneIn(recipient.variables, recipient.address) ?? fallBack;
    zones.set(recipient, zone);
    if (!dueInZone.has(zone)) dueInZone.set(zone, nextLocalTimeMs(fromMs, timeZoneLocalize, zone));
  }
  const times = [...dueInZone.values()];
  return {
    message: { ...together(Math.min(...times), nowMs, lifetimeMs), expiresAtMs: Math.max(...times) + lifetimeMs },
    own(recipient) {
      const timeZone = zones.get(recipient) as string;
      const dueAtMs = dueInZone.get(timeZone) as number;
      return { dueAtMs, expiresAtMs: dueAtMs + lifetimeMs, timeZone };
    },
  };
}
