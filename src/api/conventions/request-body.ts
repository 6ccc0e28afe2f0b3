/**
 * The body of a request as the handlers see it: a form or JSON, whichever the client sent; every endpoint takes both forms,
 * and says itself whether it takes JSON. Parsing is here, once; bodies come on POST, PUT and DELETE alike (some SDKs do).
 */
import type { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ApiLimits } from '#api/deps.ts';
import type { ByteBudget } from '#base/byte-budget.ts';
import { badParameter } from '#model/errors.ts';
import { readBody } from './body.ts';
import { Form } from './form.ts';
import { parseJson, requireJson } from './json.ts';
import { boundaryOf, openingBoundary, parseMultipart } from './multipart.ts';
import { parseUrlencoded } from './urlencoded.ts';

export interface RequestBody {
  readonly form: Form;
  /** Parsed JSON; undefined when the body is a form. */
  readonly json: unknown;
}

const OPENING_BRACE = 0x7b;
/** A first name and its value, of a form whose type is not told. */
const URLENCODED = /^\w[\w.~%+*-]*=/;
const NAME_MAX = 300;
const NO_BODY: RequestBody = { form: new Form(), json: undefined };

export async function readRequestBody(
  request: IncomingMessage,
  response: ServerResponse,
  limits: ApiLimits,
  budget: ByteBudget,
): Promise<RequestBody> {
  if (request.method === 'GET' || request.method === 'HEAD') return NO_BODY;
  const { headers } = request;
  if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) return NO_BODY;
  const bytes = await readBody(request, response, limits.requestBytes, budget);
  return bytes.length === 0 ? NO_BODY : parseBody(bytes, headers['content-type'] ?? '', limits);
}

function parseBody(bytes: Buffer, contentType: string, limits: ApiLimits): RequestBody {
  const semicolon = contentType.indexOf(';');
  const type = (semicolon === -1 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
  if (type === 'multipart/form-data') {
    // Clients whose callers write the header themselves name no boundary, and send one of both kinds of forms.
    const isBare = semicolon === -1;
    const boundary = isBare ? openingBoundary(bytes) : boundaryOf(contentType);
    if (boundary !== undefined) return { form: parseMultipart(bytes, boundary, limits), json: undefined };
    if (!isBare || !URLENCODED.test(bytes.toString('latin1', 0, NAME_MAX))) throw badParameter('malformed multipart/form-data request');
    return { form: parseUrlencoded(bytes, limits.parts), json: undefined };
  }
  if (type === 'application/json') {
    if (bytes.length > limits.jsonBytes) throw badParameter(`the JSON body is larger than ${limits.jsonBytes} bytes`);
    return { form: new Form(), json: requireJson(bytes.toString('utf8'), limits) };
  }
  if (type === 'application/x-www-form-urlencoded' || type === '') {
    // Some SDKs send JSON under the name of a form.
    const json = bytes[0] === OPENING_BRACE ? parseJson(bytes.toString('utf8'), limits) : undefined;
    if (json !== undefined) return { form: new Form(), json };
    return { form: parseUrlencoded(bytes, limits.parts), json: undefined };
  }
  throw badParameter(`Expecting 'multipart/form-data' but got '${type.slice(0, 80)}'`);
}
