/**
 * The HTTP door. `startApi` opens every listener and resolves when all are open.
 *
 * Life of the server: serving → draining (listeners closed, idle connections closed, requests in flight answered with
 * `Connection: close`) → closed. `drain` resolves when the last answer is out; `close` ends what is left.
 *
 * fastify routes and writes; the servers are ours, so that their limits stand in one place and several addresses share one router.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import fastify from 'fastify';
import { ByteBudget } from '#base/byte-budget.ts';
import type { Log } from '#base/log.ts';
import type { FastifyInstance } from 'fastify';
import { boundConnections } from './connections.ts';
import { clientAddresses } from './conventions/client-address.ts';
import { json } from './conventions/answer.ts';
import { errorAnswer } from './conventions/errors.ts';
import { LargeAnswers } from './conventions/large-answers.ts';
import { SendingQuota } from './conventions/quota.ts';
import { DEFAULT_LIMITS } from './deps.ts';
import type { ApiDeps, ApiLimits } from './deps.ts';
import { mount, send } from './endpoint.ts';
import type { Door } from './endpoint.ts';
import { endpoints } from './endpoints.ts';
import { createMetrics } from './metrics.ts';
import { mountOperations } from './operations.ts';
import { notOffered } from './mailgun/not-offered.ts';
import { mountApiDocs } from './pages/api-docs.ts';
import { mountChallenges } from './pages/challenges.ts';
import { mountPages } from './pages/mount.ts';
import { mountTrackedLinks } from './pages/tracked-links.ts';
import { mountUnsubscribe } from './pages/unsubscribe.ts';
import { type ApiTls, createTlsServer } from './tls-server.ts';

interface ListenAt {
  readonly host: string;
  readonly port: number;
}

interface OpenedAt {
  readonly address: string;
  readonly port: number;
}

export interface Api {
  /** Of the first listener. */
  readonly port: number;
  readonly address: string;
  readonly addresses: readonly OpenedAt[];
  /** Those with TLS. */
  readonly tlsAddresses: readonly OpenedAt[];
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** Tokens of events are the longest. */
const PATH_PARAMETER_MAX = 8192;
const ANALYTICS = /^\/+v1\/+analytics\//;
const SWEEP_MS = 20;

export async function startApi(deps: ApiDeps): Promise<Api> {
  const limits = { ...DEFAULT_LIMITS, ...deps.config.limits };
  const app = buildApp(deps, limits);
  await app.ready();
  let isDraining = false;
  const { tls, config } = deps;
  if (tls === undefined && (config.tlsListen ?? []).length > 0) throw new Error('what is to speak TLS has no certificate');
  const bound = boundConnections(limits.connectionsPerAddress, config.proxyFrom ?? [], deps.log, deps.clock);
  const open = (at: ListenAt, withTls?: ApiTls): Promise<Server> => listen(app, limits, deps.log, at, () => isDraining, bound, withTls);
  const plain = await Promise.all(config.listen.map((at) => open(at)));
  const withTls = await Promise.all((config.tlsListen ?? []).map((at) => open(at, tls)));
  const servers = [...plain, ...withTls];
  const addresses = plain.map(openedAt);
  const [first] = addresses;
  if (first === undefined) throw new Error('the HTTP API has no address to listen on');
  let drained: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    isDraining = true;
    drained ??= Promise.all(servers.map(shut)).then(() => undefined);
    return drained;
  };
  return {
    ...first,
    addresses,
    tlsAddresses: withTls.map(openedAt),
    drain,
    async close() {
      const done = drain();
      for (const server of servers) server.closeAllConnections();
      await done;
      await app.close();
    },
  };
}

function openedAt(server: Server): OpenedAt {
  const { address, port } = server.address() as AddressInfo;
  return { address, port };
}

