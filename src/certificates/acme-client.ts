/**
 * A client of certificate authorities (ACME, RFC 8555) that proves names by answering over HTTP (http-01, §8.3). `obtain` goes the whole way for one name:
 * order, proof, request, certificate. It keeps nothing: the account's key comes from its caller, and what is to be answered is handed to `publish`.
 *
 * What the authority says no to is an `AcmeError` with its words. Nonces that it calls bad are replaced (§6.5), which is part of its everyday.
 */
import { createHash, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { errorText } from '#base/error-text.ts';
import type { AcmeAnswer, AcmeHttp } from './acme-http.ts';

const ANSWER_MS = 30_000;
const NONCE_TRIES = 4;
const POLL_MIN_MS = 250;
const POLL_MAX_MS = 10_000;
const WORDS_MAX = 300;
const AUTHORIZATIONS_MAX = 10;

export class AcmeError extends Error {
  /** The last part of the problem's type, such as "rateLimited"; '' when the authority gave none. */
  readonly type: string;
  readonly status: number;
  /** The authority wants nothing to be asked before that much time is over. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, type = '', status = 0, retryAfterMs?: number) {
    super(message);
    this.name = 'AcmeError';
    this.type = type;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface AcmeClientOptions {
  readonly http: AcmeHttp;
  readonly directory: string;
  readonly email: string;
  /** Private, on P-256. */
  readonly accountKey: KeyObject;
  /** Makes the answer to be had under /.well-known/acme-challenge/TOKEN, on every node, before it resolves. */
  readonly publish: (token: string, answer: string) => Promise<void>;
  readonly withdraw: (token: string) => Promise<void>;
}

const directoryAnswer = z.object({ newNonce: z.url(), newAccount: z.url(), newOrder: z.url() });
const orderAnswer = z.object({
  status: z.string(),
  authorizations: z.array(z.url()).max(AUTHORIZATIONS_MAX),
  finalize: z.url(),
  certificate: z.url().optional(),
  error: z.object({ detail: z.string().optional(), type: z.string().optional() }).optional(),
});
const problem = z.object({ type: z.string().optional(), detail: z.string().optional() });
const challenge = z.object({
  type: z.string(),
  url: z.string(),
  token: z.string().optional(),
  status: z.string().optional(),
  error: problem.optional(),
});
const authorization = z.object({ status: z.string(), challenges: z.array(challenge) });
const problemAnswer = problem.extend({ subproblems: z.array(problem).optional() });

type Directory = z.infer<typeof directoryAnswer>;
type Authorization = z.infer<typeof authorization>;

export class AcmeClient {
  readonly #options: AcmeClientOptions;
  readonly #jwk: Readonly<Record<string, unknown>>;
  readonly #thumbprint: string;
  #directory: Directory | undefined;
  #account: string | undefined;
  #nonce: string | undefined;

  constructor(options: AcmeClientOptions) {
    this.#options = options;
    const { crv, kty, x, y } = options.accountKey.export({ format: 'jwk' });
    // In the order that RFC 7638 §3 hashes it.
    this.#jwk = { crv, kty, x, y };
    this.#thumbprint = createHash('sha256').update(JSON.stringify(this.#jwk)).digest('base64url');
  }

  /** The chain, PEM, as the authority gave it. `request`: DER, for that name. */
  async obtain(name: string, request: Buffer, signal: AbortSignal): Promise<string> {
    const { newOrder } = await this.#urls(signal);
    const begun = await this.#asAccount(newOrder, { identifiers: [{ type: 'dns', value: name }] }, signal);
    const orderUrl = located(begun, newOrder);
    const order = parsed(orderAnswer, begun);
    for (const url of order.authorizations) await this.#prove(url, signal);
    const ready = order.status === 'valid' ? order : await this.#until(orderUrl, orderAnswer, ({ status }) => status !== 'pending', signal);
    if (ready.status === 'ready') await this.#asAccount(ready.finalize, { csr: request.toString('base64url') }, signal);
    const done = await this.#until(orderUrl, orderAnswer, ({ status }) => status === 'valid' || status === 'invalid', signal);
    if (done.status !== 'valid' || done.certificate === undefined)
      throw new AcmeError(`the order failed: ${words(done.error?.detail)}`, lastPart(done.error?.type));
    return (await this.#asAccount(done.certificate, undefined, signal)).text;
  }

  async #prove(url: string, signal: AbortSignal): Promise<void> {
    const { publish, withdraw } = this.#options;
    const found = parsed(authorization, await this.#asAccount(url, undefined, signal));
    if (found.status === 'valid') return;
    const http = found.challenges.find(({ type }) => type === 'http-01');
    // RFC 8555 §8.3: base64url, at least 128 bits; it becomes part of a path and the key of a row.
    if (http?.token === undefined || !/^[\w-]{16,200}$/.test(http.token))
      throw new AcmeError('the authority does not offer a proof over HTTP (http-01) for this name');
    await publish(http.token, `${http.token}.${this.#thumbprint}`);
    try {
      await this.#asAccount(http.url, {}, signal);
      const ended = await this.#until(url, authorization, ({ status }) => status !== 'pending' && status !== 'processing', signal);
      if (ended.status !== 'valid') throw refusedProof(ended);
    } finally {
      await withdraw(http.token);
    }
  }

  /** Looks again until something came of it, as often as the authority wishes (§7.5.1). */
  async #until<T>(url: string, shape: z.ZodType<T>, isOver: (value: T) => boolean, signal: AbortSignal): Promise<T> {
    for (let pauseMs = POLL_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, POLL_MAX_MS)) {
      const answer = await this.#asAccount(url, undefined, signal);
      const value = parsed(shape, answer);
      if (isOver(value)) return value;
      await sleep(Math.max(POLL_MIN_MS, Math.min(retryAfterMs(answer) ?? pauseMs, POLL_MAX_MS)), undefined, { signal });
    }
  }

  /** Signed as our account; `payload` undefined: POST-as-GET (§6.3). */
  async #asAccount(url: string, payload: object | undefined, signal: AbortSignal): Promise<AcmeAnswer> {
    const kid = (this.#account ??= await this.#register(signal));
    try {
      return await this.#post(url, payload, { kid }, signal);
    } catch (error) {
      if (error instanceof AcmeError && error.type === 'accountDoesNotExist') this.#account = undefined;
      throw error;
    }
  }

  /** An account that stands already is found by its key (§7.3). */
  async #register(signal: AbortSignal): Promise<string> {
    const { newAccount } = await this.#urls(signal);
    const payload = { termsOfServiceAgreed: true, contact: [`mailto:${this.#options.email}`] };
    return located(await this.#post(newAccount, payload, { jwk: this.#jwk }, signal), newAccount);
  }

  async #post(url: string, payload: object | undefined, who: object, signal: AbortSignal): Promise<AcmeAnswer> {
    for (let tries = 1; ; tries++) {
      const nonce = this.#nonce ?? (await this.#newNonce(signal));
      this.#nonce = undefined;
      const body = this.#signed({ alg: 'ES256', nonce, url, ...who }, payload);
      const answer = await this.#ask('POST', url, body, signal);
      this.#nonce = answer.header('replay-nonce');
      if (answer.status < 400) return answer;
      const error = refusal(answer);
      if (error.type !== 'badNonce' || tries === NONCE_TRIES) throw error;
    }
  }

  #signed(header: object, payload: object | undefined): string {
    const [first, second] = [encoded(header), payload === undefined ? '' : encoded(payload)];
    const signature = sign('sha256', Buffer.from(`${first}.${second}`), { key: this.#options.accountKey, dsaEncoding: 'ieee-p1363' });
    return JSON.stringify({ protected: first, payload: second, signature: signature.toString('base64url') });
  }

  async #newNonce(signal: AbortSignal): Promise<string> {
    const { newNonce } = await this.#urls(signal);
    const answer = await this.#ask('HEAD', newNonce, undefined, signal);
    const nonce = answer.header('replay-nonce');
    if (nonce === undefined) throw refusal(answer);
    return nonce;
  }

  async #urls(signal: AbortSignal): Promise<Directory> {
    if (this.#directory !== undefined) return this.#directory;
    const answer = await this.#ask('GET', this.#options.directory, undefined, signal);
    if (answer.status !== 200) throw refusal(answer);
    return (this.#directory = parsed(directoryAnswer, answer));
  }

  async #ask(method: 'HEAD' | 'GET' | 'POST', url: string, body: string | undefined, signal: AbortSignal): Promise<AcmeAnswer> {
    try {
      return await this.#options.http.ask(method, url, body, AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]));
    } catch (error) {
      // The nonce may be used up or not.
      this.#nonce = undefined;
      signal.throwIfAborted();
      throw new AcmeError(`the authority gave no answer (${words(errorText(error))})`);
    }
  }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function parsed<T>(shape: z.ZodType<T>, { text }: AcmeAnswer): T {
  const result = shape.safeParse(jsonOf(text));
  if (!result.success) throw new AcmeError('the answer of the authority is not what RFC 8555 says it is');
  return result.data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function located(answer: AcmeAnswer, base: string): string {
  const url = URL.parse(answer.header('location') ?? '', base);
  if (url === null || answer.header('location') === undefined) throw new AcmeError('the answer of the authority has no Location');
  return url.href;
}

/** RFC 8555 §6.7: a problem document (RFC 9457). */
function refusal(answer: AcmeAnswer): AcmeError {
  const told = problemAnswer.safeParse(jsonOf(answer.text));
  const { type, detail, subproblems = [] } = told.success ? told.data : {};
  const all = [detail, ...subproblems.map((each) => each.detail)].filter((text) => text !== undefined).join('; ');
  return new AcmeError(`the authority answered ${answer.status}: ${words(all)}`, lastPart(type), answer.status, retryAfterMs(answer));
}

function refusedProof({ status, challenges }: Authorization): AcmeError {
  const failed = challenges.find(({ error }) => error !== undefined)?.error;
  return new AcmeError(`the proof over HTTP was not accepted (${status}): ${words(failed?.detail)}`, lastPart(failed?.type));
}

function lastPart(type = ''): string {
  return /^urn:ietf:params:acme:error:(\w{1,40})$/.exec(type)?.[1] ?? '';
}

/** Text of strangers that goes into the log and to API clients. */
function words(text = ''): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim();
  return line === '' ? 'it gave no reason' : line.slice(0, WORDS_MAX);
}

/** RFC 9110 §10.2.3 */
function retryAfterMs(answer: AcmeAnswer): number | undefined {
  const text = answer.header('retry-after')?.trim();
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - Date.now());
}
