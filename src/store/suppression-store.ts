/**
 * Suppressions as lists (what one address needs stands in `AccountStore`), the allowlist, and files that are read into lists in the background. Pages are walked
 * from an address, so that what is added or removed meanwhile neither repeats nor hides another entry.
 */
import type { Suppression, SuppressionKind } from './store.ts';

/** A page in the order of addresses (case of ASCII letters aside): the first, or the one after, before or at the end. */
export interface PageAsk {
  /** What the addresses begin with. */
  readonly prefix: string;
  readonly limit: number;
  readonly after?: string;
  readonly before?: string;
  readonly isLast?: boolean;
}

/** Tags of one unsubscribe; more are not kept. */
export const UNSUBSCRIBE_TAGS_MAX = 100;

export interface AllowlistEntry {
  readonly type: 'address' | 'domain';
  /** Lower case. */
  readonly value: string;
  readonly reason: string;
  readonly createdMs: number;
}

export interface SuppressionStore {
  /** One transaction. An unsubscribe for a tag joins those that the address has. */
  putSuppressions(domainId: number, suppressions: readonly Suppression[]): Promise<void>;
  suppressionPage(domainId: number, kind: SuppressionKind, ask: PageAsk): Promise<Suppression[]>;
  /** At most `limit`; resolves to how many. */
  clearSuppressions(domainId: number, kind: SuppressionKind, limit: number): Promise<number>;
  /** The unsubscribe no longer holds for the tag, and is gone with the last one. False: it did not hold for it by name. */
  removeUnsubscribeTag(domainId: number, address: string, tag: string): Promise<boolean>;

  /** What the account's domains have of one address, at most `limit`. */
  suppressionsOfAddress(accountId: number, address: string, limit: number): Promise<Suppression[]>;

  putAllowed(domainId: number, entries: readonly AllowlistEntry[]): Promise<void>;
  allowedOf(domainId: number, value: string): Promise<AllowlistEntry | undefined>;
  allowedPage(domainId: number, ask: PageAsk): Promise<AllowlistEntry[]>;
  deleteAllowed(domainId: number, value: string): Promise<boolean>;
  clearAllowed(domainId: number, limit: number): Promise<number>;
}

export type ImportKind = SuppressionKind | 'allowlist';

export interface ImportJob {
  readonly id: number;
  readonly accountId: number;
  readonly kind: ImportKind;
  /** The domain. */
  readonly target: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly sizeBytes: number;
  /** Octets that are done. */
  readonly position: number;
  readonly added: number;
  readonly failed: number;
  /** Why the first row that failed did. */
  readonly trouble?: string;
  readonly createdMs: number;
  readonly finishedMs?: number;
}

/** What some rows of a file come to. */
export type ImportRows =
  | { readonly kind: 'suppressions'; readonly entries: readonly Suppression[] }
  | { readonly kind: 'allowlist'; readonly entries: readonly AllowlistEntry[] };

export interface ImportStep {
  readonly id: number;
  readonly epoch: number;
  readonly target: number;
  readonly position: number;
  readonly added: number;
  readonly failed: number;
  readonly trouble?: string;
  readonly isDone: boolean;
  readonly nowMs: number;
  readonly heldUntilMs: number;
  readonly rows: ImportRows;
}

export interface ImportStore {
  /** The file is durable when it resolves. Undefined: the account has `openMax` that are not finished. Forgets what was finished before `keepFromMs`. */
  createImport(
    job: Pick<ImportJob, 'accountId' | 'kind' | 'target' | 'options' | 'createdMs'>,
    openMax: number,
    keepFromMs: number,
    bytes: Uint8Array,
  ): Promise<number | undefined>;
  /** One that nobody reads, for the caller until then. */
  claimImport(nowMs: number, heldUntilMs: number): Promise<(ImportJob & { readonly epoch: number }) | undefined>;
  importBytes(id: number): Promise<Uint8Array | undefined>;
  /** Rows and the position after them, in one transaction. False: another reads it now. */
  advanceImport(step: ImportStep): Promise<boolean>;
  importOf(accountId: number, id: number): Promise<ImportJob | undefined>;
  /** Newest first. */
  listImports(accountId: number, limit: number): Promise<ImportJob[]>;
}
