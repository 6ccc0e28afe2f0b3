/**
 * Obtains certificates and renews them: each look claims the one that is due, by a lease, so that of all nodes one is at it. A certificate is renewed after two thirds
 * of its life; what fails is tried again, later each time. Nothing is ordered for a host that does not lead here, and orders of all nodes together keep a pace
 * that public authorities allow. Private keys are made here and leave this room sealed only; each certificate has a new one.
 *
 * States of a row: wanted (no chain yet) → obtained → due again → obtained …; `error` says what the last try came to. It goes when whom it belongs to is gone, or when
 * it has long expired and its host leads elsewhere.
 */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import { repeat } from '#base/repeat.ts';
import type { Certificate, CertificateOutcome, CertificateStore } from '#store/certificate-store.ts';
import { AcmeClient, AcmeError } from './acme-client.ts';
import type { AcmeHttp } from './acme-http.ts';
import { signingRequest } from './signing-request.ts';
import { accountKeyContext, certificateKeyContext, type Vault } from './vault.ts';

const LOOK_MS = 20_000;
const OBTAIN_MS = 300_000;
/** Longer than a try takes. */
const HOLD_MS = 420_000;
const CHALLENGE_MS = 600_000;
/** After the first failure, the second, …; the last one repeats. Public authorities allow five failed proofs of a name in an hour. */
const RETRY_MS = [300_000, 900_000, 3_600_000, 4 * 3_600_000, 12 * 3_600_000, 24 * 3_600_000] as const;
/** 300 orders in 3 hours are what the largest authority allows an account. */
const ORDER_SPACING_MS = 40_000;
const ORDERS_AHEAD = 20;
const PACED_MS = 60_000;
/** What an authority refuses one name for is not to keep the others waiting for long. */
const PAUSE_ALL_MAX_MS = 600_000;
const RATE_LIMITED_MS = 3_600_000;
const PUT_OFF_MAX_MS = 7 * 86_400_000;
const FORGET_AFTER_MS = 30 * 86_400_000;
const CHAIN_MAX = 64 * 1024;
const ERROR_MAX = 500;
const MINUTE_MS = 60_000;

export interface KeeperOptions {
  readonly store: CertificateStore;
  readonly vault: Vault;
  readonly http: AcmeHttp;
  readonly directory: string;
  readonly email: string;
  /** The installation's own. */
  readonly names: readonly string[];
  /** Whom it belongs to is still there. */
  readonly isOwned: (certificate: Certificate) => Promise<boolean>;
  /** undefined: the host leads here; else where it leads, in words. */
  readonly leadsElsewhere: (name: string, isOwn: boolean) => Promise<string | undefined>;
  /** There is a new one. */
  readonly obtained: (name: string) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly lookMs?: number;
}

export interface Keeper {
  /** Something may be due. */
  ring(): void;
  /** Breaks off what is under way; another node, or the next start, goes on with it. */
  stop(): Promise<void>;
}

export function startKeeper(options: KeeperOptions): Keeper {
  const { store, names, clock, log, http, lookMs = LOOK_MS } = options;
  const work = new CertificateWork(options);
  const keeping = repeat({
    async round(stopped) {
      for (const name of names) await store.wantCertificate(name, 0, clock.nowMs());
      while (!stopped.aborted && (await work.one(stopped)));
      return false;
    },
    pauseMs: lookMs,
    log,
    trouble: 'certificates cannot be looked after at the moment',
  });

  return {
    ring: keeping.ring,
    async stop() {
      await keeping.stop();
      await http.close();
    },
  };
}

class CertificateWork {
  readonly #options: KeeperOptions;
  #client: AcmeClient | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** False: there is nothing to do. */
  async one(stopped: AbortSignal): Promise<boolean> {
    const { store, clock } = this.#options;
    const nowMs = clock.nowMs();
    const claimed = await store.claimCertificate(nowMs, nowMs + HOLD_MS);
    if (claimed === undefined) return false;
    await store.settleCertificate(claimed.name, claimed.epoch, await this.#outcomeOf(claimed, stopped));
    this.#options.obtained(claimed.name);
    return true;
  }

  /** undefined: it goes. */
  async #outcomeOf(claimed: Certificate, stopped: AbortSignal): Promise<CertificateOutcome | undefined> {
    const { store, directory, clock, log, isOwned, leadsElsewhere } = this.#options;
    const { name, domainId } = claimed;
    const nowMs = clock.nowMs();
    try {
      if (!(await isOwned(claimed))) return undefined;
      const elsewhere = await leadsElsewhere(name, domainId === 0);
      if (elsewhere !== undefined) {
        const sinceMs = claimed.notAfterMs === 0 ? claimed.createdMs : claimed.notAfterMs;
        if (domainId !== 0 && sinceMs + FORGET_AFTER_MS < nowMs) return undefined;
        return this.#failed(claimed, elsewhere);
      }
      if (!(await store.takeOrder(directory, nowMs, ORDER_SPACING_MS, ORDERS_AHEAD))) return { ...claimed, dueMs: nowMs + PACED_MS };
      const made = await this.#obtain(name, stopped);
      log.info({ name, until: new Date(made.notAfterMs).toISOString() }, 'a certificate was obtained');
      return { ...made, triedMs: nowMs, failures: 0, error: '' };
    } catch (error) {
      if (stopped.aborted) return claimed;
      if (error instanceof AcmeError) await this.#pause(error);
      return this.#failed(claimed, errorText(error), error instanceof AcmeError ? waitOf(error) : undefined);
    }
  }

