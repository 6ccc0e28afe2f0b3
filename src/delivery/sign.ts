/**
 * DKIM signatures for a message about to leave: which keys sign it, and what of the work is kept. Content that is the same for several
 * transactions is hashed and signed once: a signature covers the message, not the envelope.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { dkimBodyHash, dkimSignature, type DkimSigner } from '#mail/dkim.ts';
import { readHeader, splitMessage } from '#mail/header.ts';
import type { StoredMessage } from '#model/message.ts';
import type { SubmissionOptions } from '#model/submission.ts';

export interface SigningDeps {
  readonly clock: Clock;
  /** dkim.sign: false signs nothing. */
  readonly isEnabled: boolean;
  /** The keys that sign for a domain, the preferred of each algorithm first. */
  signingKeys(domainId: number): Promise<readonly DkimSigner[]>;
  /** o:secondary-dkim: a key of another domain of the account. */
  secondaryKey?(accountId: number, domain: string, selector: string): Promise<DkimSigner | undefined>;
}

export interface SigningInput {
  readonly message: StoredMessage;
  readonly mime: Buffer;
  /** Complete fields in ASCII that stand above it and are signed with it; '' none. */
  readonly fields: string;
  /** Names the octets of the body, when they will be seen again. */
  readonly bodyKey?: string;
  /** Names the octets of the whole, likewise. */
  readonly mimeKey?: string;
}

/** The DKIM-Signature fields with their CRLF, '' when it is not to be signed. Rejects when the keys cannot be had or cannot sign. */
export type Sign = (input: SigningInput) => Promise<string>;

const HASHES_MAX = 10_000;
const SIGNATURES_MAX = 2_000;
/** A signature's t= may be this much older than the transaction. */
const SIGNATURE_MS = 600_000;

export function createSign(deps: SigningDeps): Sign {
  const hashes = new BoundedCache<string, string>({ max: HASHES_MAX });
  const signatures = new BoundedCache<string, Promise<string>>({ max: SIGNATURES_MAX, ttlMs: SIGNATURE_MS });

  function bodyHash(mime: Buffer, key: string | undefined): string {
    const known = key === undefined ? undefined : hashes.get(key, 0);
    if (known !== undefined) return known;
    const result = dkimBodyHash(mime.subarray(splitMessage(mime).bodyStart));
    if (key !== undefined) hashes.set(key, result, 0);
    return result;
  }

  async function fresh(input: SigningInput, signers: readonly DkimSigner[], nowMs: number): Promise<string> {
    const header = readHeader(input.fields === '' ? input.mime : withFields(input.fields, input.mime));
    const hash = bodyHash(input.mime, input.bodyKey);
    const [first] = signers;
    if (signers.length === 1) return dkimSignature(header, hash, first as DkimSigner, nowMs);
    return (await Promise.all(signers.map((signer) => dkimSignature(header, hash, signer, nowMs)))).join('');
  }

  return async (input) => {
    if (!deps.isEnabled || input.message.info.options.dkim === false) return '';
    const signers = await signersOf(deps, input.message);
    if (signers.length === 0) return '';
    const nowMs = deps.clock.nowMs();
    if (input.mimeKey === undefined) return fresh(input, signers, nowMs);
    const key = `${input.mimeKey} ${input.fields}${signers.map((signer) => `${signer.selector}.${signer.domain}`).join(' ')}`;
    const known = signatures.get(key, nowMs);
    if (known !== undefined) return known;
    const made = fresh(input, signers, nowMs);
    signatures.set(key, made, nowMs);
    // A failure is not kept: the next transaction tries again.
    made.catch(() => signatures.delete(key));
    return made;
  };
}

/** The header alone: the body is signed by its hash. */
function withFields(fields: string, mime: Buffer): Buffer {
  return Buffer.concat([Buffer.from(fields, 'latin1'), mime.subarray(0, splitMessage(mime).bodyStart)]);
}

async function signersOf(deps: SigningDeps, message: StoredMessage): Promise<readonly DkimSigner[]> {
  const keys = await deps.signingKeys(message.domainId);
  const own = firstOfEach(keys);
  const secondary = await secondarySigner(deps, message.accountId, message.info.options);
  return secondary === undefined ? own : [...own, secondary];
}

/** One signature of each algorithm; during a rotation the older key no longer signs. */
function firstOfEach(keys: readonly DkimSigner[]): readonly DkimSigner[] {
  if (keys.length < 2) return keys;
  return keys.filter((key, position) => keys.findIndex((other) => other.algorithm === key.algorithm) === position);
}

async function secondarySigner(deps: SigningDeps, accountId: number, options: SubmissionOptions): Promise<DkimSigner | undefined> {
  const name = splitName(options.secondaryDkim);
  if (name === undefined) return undefined;
  const key = await deps.secondaryKey?.(accountId, name.domain, name.selector);
  if (key === undefined) return undefined;
  // The name under which the key is published, when it is another.
  const shown = splitName(options.secondaryDkimPublic);
  return shown === undefined ? key : { ...key, ...shown };
}

/** "signing_domain/selector" */
function splitName(text: string | undefined): { domain: string; selector: string } | undefined {
  const [domain, selector, more] = text?.split('/') ?? [];
  return domain && selector && more === undefined ? { domain, selector } : undefined;
}
