/** The running program, as the command line holds it: what `startPostrider` of wire.ts gives. */
import type { FirstCredentials } from './first-start.ts';

/** A listener that is open. */
export interface OpenAddress {
  readonly service: 'http' | 'https' | 'submission' | 'submissions' | 'inbound';
  readonly host: string;
  readonly port: number;
}

export interface Running {
  /** Every listener is open. Rejects when the program cannot start; what was opened is closed again. */
  readonly ready: Promise<void>;
  /** Complete once `ready` has resolved. */
  readonly addresses: readonly OpenAddress[];
  /** What `firstStart` gave: to be shown to whoever started the program. Set once `ready` has resolved. */
  readonly credentials: FirstCredentials | undefined;
  /** Resolves when the program cannot go on (a store thread ended, a sync failed): the process must end with status 1. */
  readonly fatal: Promise<Error>;
  /** Drains and closes everything. */
  stop(): Promise<void>;
}
