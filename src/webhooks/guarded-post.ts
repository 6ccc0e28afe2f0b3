/**
 * Posts to a URL that a stranger wrote. Only http and https; only to addresses that may be connected to: a name is resolved here, each of its addresses is
 * checked, and the connection is made to a checked address itself, so that no second answer of the DNS can lead elsewhere. The same holds for every redirect.
 *
 * Redirects: 307 and 308, which mean "the same request there", are followed a few times, never from https to http. 301, 302 and 303 are not: they would turn the
 * POST into a GET without its body, whose success would mean nothing.
 *
 * Everything is bounded: connecting, the whole exchange with all its redirects, header and body of the answer. The body is read for the sake of the connection and
 * thrown away, but for how it begins. A login in the URL is sent as Basic authentication to that very server and to no other; it and the query appear in no text made here.
 * Never rejects: trouble is a result.
 */
import { Readable } from 'node:stream';
import type { AddressGuard } from '#base/address-guard.ts';
import type { Resolver } from '#dns/resolver.ts';
import { KeptConnections } from './kept-connections.ts';

export interface PostRequest {
  readonly url: string;
  /** Names and values are printable ASCII. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: readonly Buffer[];
  /** The body for a second time, on a connection of its own, where a kept one was cut without an answer. Default: the same. */
  readonly bodyAgain?: () => readonly Buffer[];
}

export type PostResult =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly address: string;
      readonly retryAfterMs?: number;
      readonly text: string;
      readonly excerpt?: string;
    }
  /** It must not be connected to, now or later. */
  | { readonly kind: 'refused'; readonly text: string }
  /** No answer. */
  | { readonly kind: 'failed'; readonly text: string; readonly address?: string };

export interface PosterDeps {
  readonly resolver: Pick<Resolver, 'addresses'>;
  readonly guard: Pick<AddressGuard, 'refusal'>;
  /** For the whole exchange. */
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Certificates (PEM) that are trusted instead of the usual ones. */
  readonly roots?: readonly string[];
}

export interface Poster {
  post(request: PostRequest, signal: AbortSignal): Promise<PostResult>;
  close(): void;
}

export const REDIRECTS_MAX = 3;
const ADDRESSES_TRIED_MAX = 4;
const ANSWER_HEADER_BYTES_MAX = 16 * 1024;
const ANSWER_BYTES_MAX = 64 * 1024;
const RETRY_AFTER_MAX_MS = 3_600_000;

export function createPoster(deps: PosterDeps): Poster {
  const connections = new KeptConnections({
    connectTimeoutMs: deps.connectTimeoutMs,
    answerHeaderBytesMax: ANSWER_HEADER_BYTES_MAX,
    ...(deps.roots !== undefined && { roots: deps.roots }),
  });
  return {
    async post(request, signal) {
      if (signal.aborted) return STOPPED;
      await connections.load();
      const cut = new Cut();
      const timer = setTimeout(() => cut.fire(`no complete answer within ${deps.timeoutMs / 1000} s`), deps.timeoutMs);
      const onStop = (): void => cut.fire(STOPPED.text);
      signal.addEventListener('abort', onStop, { once: true });
      try {
        return await follow({ ...deps, connections, cut }, request);
      } catch (error) {
        return { kind: 'failed', text: cut.reason ?? troubleOf(error) };
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', onStop);
      }
    },
    close: () => connections.close(),
  };
}

const STOPPED = { kind: 'failed', text: 'it was stopped' } as const satisfies PostResult;

/** Ends a post before its end: what runs registers how it is ended. Lighter than an AbortController, of which each post would need several listeners. */
class Cut {
  reason: string | undefined;
  #onFire: ((error: Error) => void) | undefined;

  fire(reason: string): void {
    this.reason ??= reason;
    this.#onFire?.(new Error(this.reason));
  }

  /** Replaces what was registered before; at once when it has fired. */
  whenFired(onFire: (error: Error) => void): void {
    this.#onFire = onFire;
    if (this.reason !== undefined) onFire(new Error(this.reason));
  }
}

interface Posting extends PosterDeps {
  readonly connections: KeptConnections;
  readonly cut: Cut;
}