  async #obtain(
    name: string,
    stopped: AbortSignal,
  ): Promise<Pick<CertificateOutcome, 'chain' | 'sealedKey' | 'notBeforeMs' | 'notAfterMs' | 'dueMs'>> {
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(OBTAIN_MS)]);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    this.#client ??= await this.#open();
    const chain = await this.#client.obtain(name, signingRequest(name, privateKey), signal);
    const { notBeforeMs, notAfterMs } = checked(chain, name, privateKey, this.#options.clock.nowMs());
    return {
      chain,
      sealedKey: this.#options.vault.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), certificateKeyContext(name)),
      notBeforeMs,
      notAfterMs,
      dueMs: Math.round(notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3),
    };
  }

  /** With the key that all nodes share. */
  async #open(): Promise<AcmeClient> {
    const { store, vault, http, directory, email, clock } = this.#options;
    const context = accountKeyContext(directory);
    const make = (): Buffer => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
      return vault.seal(privateKey.export({ format: 'der', type: 'pkcs8' }), context);
    };
    const sealed = (await store.acmeKey(directory)) ?? (await store.putAcmeKey(directory, make()));
    return new AcmeClient({
      http,
      directory,
      email,
      accountKey: createPrivateKey({ key: vault.unseal(sealed, context), format: 'der', type: 'pkcs8' }),
      publish: (token, answer) => store.putChallenge(token, answer, clock.nowMs(), clock.nowMs() + CHALLENGE_MS),
      withdraw: (token) => store.deleteChallenge(token),
    });
  }

  async #pause(error: AcmeError): Promise<void> {
    const { store, directory, clock } = this.#options;
    const waitMs = waitOf(error);
    if (waitMs === undefined) return;
    // Takes `ORDERS_AHEAD` into account, which would else go on at once.
    await store.pauseOrders(directory, clock.nowMs() + Math.min(waitMs, PAUSE_ALL_MAX_MS) + ORDER_SPACING_MS * ORDERS_AHEAD);
  }

  #failed(claimed: Certificate, error: string, waitMs = 0): CertificateOutcome {
    const { clock, log } = this.#options;
    const { name, failures, notAfterMs } = claimed;
    const nowMs = clock.nowMs();
    const retryMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] as number;
    const dueMs = nowMs + Math.min(Math.max(retryMs, waitMs), PUT_OFF_MAX_MS);
    const fields = { name, error, again: new Date(dueMs).toISOString() };
    if (notAfterMs === 0) log.warn(fields, 'a certificate could not be obtained');
    else log.warn({ ...fields, until: new Date(notAfterMs).toISOString() }, 'a certificate could not be renewed');
    return { ...claimed, dueMs, triedMs: nowMs, failures: failures + 1, error: error.slice(0, ERROR_MAX) };
  }
}

/** How long the authority wants to be left alone. */
function waitOf({ retryAfterMs, type, status }: AcmeError): number | undefined {
  const isBusy = type === 'rateLimited' || status === 429 || status === 503;
  return isBusy ? (retryAfterMs ?? (status === 503 ? MINUTE_MS : RATE_LIMITED_MS)) : undefined;
}

/** What came is for this name and this key, and holds now. */
function checked(
  chain: string,
  name: string,
  key: KeyObject,
  nowMs: number,
): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  if (chain.length > CHAIN_MAX) throw new AcmeError('the certificate chain is too long');
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(chain);
  } catch {
    throw new AcmeError('what the authority sent is no certificate');
  }
  if (!leaf.checkPrivateKey(key) || leaf.checkHost(name) === undefined) throw new AcmeError('the certificate is for another name or key');
  const [notBeforeMs, notAfterMs] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
  if (notAfterMs <= nowMs) throw new AcmeError('the certificate has expired already');
  return { notBeforeMs, notAfterMs };
}
