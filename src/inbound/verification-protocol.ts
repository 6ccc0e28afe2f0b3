/** What the verifying thread and the program tell each other. */
import type { ArcResult, DkimCheck, DmarcResult, SpfResult } from '#model/inbound.ts';

export interface VerificationRequest {
  /** Signatures are limited by who asks. A large one stands in shared memory and is not copied. */
  readonly bytes: Uint8Array;
  readonly address: string;
  readonly helo: string;
  /** '' for the null sender. */
  readonly sender: string;
  readonly hostname: string;
  readonly timeoutMs: number;
}

export interface DkimVerification extends DkimCheck {
  /** The first characters of b=, which tell several signatures apart (RFC 6008). */
  readonly mark: string;
}

export interface Verification {
  readonly spf: { readonly result: SpfResult; readonly domain: string };
  readonly dkim: readonly DkimVerification[];
  readonly dmarc: { readonly result: DmarcResult; readonly domain: string; readonly policy?: 'none' | 'quarantine' | 'reject' };
  readonly arc: { readonly result: ArcResult; readonly instance?: number };
}

export type ToVerifier =
  | { readonly kind: 'verify'; readonly job: number; readonly request: VerificationRequest }
  /** `code`: there is no answer, as node:dns would say why. */
  | { readonly kind: 'answer'; readonly question: number; readonly records?: readonly unknown[]; readonly code?: string };

export type FromVerifier =
  | { readonly kind: 'ask'; readonly job: number; readonly question: number; readonly name: string; readonly type: string }
  | { readonly kind: 'done'; readonly job: number; readonly verification: Verification }
  | { readonly kind: 'failed'; readonly job: number; readonly trouble: string };
