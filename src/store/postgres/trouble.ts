/** What went wrong with PostgreSQL: the environment's doing (StoreError), a row that cannot be written or a bug (the error as it is), or a clash to be tried again. */
import { StoreError } from '#store/store.ts';

/** The connection is gone. `isSent`: what was on its way may have been done or not. */
export class LostConnection extends StoreError {
  readonly isSent: boolean;
  /** `cause`: what the system or the server said (connect-failure.ts makes a sentence of it). */
  constructor(message: string, isSent: boolean, cause?: unknown) {
    super('io', message);
    this.isSent = isSent;
    if (cause !== undefined) this.cause = cause;
  }
}

const UNIQUE_VIOLATION = '23505';
const CHECK_VIOLATION = '23514';
const DEADLOCK = '40P01';
const SERIALIZATION_FAILURE = '40001';
const DISK_FULL = '53100';
export const READ_ONLY = '25006';
export const LOCK_NOT_AVAILABLE = '55P03';
const QUERY_CANCELED = '57014';
const DIVISION_BY_ZERO = '22012';
const FEATURE_NOT_SUPPORTED = '0A000';

/** Classes of SQLSTATE that say something about the server and not about the statement. */
const SERVER_CLASSES: Readonly<Record<string, StoreError['kind']>> = {
  '08': 'io', // connection
  '28': 'io', // authorization
  '3D': 'io', // no such database
  '53': 'io', // out of resources
  '57': 'io', // operator intervention: shut down, cannot connect now
  '58': 'io', // system error
  F0: 'io', // its configuration file
  XX: 'io', // internal error, data corrupted
};

/** Of these the connection does not outlive the error, or had better not: a demoted primary goes on as a standby. */
const ENDING_STATES = new Set(['57P01', '57P02', '57P03', '57P04', '57P05', READ_ONLY, '25P03', '08003', '08006', '08P01']);

/** For what is found out about a server without its saying so in an error. */
export class Unusable extends StoreError {
  readonly code: string | undefined;
  constructor(message: string, code?: string) {
    super('io', message);
    this.code = code;
  }
}

function sqlStateOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** The server said nothing about the statement, or said that this connection is over. */
export function isConnectionLost(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === undefined ? !(error instanceof StoreError) : ENDING_STATES.has(state);
}

/** What kind of trouble of the environment's it is; undefined: none (a row that cannot be written, or a bug of ours). */
export function troubleOf(error: unknown): StoreError['kind'] | undefined {
  const state = sqlStateOf(error);
  if (state === undefined) return undefined;
  if (state === DISK_FULL) return 'full';
  if (state === LOCK_NOT_AVAILABLE || state === QUERY_CANCELED || isClash(error)) return 'busy';
  if (state === READ_ONLY) return 'io';
  return SERVER_CLASSES[state.slice(0, 2)];
}

/** Two transactions were in each other's way: nothing of this one stands, and it can be tried again as it was. */
export function isClash(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === DEADLOCK || state === SERIALIZATION_FAILURE || isPlanStale(error);
}

/** A later version added a column while this connection kept a statement prepared that gives all of them. It is prepared anew by the next connection. */
export function isPlanStale(error: unknown): boolean {
  return sqlStateOf(error) === FEATURE_NOT_SUPPORTED && error instanceof Error && error.message.includes('cached plan');
}

export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return (
    sqlStateOf(error) === UNIQUE_VIOLATION && (constraint === undefined || (error as { constraint?: unknown }).constraint === constraint)
  );
}

/** A row found no partition that takes it. (PostgreSQL says so with the state of a violated check, and without a constraint's name.) */
export function isPartitionMissing(error: unknown): boolean {
  return sqlStateOf(error) === CHECK_VIOLATION && (error as { constraint?: unknown }).constraint === undefined;
}

/** A statement of ours ended itself: see settle.ts. */
export function isSelfEnded(error: unknown): boolean {
  return sqlStateOf(error) === DIVISION_BY_ZERO;
}
