/**
 * How many recipients an account may be accepted for in an hour, in a day and in a month of the clock (UTC), on all nodes together. A message is taken whole or refused whole. What it uses is counted in
 * the commit that accepts it, so that the loss of a node loses nothing of a quota. An account without a quota costs a look into a cache.
 */
import type { Clock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';
import type { Received, Reception } from '#store/fact-store.ts';
import { type GrantUse, NOT_HELD } from '#store/grant-store.ts';
import { type AcceptMessage, type AcceptResult, StoreError, type Ungranted } from '#store/store.ts';
import type { LimitBook, Limits } from './account-limits.ts';
import { type Ceiling, windowAt } from './ceiling.ts';
import type { Part, Purse } from './purse.ts';

export interface QuotaDeps {
  readonly purse: Purse;
  readonly limits: LimitBook;
  readonly clock: Clock;
}

/** For headers: the quota whose window ends first. */
export interface QuotaState {
  readonly limit: number;
  readonly remaining: number;
  /** Epoch ms. */
  readonly resetMs: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

type Message = Pick<AcceptMessage, 'accountId' | 'domain' | 'idempotency'> & { readonly recipients: readonly unknown[] };

export class Quotas {
  readonly #deps: QuotaDeps;

  constructor(deps: QuotaDeps) {
    this.#deps = deps;
  }

  /** `accept`, within the account's quotas. Throws AppError 'quota-exceeded'. */
  accepting<M extends Message>(
    accept: (message: M & { readonly uses?: readonly GrantUse[] }) => Promise<AcceptResult | Ungranted>,
  ): (message: M) => Promise<AcceptResult> {
    return async (message) => {
      const parts = await this.#ask(message.accountId, message.recipients.length);
      if (!Array.isArray(parts)) return this.#refused(message, parts, accept);
      return this.#use(parts, () => accept(parts.length === 0 ? message : { ...message, uses: parts }));
    };
  }

  /** `receive`, where what is sent on counts as the account's own mail does: all of a message that came in waits with its sender until it may go on. Throws AppError 'quota-exceeded'. */
  receiving(receive: (reception: Reception) => Promise<Received | Ungranted>): (reception: Reception) => Promise<Received> {
    return async (reception) => {
      const [first, ...others] = reception.forwards;
      if (first === undefined) return granted(await receive(reception));
      const { accountId } = reception.message;
      const parts = await this.#ask(
        accountId,
        reception.forwards.reduce((sum, { recipients }) => sum + recipients.length, 0),
      );
      if (!Array.isArray(parts)) throw this.#exceeded(first.domain, parts);
      return this.#use(parts, () =>
        receive(parts.length === 0 ? reception : { ...reception, forwards: [{ ...first, uses: parts }, ...others] }),
      );
    };
  }

  /** Undefined: the account has no quota, or has not sent anything yet. */
  stateOf(accountId: number): QuotaState | undefined {
    const limits = this.#deps.limits.lately(accountId);
    if (limits === undefined) return undefined;
    const [ceiling] = ceilingsOf(accountId, limits);
    if (ceiling === undefined) return undefined;
    const { endMs, remaining } = this.#deps.purse.stateOf(ceiling);
    return { limit: ceiling.count, remaining, resetMs: endMs };
  }

  /** A part of each ceiling, or the one that has no room. */
  async #ask(accountId: number, count: number): Promise<Part[] | Ceiling> {
    const { limits, purse } = this.#deps;
    const known = limits.of(accountId);
    const parts: Part[] = [];
    const putBack = (): void => parts.forEach((part) => purse.putBack(part, part.count));
    for (const ceiling of ceilingsOf(accountId, known instanceof Promise ? await known.catch(notNow) : known)) {
      const part = await purse.ask(ceiling, count).catch((error: unknown) => {
        putBack();
        return notNow(error);
      });
      if (part === undefined) {
        putBack();
        return ceiling;
      }
      parts.push(part);
    }
    return parts;
  }

  async #use<R extends AcceptResult | Received>(parts: readonly Part[], accept: () => Promise<R | Ungranted>): Promise<R> {
    const { purse } = this.#deps;
    let result: R | Ungranted;
    try {
      result = await accept();
    } catch (error) {
      // Whether it stands is not known: it counts until the store says otherwise.
      for (const part of parts) purse.settled(part);
      throw error;
    }
    if (result.kind === 'accepted' || result.kind === 'received') for (const part of parts) purse.settled(part);
    else if (result.kind === 'ungranted') for (const part of parts) purse.disowned(part);
    else for (const part of parts) purse.putBack(part, part.count);
    return granted(result);
  }

  /** What was accepted before is answered as it was then, also when nothing more is accepted (P12). */
  async #refused<M extends Message>(
    message: M,
    ceiling: Ceiling,
    accept: (message: M & { readonly uses?: readonly GrantUse[] }) => Promise<AcceptResult | Ungranted>,
  ): Promise<AcceptResult> {
    if (message.idempotency !== undefined) {
      const result = await accept({ ...message, uses: [NOT_HELD] });
      if (result.kind !== 'ungranted') return result;
    }
    throw this.#exceeded(message.domain, ceiling);
  }

  #exceeded(domain: string, ceiling: Ceiling): AppError {
    const { endMs } = this.#deps.purse.stateOf(ceiling);
    return new AppError('quota-exceeded', {
      domain,
      what: 'recipient',
      until: new Date(endMs).toUTCString().replace('GMT', 'UTC'),
      seconds: Math.max(1, Math.ceil((endMs - this.#deps.clock.nowMs()) / 1000)),
      limit: ceiling.count,
      resetMs: endMs,
    });
  }
}

/** The shorter time first. */
function ceilingsOf(accountId: number, { recipientsPerHour, recipientsPerDay, recipientsPerMonth }: Limits): readonly Ceiling[] {
  if (recipientsPerHour === undefined && recipientsPerDay === undefined && recipientsPerMonth === undefined) return NONE;
  const ceilings: Ceiling[] = [];
  if (recipientsPerHour !== undefined) ceilings.push(quota(accountId, 'hour', HOUR_MS, recipientsPerHour));
  if (recipientsPerDay !== undefined) ceilings.push(quota(accountId, 'day', DAY_MS, recipientsPerDay));
  if (recipientsPerMonth !== undefined) ceilings.push(monthly(accountId, recipientsPerMonth));
  return ceilings;
}

const NONE: readonly Ceiling[] = [];

function quota(accountId: number, word: string, perMs: number, count: number): Ceiling {
  return { name: `account ${accountId} recipients by the ${word}`, count, perMs, holds: 'windows', isCounted: true };
}

function monthly(accountId: number, count: number): Ceiling {
  return { ...quota(accountId, 'month', 28 * DAY_MS, count), holds: 'months' };
}

/** Where the store counts what an account used of its month. */
export function monthOf(accountId: number, nowMs: number): { readonly name: string; readonly startMs: number } {
  const ceiling = monthly(accountId, 0);
  return { name: ceiling.name, startMs: windowAt(ceiling, nowMs) };
}

/** Nothing is accepted that cannot be counted. */
function notNow(error: unknown): never {
  if (error instanceof StoreError) throw new AppError('store-unavailable', {}, error);
  throw error;
}

function granted<R extends AcceptResult | Received>(result: R | Ungranted): R {
  if (result.kind === 'ungranted') throw new AppError('store-unavailable');
  return result;
}