async function follow(posting: Posting, request: PostRequest): Promise<PostResult> {
  const first = parsed(request.url);
  if (first === undefined) return { kind: 'refused', text: 'this is no URL of http or https' };
  let url = first;
  for (let redirects = 0; ; redirects++) {
    const hop = await postTo(posting, url, credentials(first, url), request);
    if (hop.kind !== 'answered') return redirects === 0 ? hop : { ...hop, text: `redirected to ${shownUrl(url)}: ${hop.text}` };
    const { location, ...answer } = hop;
    if (answer.status < 300 || answer.status > 399 || answer.status === 304) return answer;
    if (answer.status !== 307 && answer.status !== 308)
      return { ...answer, text: `${answer.text}: such a redirect of a POST is not followed, only 307 and 308 are` };
    if (redirects >= REDIRECTS_MAX) return { ...answer, text: `${answer.text}: redirected more than ${REDIRECTS_MAX} times` };
    const next = parsed(location ?? '', url);
    if (next === undefined) return { kind: 'refused', text: 'redirected to what is no URL of http or https' };
    if (url.protocol === 'https:' && next.protocol === 'http:')
      return { kind: 'refused', text: `redirected from https to ${shownUrl(next)}, without TLS` };
    url = next;
  }
}

/** A URL of http or https, of sensible length. */
function parsed(text: string, base?: URL): URL | undefined {
  if (text.length > URL_CHARACTERS_MAX || !URL.canParse(text, base?.href)) return undefined;
  const url = new URL(text, base?.href);
  return url.protocol === 'http:' || url.protocol === 'https:' ? url : undefined;
}

const URL_CHARACTERS_MAX = 4096;

/** The login of the URL that was asked for; what a redirect names is not used. */
function credentials(first: URL, url: URL): string | undefined {
  if (first.origin !== url.origin || (first.username === '' && first.password === '')) return undefined;
  const login = `${decoded(first.username)}:${decoded(first.password)}`;
  return `Basic ${Buffer.from(login).toString('base64')}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** For people and logs: without login, query and fragment, which may be secrets. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname.slice(0, 200)}${url.search === '' ? '' : '?…'}`;
}

type Answered = Extract<PostResult, { readonly kind: 'answered' }>;
type Hop = Exclude<PostResult, Answered> | (Answered & { readonly location?: string });

async function postTo(posting: Posting, url: URL, authorization: string | undefined, request: PostRequest): Promise<Hop> {
  const found = await allowedAddresses(posting, url);
  if ('kind' in found) return found;
  let trouble = '';
  for (const address of found.slice(0, ADDRESSES_TRIED_MAX)) {
    const exchange = { posting, url, address, authorization, request };
    let hop = await exchanged(exchange);
    // A kept connection that the server closed meanwhile: nothing was answered, and it says nothing about the server.
    if (hop.kind === 'failed' && hop.wasKept && posting.cut.reason === undefined)
      hop = await exchanged({ ...exchange, request: { ...request, body: request.bodyAgain?.() ?? request.body }, isFresh: true });
    if (posting.cut.reason !== undefined && hop.kind === 'failed') return { kind: 'failed', text: posting.cut.reason };
    if (hop.kind === 'answered' || hop.hasConnected) return stripped(hop);
    trouble += `${trouble === '' ? '' : '; '}${address}: ${hop.text}`;
  }
  return { kind: 'failed', text: `cannot connect: ${trouble}` };
}

/** Of the host; what none may be connected to is refused. */
async function allowedAddresses({ resolver, guard, cut }: Posting, url: URL): Promise<readonly string[] | Exclude<PostResult, Answered>> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isLiteral = url.hostname.startsWith('[') || /^[\d.]+$/.test(host);
  let addresses: readonly string[] = isLiteral ? [host] : LOCAL_NAME.test(host) ? ['127.0.0.1', '::1'] : [];
  if (addresses.length === 0) {
    const answer = await untilCut(resolver.addresses(host), cut);
    if (answer.kind !== 'found') {
      const why = { 'no-such-domain': 'there is no such host', none: 'the host has no address', trouble: '' }[answer.kind];
      return { kind: 'failed', text: answer.kind === 'trouble' ? answer.trouble : why };
    }
    addresses = answer.records;
  }
  const refusals = new Set<string>();
  const allowed = addresses.filter((address) => {
    const refusal = guard.refusal(address);
    if (refusal !== undefined) refusals.add(refusal);
    return refusal === undefined;
  });
  if (allowed.length > 0) return allowed;
  return { kind: 'refused', text: `nothing is posted to ${[...refusals].join(' and ')} addresses (see webhooks.allow_networks)` };
}

/** RFC 6761 §6.3 */
const LOCAL_NAME = /^(?:[^.]+\.)*localhost\.?$/;

function untilCut<T>(promise: Promise<T>, cut: Cut): Promise<T> {
  return new Promise((resolve, reject) => {
    cut.whenFired(reject);
    promise.then(resolve, reject);
  });
}

interface Exchange {
  readonly posting: Posting;
  readonly url: URL;
  readonly address: string;
  readonly authorization: string | undefined;
  readonly request: PostRequest;
  /** On a connection of its own. */
  readonly isFresh?: true;
}

