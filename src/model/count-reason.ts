/**
 * What a counter tells of an outcome beside its kind: why it failed, in which class of bounces, and at which attempt. Kept as one short text, which has few values: all
 * of its parts come from closed lists. Written once here and read once here.
 */
import type { EventDetail, EventKind } from './event.ts';
import type { BounceClass } from './outcome.ts';

export interface CountReason {
  /** Of failures. */
  readonly reason: string;
  readonly bounceClass: BounceClass | '';
  /** Attempts that were made, at most 3; 0: none, or nothing is known of them. */
  readonly attempts: number;
}

const ATTEMPTS_MAX = 3;

/** '' for a fact of which there is nothing to tell. */
export function countReason(kind: EventKind, detail: EventDetail, attempts: number): string {
  const made = String(Math.min(attempts, ATTEMPTS_MAX));
  if (kind === 'delivered') return `//${made}`;
  if (kind === 'opened' || kind === 'clicked') return visitReason({ first: '', bot: detail.client?.bot ?? '' });
  if (kind !== 'failed' && kind !== 'deferred') return '';
  return `${detail.reason ?? 'generic'}/${detail.bounceClass ?? ''}/${made}`;
}

export function readCountReason(text: string): CountReason {
  const [reason = '', bounceClass = '', attempts = '0'] = text.split('/');
  return { reason, bounceClass: bounceClass as BounceClass | '', attempts: Number(attempts) };
}

/** Which machines are told apart among those that open mail and follow links, as clients of the API know them. */
export const BOTS = ['apple', 'gmail', 'generic'] as const;
export type Bot = (typeof BOTS)[number];

/** Of an open or a click. */
export interface VisitReason {
  /** '': each. any: the recipient's first by whomever. own: the recipient's first by this one (this machine, or the person). */
  readonly first: '' | 'any' | 'own';
  /** '': a person. */
  readonly bot: string;
}

export function visitReason({ first, bot }: VisitReason): string {
  return first === '' && bot === '' ? '' : `${first}/${bot}`;
}

export function readVisitReason(text: string): VisitReason {
  const [first = '', bot = ''] = text.split('/');
  return { first: first === 'any' || first === 'own' ? first : '', bot };
}

/** Of an address that was validated: by itself or in a list, and whether mail to it is likely to arrive. */
export interface ValidatedReason {
  readonly way: 'single' | 'bulk';
  readonly isValid: boolean;
}

export function validatedReason({ way, isValid }: ValidatedReason): string {
  return isValid ? `${way}/valid` : way;
}

export function readValidatedReason(text: string): ValidatedReason {
  const [way, valid] = text.split('/');
  return { way: way === 'bulk' ? 'bulk' : 'single', isValid: valid === 'valid' };
}
