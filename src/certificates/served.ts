/**
 * The certificates that are in use, by host: asked at each handshake, so kept in memory, and looked at again in the store after a while, for another node may have
 * renewed one. What is known stays in use while the store is away. Strangers may ask for any name: what is remembered and how many looks
 * are under way is bounded, and beyond that there is none.
 */
import { constants, createPrivateKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import type { CertificateStore } from '#store/certificate-store.ts';
import { certificateKeyContext, type Vault } from './vault.ts';

const KNOWN_MAX = 5000;
const FRESH_MS = 30_000;
const LOOKS_MAX = 64;
/** RFC 1035 §2.3.4, as written. */
const HOST = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/;

interface Known {
  readonly context: SecureContext | undefined;
  readonly notAfterMs: number;
  /** Tells certificates of one name apart. */
  readonly notBeforeMs: number;
  readonly freshUntilMs: number;
}

export interface ServedOptions {
  readonly store: Pick<CertificateStore, 'certificateOf'>;
  readonly vault: Pick<Vault, 'unseal'>;
  readonly clock: Clock;
  readonly log: Log;
}

export class ServedCertificates {
  readonly #options: ServedOptions;
  readonly #known = new BoundedCache<string, Known>({ max: KNOWN_MAX });
  readonly #looks = new Map<string, Promise<Known | undefined>>();

  constructor(options: ServedOptions) {
    this.#options = options;
  }

  /** undefined: there is none that holds. Never rejects. */
  async contextFor(host: string): Promise<SecureContext | undefined> {
    const name = host.toLowerCase();
    if (!HOST.test(name)) return undefined;
    const known = this.#known.get(name, this.#options.clock.monotonicMs());
    if (known !== undefined && known.freshUntilMs > this.#options.clock.monotonicMs()) return this.#valid(known);
    // An old one is in use while the store is asked.
    const looked = this.#look(name);
    return this.#valid(known?.context === undefined ? await looked : known);
  }

  /** As far as is known by now; what is not is looked up beside. */
  peek(host: string): SecureContext | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#known.get(host, nowMs);
    if (known === undefined || known.freshUntilMs <= nowMs) void this.#look(host);
    return this.#valid(known);
  }

  /** There may be another one now. */
  forget(name: string): void {
    this.#known.delete(name);
    void this.#look(name);
  }

  #valid(known: Known | undefined): SecureContext | undefined {
    return known !== undefined && known.notAfterMs > this.#options.clock.nowMs() ? known.context : undefined;
  }

  async #look(name: string): Promise<Known | undefined> {
    const under = this.#looks.get(name);
    if (under !== undefined) return under;
    if (this.#looks.size >= LOOKS_MAX) return undefined;
    const look = this.#read(name).finally(() => this.#looks.delete(name));
    this.#looks.set(name, look);
    return look;
  }

  async #read(name: string): Promise<Known | undefined> {
    const { store, vault, clock, log } = this.#options;
    const before = this.#known.get(name, clock.monotonicMs());
    try {
      const found = await store.certificateOf(name);
      const freshUntilMs = clock.monotonicMs() + FRESH_MS;
      let known: Known = { context: undefined, notAfterMs: 0, notBeforeMs: 0, freshUntilMs };
      if (found !== undefined && found.chain !== '') {
        const { chain, sealedKey, notAfterMs, notBeforeMs } = found;
        const isSame = before?.context !== undefined && before.notBeforeMs === notBeforeMs && before.notAfterMs === notAfterMs;
        const key = (): Buffer => vault.unseal(sealedKey, certificateKeyContext(name));
        known = { context: isSame ? before.context : contextOf(chain, key()), notAfterMs, notBeforeMs, freshUntilMs };
      }
      this.#known.set(name, known, clock.monotonicMs());
      return known;
    } catch (error) {
      log.warn({ name, error: errorText(error) }, 'a certificate cannot be read; what was known stays in use');
      if (before !== undefined) this.#known.set(name, { ...before, freshUntilMs: clock.monotonicMs() + FRESH_MS }, clock.monotonicMs());
      return before;
    }
  }
}

function contextOf(chain: string, key: Buffer): SecureContext {
  return createSecureContext({
    cert: chain,
    key: createPrivateKey({ key, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }),
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  });
}