function buildApp(deps: ApiDeps, limits: ApiLimits): FastifyInstance {
  const metrics = createMetrics(deps);
  const door: Door = {
    deps,
    limits,
    addressOf: clientAddresses(deps.config.proxyFrom ?? []),
    largeAnswers: new LargeAnswers(limits.uploadsInFlightBytes, limits.messageBytes),
    budget: deps.memory ?? new ByteBudget(limits.uploadsInFlightBytes),
    quota: new SendingQuota(deps.clock, limits.requestsPerHour, limits.recipientsPerHour),
    counters: metrics,
  };
  const app = fastify({
    logger: false,
    routerOptions: {
      ignoreDuplicateSlashes: true,
      ignoreTrailingSlash: true,
      maxParamLength: PATH_PARAMETER_MAX,
      // Parsed with the endpoint, where a mistake in it has somebody to be told to.
      querystringParser: (text: string) => text as never,
    },
    frameworkErrors: (_error, _request, reply) => send(reply as never, json({ message: 'the URL cannot be read' }, 400)),
  });
  // Bodies are read by the endpoints, after the key was checked.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined));
  // Clients of the analytics API look for `error`.
  const nothing = (url: string): object => (ANALYTICS.test(url) ? { error: 'not found' } : { message: 'Not found' });
  app.setNotFoundHandler(({ url }, reply) => send(reply, json(nothing(url), 404)));
  app.setErrorHandler((error, _request, reply) => send(reply, errorAnswer(error, deps.log)));
  const described = endpoints(door);
  for (const endpoint of [...described, ...notOffered()]) mount(app, door, endpoint);
  mountOperations(app, deps, metrics, described);
  mountChallenges(app, deps);
  if (deps.services?.includes('web') !== false) {
    mountPages(app, door);
    mountApiDocs(app, door, described);
    if (deps.tracking !== undefined) mountTrackedLinks(app, door, deps.tracking);
    if (deps.unsubscriber !== undefined) mountUnsubscribe(app, door, deps.unsubscriber);
  }
  return app;
}

async function listen(
  app: FastifyInstance,
  limits: ApiLimits,
  log: Log,
  at: ListenAt,
  isDraining: () => boolean,
  bound: (server: Server) => void,
  tls?: ApiTls,
): Promise<Server> {
  const options: ServerOptions = {
    maxHeaderSize: limits.headerBytes,
    requestTimeout: limits.requestTimeoutMs,
    headersTimeout: Math.min(limits.requestTimeoutMs, 30_000),
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(5000, limits.requestTimeoutMs),
    noDelay: true,
    // Looked at below, and told in our form.
    requireHostHeader: false,
  };
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    if (!hasOneHost(request)) {
      refuse(response, 400, 'a request has exactly one Host header');
      return;
    }
    if (isDraining()) response.setHeader('connection', 'close');
    try {
      app.routing(request, response);
    } catch (error) {
      // A bug of ours before any handler: this request ends, the process does not.
      log.error({ err: error instanceof Error ? error.stack : String(error) }, 'a request could not be routed');
      response.destroy();
    }
  };
  const server = tls === undefined ? createServer(options, handle) : createTlsServer(tls, options, handle);
  server.timeout = limits.idleTimeoutMs;
  server.maxConnections = limits.connections;
  bound(server);
  server.on('clientError', refuseMalformed);
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) =>
    refuse(response, 417, 'no expectation but 100-continue can be met'),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return server;
}

const MALFORMED: Readonly<Record<string, readonly [status: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the request header is too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request took too long'],
};

/** RFC 9112 §3.2: with two, what stands before us may have looked at the other one. HTTP/1.0 needs none. */
function hasOneHost({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') count++;
  }
  return count === 1 || (count === 0 && httpVersion === '1.0');
}

/** Before any endpoint; the rest of the request is not looked at. */
function refuse(response: ServerResponse, status: number, message: string): void {
  const body = `${JSON.stringify({ message })}\n`;
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  });
  response.end(body);
}

/** What is not HTTP, or took too long: a last word in our form, then the end of the connection. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, message] = MALFORMED[error.code ?? ''] ?? ['400 Bad Request', 'the request is not valid HTTP'];
  const body = `${JSON.stringify({ message })}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** A connection that was busy becomes idle after its answer: it is looked for until the last one is gone. */
function shut(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
    server.close(() => {
      clearInterval(sweep);
      resolve();
    });
  });
}
