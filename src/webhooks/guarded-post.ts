/**
 * Posts to a URL that a stranger wrote. Only http and https; only to addresses that may be connected to: a name is resolved here, each of its addresses is
 * checked, and the connection is made to a checked address itself, so that no second answer of the DNS can lead elsewhere. The same holds for every redirect.
 *
 * Redirects: 307 and 308, which mean "the same request there", are followed a few times, never from https to http. 301, 302 and 303 are not: they would turn the
 * POST into a GET without its body, whose success would mean nothing.
 *
 * Everything is bounded: connecting, the whole exchange with all its redirects, header and body of the answer. The body is read for the sake of the connection and
 * thrown away. A login in the URL is sent as Basic authentication to that very server and to no other; it and the query appear in no text made here.
 * Never rejects: trouble is a result.
 */
import { type Agent as HttpAgent, type ClientRequest, type IncomingMessage, Agent as PlainAgent, request as httpRequest } from 'node:http';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';
import type { AddressGuard } from '#base/address-guard.ts';
import type { Resolver } from '#dns/resolver.ts';

export interface PostRequest {
  readonly url: string;
  /** Names and values are printable ASCII. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: readonly Buffer[];
}

export type PostResult =
  | { readonly kind: 'answered'; readonly status: number; readonly address: string; readonly retryAfterMs?: number; readonly text: string }
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
/** Connections without work, each for a while that is shorter than most servers wait. */
const IDLE_CONNECTIONS_MAX = 256;
const IDLE_MS = 4000;
const RETRY_AFTER_MAX_MS = 3_600_000;

export function createPoster(deps: PosterDeps): Poster {
  const options = { keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS_MAX, timeout: IDLE_MS };
  const agents = {
    'http:': new PlainAgent(options),
    'https:': new TlsAgent({ ...options, ...(deps.roots !== undefined && { ca: [...deps.roots] }) }),
  };
  return {
    async post(request, signal) {
      // Not AbortSignal.timeout, whose timers stay for their whole time: thousands of posts in a second would pile them up.
      const cut = new AbortController();
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        cut.abort();
      }, deps.timeoutMs);
      const onStop = (): void => cut.abort();
      signal.addEventListener('abort', onStop, { once: true });
      if (signal.aborted) cut.abort();
      try {
        return await follow(deps, agents, request, cut.signal);
      } catch (error) {
        if (isLate) return { kind: 'failed', text: `no complete answer within ${deps.timeoutMs / 1000} s` };
        return { kind: 'failed', text: signal.aborted ? 'it was stopped' : troubleOf(error) };
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', onStop);
      }
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

type Agents = Readonly<Record<'http:' | 'https:', HttpAgent>>;

async function follow(deps: PosterDeps, agents: Agents, request: PostRequest, signal: AbortSignal): Promise<PostResult> {
  const first = parsed(request.url);
  if (first === undefined) return { kind: 'refused', text: 'this is no URL of http or https' };
  let url = first;
  for (let redirects = 0; ; redirects++) {
    const hop = await postTo(deps, agents, url, credentials(first, url), request, signal);
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

async function postTo(
  deps: PosterDeps,
  agents: Agents,
  url: URL,
  authorization: string | undefined,
  request: PostRequest,
  signal: AbortSignal,
): Promise<Hop> {
  const found = await allowedAddresses(deps, url, signal);
  if ('kind' in found) return found;
  let trouble = '';
  for (const address of found.slice(0, ADDRESSES_TRIED_MAX)) {
    const exchange = { url, address, authorization, request, agents, connectTimeoutMs: deps.connectTimeoutMs, signal };
    let hop = await exchanged(exchange);
    // A kept connection that the server closed meanwhile: nothing was answered, and it says nothing about the server.
    if (hop.kind === 'failed' && hop.wasKept) hop = await exchanged({ ...exchange, isFresh: true });
    if (hop.kind === 'answered' || hop.hasConnected || signal.aborted) return stripped(hop);
    trouble += `${trouble === '' ? '' : '; '}${address}: ${hop.text}`;
  }
  return { kind: 'failed', text: `cannot connect: ${trouble}` };
}

/** Of the host; what none may be connected to is refused. */
async function allowedAddresses(
  { resolver, guard }: PosterDeps,
  url: URL,
  signal: AbortSignal,
): Promise<readonly string[] | Exclude<PostResult, Answered>> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isLiteral = url.hostname.startsWith('[') || /^[\d.]+$/.test(host);
  let addresses: readonly string[] = isLiteral ? [host] : LOCAL_NAME.test(host) ? ['127.0.0.1', '::1'] : [];
  if (addresses.length === 0) {
    const answer = await untilStopped(resolver.addresses(host), signal);
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

async function untilStopped<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const onAbort = (): void => stopped.reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

interface Exchange {
  readonly url: URL;
  readonly address: string;
  readonly authorization: string | undefined;
  readonly request: PostRequest;
  readonly agents: Agents;
  readonly connectTimeoutMs: number;
  readonly signal: AbortSignal;
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
function exchanged(exchange: Exchange): Promise<Exchanged> {
  const { url, address, request, signal, connectTimeoutMs } = exchange;
  return new Promise((resolve, reject) => {
    let hasConnected = false;
    let isAnswered = false;
    const outgoing = open(exchange);
    const connecting = setTimeout(() => outgoing.destroy(new Error(`no connection within ${connectTimeoutMs / 1000} s`)), connectTimeoutMs);
    const connected = (): void => {
      hasConnected = true;
      clearTimeout(connecting);
    };
    outgoing.once('socket', (socket) => {
      if (outgoing.reusedSocket) connected();
      else socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', connected);
    });
    outgoing.once('response', (answer: IncomingMessage) => {
      connected();
      isAnswered = true;
      void drained(answer).then(() => resolve({ kind: 'answered', ...factsOf(answer), address, hasConnected: true }));
    });
    const failed = (error: Error): void => {
      clearTimeout(connecting);
      // What breaks after the answer's header (the rest of a body that nobody wanted, say) changes nothing.
      if (isAnswered) return;
      if (signal.aborted) return reject(signal.reason as Error);
      resolve({ kind: 'failed', text: troubleOf(error), address, hasConnected, wasKept: outgoing.reusedSocket && hasConnected });
    };
    outgoing.on('error', failed);
    outgoing.once('close', () => failed(new Error('the connection was closed without an answer')));
    for (const chunk of request.body) outgoing.write(chunk);
    outgoing.end();
  });
}

function open({ url, address, authorization, request, agents, signal, isFresh }: Exchange): ClientRequest {
  const isTls = url.protocol === 'https:';
  const isName = !url.hostname.startsWith('[') && !/^[\d.]+$/.test(url.hostname);
  const sizeBytes = request.body.reduce((sum, chunk) => sum + chunk.length, 0);
  return (isTls ? httpsRequest : httpRequest)({
    method: 'POST',
    host: address,
    port: url.port === '' ? (isTls ? 443 : 80) : Number(url.port),
    path: `${url.pathname}${url.search}`,
    headers: {
      host: url.host,
      'content-length': sizeBytes,
      ...request.headers,
      ...(authorization !== undefined && { authorization }),
    },
    // The certificate must be the name's, whatever address it has; that of a bare address is the address's own.
    ...(isTls && { servername: isName ? url.hostname : '' }),
    agent: isFresh === true ? false : agents[url.protocol as 'http:' | 'https:'],
    maxHeaderSize: ANSWER_HEADER_BYTES_MAX,
    setHost: false,
    signal,
  });
}

/** Reads the body to its end, its limit or the deadline, whichever comes first. */
function drained(answer: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > ANSWER_BYTES_MAX) answer.destroy();
    });
    answer.once('error', () => resolve());
    answer.once('close', () => resolve());
    answer.once('end', () => resolve());
  });
}

function factsOf(answer: IncomingMessage): { status: number; text: string; retryAfterMs?: number; location?: string } {
  const status = answer.statusCode ?? 0;
  const seconds = /^\d{1,6}$/.test(answer.headers['retry-after'] ?? '') ? Number(answer.headers['retry-after']) : undefined;
  return {
    status,
    text: `HTTP ${status}`,
    ...(seconds !== undefined && { retryAfterMs: Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) }),
    ...(answer.headers.location !== undefined && { location: answer.headers.location }),
  };
}

const TROUBLES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  HPE_HEADER_OVERFLOW: 'the header of the answer is too large',
};

function troubleOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const known = typeof code === 'string' ? TROUBLES[code] : undefined;
  if (known !== undefined) return known;
  if (typeof code === 'string' && code.startsWith('HPE_')) return 'what came back is not HTTP';
  return String(message ?? error).slice(0, TROUBLE_CHARACTERS_MAX);
}

const TROUBLE_CHARACTERS_MAX = 200;
