/**
 * Certificates of hosts that lead here, and what obtaining them needs: the account at the authority, and answers to its questions. Part of the store's contract
 * (store.ts), which says what holds for all of it. Private keys are sealed before they come here.
 */
import type { Row } from './rows-json.ts';

export interface Certificate {
  /** The host, lower case, A-labels. */
  readonly name: string;
  /** Whose host it is; 0: the installation's own. */
  readonly domainId: number;
  /** PEM; '' until there is one. */
  readonly chain: string;
  /** PKCS #8, sealed; empty until there is one. */
  readonly sealedKey: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** When something is to be done about it. */
  readonly dueMs: number;
  /** Somebody is at it until then; 0: nobody. */
  readonly heldUntilMs: number;
  /** Counts those who were at it. */
  readonly epoch: number;
  /** When one was last tried to obtain; 0: never. */
  readonly triedMs: number;
  /** That failed since the last one was obtained. */
  readonly failures: number;
  /** Of the last try; '' when it went well. */
  readonly error: string;
  readonly createdMs: number;
}

/** What came of one try. */
export type CertificateOutcome = Pick<
  Certificate,
  'chain' | 'sealedKey' | 'notBeforeMs' | 'notAfterMs' | 'dueMs' | 'triedMs' | 'failures' | 'error'
>;

export interface CertificateStore {
  certificateOf(name: string): Promise<Certificate | undefined>;
  /** One that stands stays as it is, but belongs to who asked last, unless it is the installation's own. True: it is new. */
  wantCertificate(name: string, domainId: number, nowMs: number): Promise<boolean>;
  /** It is due then, unless it is sooner. False: there is none. */
  hastenCertificate(name: string, dueMs: number): Promise<boolean>;
  /** The one that is due longest and nobody is at; it is held until then. */
  claimCertificate(nowMs: number, heldUntilMs: number): Promise<Certificate | undefined>;
  /** False: somebody else has been at it since. undefined: it is wanted no more, and goes. */
  settleCertificate(name: string, epoch: number, outcome: CertificateOutcome | undefined): Promise<boolean>;
  /** Sealed; undefined: none was made for this authority. */
  acmeKey(directory: string): Promise<Uint8Array | undefined>;
  /** Resolves to the one that stands: of two that are put at once, one. */
  putAcmeKey(directory: string, sealed: Uint8Array): Promise<Uint8Array>;
  /** Orders at one authority, of all nodes: one in `spacingMs`, and as many sooner as `ahead` allows. False: not yet. */
  takeOrder(directory: string, nowMs: number, spacingMs: number, ahead: number): Promise<boolean>;
  /** Nothing is ordered there before that time. */
  pauseOrders(directory: string, untilMs: number): Promise<void>;
  /** Those whose time is over go. */
  putChallenge(token: string, answer: string, nowMs: number, untilMs: number): Promise<void>;
  challengeAnswer(token: string): Promise<string | undefined>;
  deleteChallenge(token: string): Promise<void>;
}

export function certificateOf(row: Row): Certificate {
  return {
    name: String(row['name']),
    domainId: Number(row['domain_id']),
    chain: String(row['chain']),
    sealedKey: row['private_key'] as Uint8Array,
    notBeforeMs: Number(row['not_before_ms']),
    notAfterMs: Number(row['not_after_ms']),
    dueMs: Number(row['due_ms']),
    heldUntilMs: Number(row['held_until_ms']),
    epoch: Number(row['epoch']),
    triedMs: Number(row['tried_ms']),
    failures: Number(row['failures']),
    error: String(row['error']),
    createdMs: Number(row['created_ms']),
  };
}

/** In the order of `OUTCOME_COLUMNS`. */
export function outcomeValues(outcome: CertificateOutcome): (string | number | Uint8Array)[] {
  const { chain, sealedKey, notBeforeMs, notAfterMs, dueMs, triedMs, failures, error } = outcome;
  return [chain, sealedKey, notBeforeMs, notAfterMs, dueMs, triedMs, failures, error];
}

export const OUTCOME_COLUMNS = [
  'chain',
  'private_key',
  'not_before_ms',
  'not_after_ms',
  'due_ms',
  'tried_ms',
  'failures',
  'error',
] as const;
