/**
 * One endpoint as data: its method, path, right, shapes and handler. `mount` puts the conventions around every handler in the
 * same order: authenticate, check the right, read the body, run, answer. A handler sees parsed things and returns data.
 */
import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { AppError } from '#model/errors.ts';
import type { Principal } from '#model/principal.ts';
import type { z } from 'zod';
import type { Answer } from './conventions/answer.ts';
import type { Right } from './conventions/auth.ts';
import type { ClientAddress } from './conventions/client-address.ts';
import { assertRight, authenticate, refuseCrossSite } from './conventions/auth.ts';
import type { ByteBudget } from '#base/byte-budget.ts';
import { allowanceHeaders } from './conventions/allowance.ts';
import { errorAnswer } from './conventions/errors.ts';
import type { Form } from './conventions/form.ts';
import type { LargeAnswers } from './conventions/large-answers.ts';
import { parseQuery } from './conventions/urlencoded.ts';
import type { SendingQuota } from './conventions/quota.ts';
import { actingFor } from './conventions/on-behalf-of.ts';
import { readRequestBody } from './conventions/request-body.ts';
import type { RequestBody } from './conventions/request-body.ts';
import type { ApiDeps, ApiLimits } from './deps.ts';

const QUERY_PARAMETERS_MAX = 200;

export interface Call {
  readonly principal: Principal;
  /** Decoded path parameters. */
  readonly param: (name: string) => string;
  readonly query: Form;
  /** Empty for methods and requests without a body. */
  readonly body: RequestBody;
  readonly header: (name: string) => string | undefined;
  /** Client's address, without port. */
  readonly address: string;
  readonly userAgent: string | undefined;
  /** Before so much that was stored is read for the answer. */
  readonly hold: (bytes: number) => Promise<void>;
  /** Base of absolute URLs in this answer, without a slash at the end. */
  readonly publicUrl: string;
}

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** As fastify writes it: "/v3/:domain/messages". */
  readonly url: string;
  /** A sentence for openapi.json. */
  readonly summary: string;
  readonly right: Right;
  /** For openapi.json, and for handlers that parse with them. */
  readonly query?: z.ZodType;
  readonly form?: z.ZodType;
  /** In place of `form`, where bodies are JSON. */
  readonly json?: z.ZodType;
  readonly answer?: z.ZodType;
  readonly handle: (call: Call) => Promise<Answer> | Answer;
}

/** What all endpoints of one server share. */
export interface Door {
  readonly deps: ApiDeps;
  readonly limits: ApiLimits;
  readonly budget: ByteBudget;
  readonly largeAnswers: LargeAnswers;
  readonly addressOf: ClientAddress;
  readonly quota: SendingQuota;
  readonly counters: ApiCounters;
}

/** What the door counts for /metrics. */
export interface ApiCounters {
  accepted(recipients: number): void;
  answered(method: string, status: number): void;
}

export function mount(app: FastifyInstance, door: Door, endpoint: Endpoint): void {
  const answerIt = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const answer = await answerTo(door, endpoint, request, reply);
    door.counters.answered(endpoint.method, answer.status);
    return send(reply, answer);
  };
  // Answered in the first hook: what fastify does after it (types of bodies, parsers, validation) is done here, after the key was checked.
  app.route({ method: endpoint.method as HTTPMethods, url: endpoint.url, onRequest: answerIt, handler: answerIt });
}

async function answerTo(door: Door, endpoint: Endpoint, request: FastifyRequest, reply: FastifyReply): Promise<Answer> {
  try {
    assertServed(door.deps, endpoint);
    refuseCrossSite(endpoint.method, headerText(request.headers['sec-fetch-site']));
    const { accounts } = door.deps;
    const caller = await authenticate(accounts, request.headers.authorization, door.addressOf(request.raw));
    assertRight(caller, endpoint.right);
    const principal = await actingFor(accounts, caller, headerText(request.headers['x-mailgun-on-behalf-of']), endpoint.right);
    const requests = await door.deps.takeRequest?.(principal.accountId);
    const body = await readRequestBody(request.raw, reply.raw, door.limits, door.budget);
    const answer = await endpoint.handle(callOf(door, request, reply, principal, body));
    return requests === undefined ? answer : { ...answer, headers: { ...answer.headers, ...allowanceHeaders('request', requests) } };
  } catch (error) {
    return errorAnswer(error, door.deps.log);
  }
}

/** What takes mail is served by nodes that accept, all else by those with `web`. */
function assertServed({ services, refusal }: ApiDeps, { right }: Endpoint): void {
  if (services?.includes(right === 'send' ? 'accept' : 'web') === false) throw new AppError('not-served');
  const refused = right === 'send' ? refusal?.() : undefined;
  if (refused !== undefined) throw refused;
}

function callOf(door: Door, request: FastifyRequest, reply: FastifyReply, principal: Principal, body: RequestBody): Call {
  const params = request.params as Readonly<Record<string, string>>;
  return {
    principal,
    param: (name) => params[name] ?? '',
    query: parseQuery(request.query as string, QUERY_PARAMETERS_MAX),
    body,
    header: (name) => headerText(request.headers[name]),
    address: door.addressOf(request.raw),
    userAgent: request.headers['user-agent'],
    hold: (bytes) => door.largeAnswers.hold(principal.accountId, bytes, reply.raw),
    publicUrl: door.deps.config.publicUrl ?? urlFromHost(request.protocol, request.headers.host),
  };
}

/** Straight to the wire: header and body leave in one write. */
export function send(reply: FastifyReply, answer: Answer): FastifyReply {
  reply.hijack();
  if (answer.pieces !== undefined) return sendPieces(reply, answer, answer.pieces);
  const size = typeof answer.body === 'string' ? Buffer.byteLength(answer.body) : answer.body.length;
  // RFC 9110 §8.6: an answer without content has no length.
  const ofContent = answer.status === 204 ? {} : { 'content-type': answer.contentType, 'content-length': size };
  reply.raw.writeHead(answer.status, { ...ofContent, ...answer.headers });
  reply.raw.end(answer.body);
  return reply;
}

/** Without a length. What fails under way ends the connection, so that nobody takes a part for the whole. */
function sendPieces(reply: FastifyReply, answer: Answer, pieces: AsyncIterable<string>): FastifyReply {
  reply.raw.writeHead(answer.status, { 'content-type': answer.contentType, ...answer.headers });
  pipeline(Readable.from(pieces), reply.raw).catch(() => reply.raw.destroy());
  return reply;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** Only what can be a host and port goes into our URLs. */
function urlFromHost(scheme: string, host: string | undefined): string {
  return host !== undefined && /^(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i.test(host)
    ? `${scheme}://${host}`
    : `${scheme}://localhost`;
}
