/** Lists of addresses that are validated in the background, and what came of them. Part of the store's contract (store.ts), which says what holds for all of it. */
import { type ValidatedReason, validatedReason } from '#model/count-reason.ts';
import type { Row } from './rows-json.ts';
import type { CounterKey } from './store.ts';

export interface ValidationSummary {
  readonly result: Readonly<Record<'catch_all' | 'deliverable' | 'do_not_send' | 'undeliverable' | 'unknown', number>>;
  readonly risk: Readonly<Record<'high' | 'low' | 'medium' | 'unknown', number>>;
}

export interface ValidationJob {
  readonly id: number;
  readonly accountId: number;
  /** The account's own name for it; unique among those that are not deleted. */
  readonly name: string;
  readonly quantity: number;
  readonly processed: number;
  /** Octets of the list that are done. */
  readonly position: number;
  readonly summary: ValidationSummary;
  readonly createdMs: number;
  readonly finishedMs?: number;
  /** Who works on it has the last one. */
  readonly epoch: number;
}

/** Addresses of one kind that were validated. */
export interface ValidatedCount extends ValidatedReason {
  readonly accountId: number;
  readonly count: number;
}

/** What some addresses came to. */
export interface ValidationStep {
  readonly id: number;
  readonly epoch: number;
  readonly position: number;
  readonly processed: number;
  readonly summary: ValidationSummary;
  /** JSON of the results, in the order of the list; absent: there are none. */
  readonly results?: string;
  /** To be counted with it. */
  readonly counts?: readonly ValidatedCount[];
  readonly isDone: boolean;
  readonly nowMs: number;
  readonly heldUntilMs: number;
}

export interface ValidationStore {
  /** The list is durable when it resolves. taken: there is one of that name. full: `openMax` of the account are not finished. Deletes what was finished before `keepFromMs`. */
  createValidation(
    job: Pick<ValidationJob, 'accountId' | 'name' | 'quantity' | 'createdMs'>,
    openMax: number,
    keepFromMs: number,
    bytes: Uint8Array,
  ): Promise<'created' | 'taken' | 'full'>;
  /** One that nobody works on, for the caller until then. */
  claimValidation(nowMs: number, heldUntilMs: number): Promise<ValidationJob | undefined>;
  validationBytes(id: number): Promise<Uint8Array | undefined>;
  /** Addresses that were validated by themselves. */
  countValidated(counts: readonly ValidatedCount[], nowMs: number): Promise<void>;
  /** Results, counts and the position after them, in one transaction. False: another works on it now, or it is deleted. */
  advanceValidation(step: ValidationStep): Promise<boolean>;
  validationOf(accountId: number, name: string): Promise<ValidationJob | undefined>;
  /** Newest first: those made before this one, or right after it; absent: the newest. */
  validationPage(
    accountId: number,
    limit: number,
    around?: { readonly before: number } | { readonly after: number },
  ): Promise<ValidationJob[]>;
  countValidations(accountId: number): Promise<number>;
  /** Pieces of its results, in their order, after the one of this number. */
  validationResults(job: number, after: number, limit: number): Promise<{ readonly number: number; readonly results: string }[]>;
  /** It is there for nobody; its results go in steps. */
  deleteValidation(accountId: number, name: string, nowMs: number): Promise<boolean>;
  /** Takes up to `limit` pieces of results of what is deleted, and then the rest of it. True: there may be more. */
  purgeValidations(limit: number): Promise<boolean>;
}

export const VALIDATION_COLUMNS = 'id, account_id, name, quantity, processed, position, summary, created_ms, finished_ms, epoch';

export const NOTHING_VALIDATED: ValidationSummary = {
  result: { catch_all: 0, deliverable: 0, do_not_send: 0, undeliverable: 0, unknown: 0 },
  risk: { high: 0, low: 0, medium: 0, unknown: 0 },
};

/** It is counted for no domain. */
export function validatedCounter({ accountId, ...reason }: ValidatedCount): CounterKey {
  return { accountId, domainId: 0, kind: 'validated', provider: '', tag: '', reason: validatedReason(reason) };
}

/** Stored JSON was written by us: it is trusted. */
export function validationOf(row: Row): ValidationJob {
  return {
    id: Number(row['id']),
    accountId: Number(row['account_id']),
    name: String(row['name']),
    quantity: Number(row['quantity']),
    processed: Number(row['processed']),
    position: Number(row['position']),
    summary: JSON.parse(String(row['summary'])) as ValidationSummary,
    createdMs: Number(row['created_ms']),
    ...(row['finished_ms'] !== null && { finishedMs: Number(row['finished_ms']) }),
    epoch: Number(row['epoch']),
  };
}