type Exchanged =
  | (Extract<Hop, { readonly kind: 'answered' }> & { readonly hasConnected: true })
  | { readonly kind: 'failed'; readonly text: string; readonly address: string; readonly hasConnected: boolean; readonly wasKept: boolean };

function stripped(exchanged: Exchanged): Hop {
  if (exchanged.kind === 'answered') {
    const { hasConnected: _connected, ...hop } = exchanged;
    return hop;
  }
  return { kind: 'failed', text: exchanged.text, address: exchanged.address };
}

/** One request to one address. */
function exchanged({ posting, url, address, authorization, request, isFresh }: Exchange): Promise<Exchanged> {
  const { connections, connectTimeoutMs, cut } = posting;
  return new Promise((resolve) => {
    const connection = connections.take(url, address, isFresh);
    const wasKept = connection.isKept;
    let hasConnected = false;
    let answer: AnswerFacts | undefined;
    let excerpt = '';
    let bytes = 0;
    const answered = (facts: AnswerFacts): void =>
      resolve({ kind: 'answered', ...facts, ...(excerpt !== '' && { excerpt }), address, hasConnected: true });
    cut.whenFired((error) => connections.drop(connection, error));
    connection.client.dispatch(
      { method: 'POST', path: `${url.pathname}${url.search}`, headers: headersFor(url, authorization, request), body: bodyOf(request) },
      {
        onRequestStart() {
          hasConnected = true;
        },
        onResponseStart(_controller, status, headers) {
          // An interim answer (RFC 9110 §15.2).
          if (status >= 200) answer = factsOf(status, headers);
        },
        // Read for the sake of the connection: to its end, its limit or the deadline, whichever comes first.
        onResponseData(controller, chunk) {
          if (excerpt.length < EXCERPT_CHARACTERS_MAX) excerpt = (excerpt + shownText(chunk)).slice(0, EXCERPT_CHARACTERS_MAX);
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) controller.abort(new Error('the answer is too long'));
        },
        onResponseEnd() {
          connections.give(connection);
          if (answer !== undefined) answered(answer);
        },
        onResponseError(_controller, error) {
          connections.drop(connection);
          // What breaks after the answer's header (the rest of a body that nobody wanted, say) changes nothing.
          if (answer !== undefined) return answered(answer);
          resolve({ kind: 'failed', text: troubleOf(error, connectTimeoutMs), address, hasConnected, wasKept: wasKept && hasConnected });
        },
      },
    );
  });
}

/** A stranger's octets as text, without control characters. */
function shownText(chunk: Buffer): string {
  return chunk
    .toString('utf8', 0, EXCERPT_CHARACTERS_MAX * 4)
    .replace(/[\p{Cc}]/gu, (character) => ('\t\r\n'.includes(character) ? character : '\ufffd'));
}

/** What the answer's body began with, for people. */
const EXCERPT_CHARACTERS_MAX = 500;

function headersFor(url: URL, authorization: string | undefined, request: PostRequest): Record<string, string> {
  const sizeBytes = request.body.reduce((sum, chunk) => sum + chunk.length, 0);
  return { host: url.host, 'content-length': String(sizeBytes), ...request.headers, ...(authorization !== undefined && { authorization }) };
}

/** Chunks are written one by one; they are never joined in memory. */
function bodyOf({ body }: PostRequest): Buffer | Readable {
  const [only, ...more] = body;
  return more.length === 0 ? (only ?? NOTHING) : Readable.from(body);
}

const NOTHING = Buffer.alloc(0);

interface AnswerFacts {
  readonly status: number;
  readonly text: string;
  readonly retryAfterMs?: number;
  readonly location?: string;
}

function factsOf(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): AnswerFacts {
  const { 'retry-after': retryAfter, location } = headers;
  const seconds = typeof retryAfter === 'string' && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  return {
    status,
    text: `HTTP ${status}`,
    ...(seconds !== undefined && { retryAfterMs: Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) }),
    ...(typeof location === 'string' && { location }),
  };
}

const TROUBLES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_SOCKET: 'the connection was cut',
  UND_ERR_HEADERS_OVERFLOW: 'the header of the answer is too large',
};

function troubleOf(error: unknown, connectTimeoutMs?: number): string {
  const { code, message, name } = error as { readonly code?: unknown; readonly message?: unknown; readonly name?: unknown };
  const known = typeof code === 'string' ? TROUBLES[code] : undefined;
  if (known !== undefined) return known;
  if (code === 'UND_ERR_CONNECT_TIMEOUT' && connectTimeoutMs !== undefined) return `no connection within ${connectTimeoutMs / 1000} s`;
  if (name === 'HTTPParserError') return 'what came back is not HTTP';
  return String(message ?? error).slice(0, TROUBLE_CHARACTERS_MAX);
}

const TROUBLE_CHARACTERS_MAX = 200;
