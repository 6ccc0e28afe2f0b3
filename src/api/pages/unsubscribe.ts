/**
 * Where recipients unsubscribe: GET /u/{token} shows how things stand and what can be done, POST does it. No key, no cookie: the token is the authority. What only looks (GET, HEAD, a
 * scanner that follows every link) changes nothing; `List-Unsubscribe=One-Click` in a POST unsubscribes at once, without a question and without leading elsewhere
 * (RFC 8058 §3.2).
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BoundedCache } from '#base/bounded-cache.ts';
import { TokenBucket } from '#base/token-bucket.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { errorAnswer } from '#api/conventions/errors.ts';
import type { Form } from '#api/conventions/form.ts';
import { readRequestBody } from '#api/conventions/request-body.ts';
import type { ApiUnsubscriber } from '#api/deps.ts';
import { type Door, send } from '#api/endpoint.ts';
import { type ChosenTexts, textsFor } from '#unsubscribe/texts.ts';
import type { Asker, Subscriber } from '#unsubscribe/unsubscriber.ts';
import { type Action, ACTIONS, type Done, FIELD, statePage, STYLE_DIGEST, wordPage } from './unsubscribe-page.ts';

const HEADERS = {
  'content-security-policy': `default-src 'none'; style-src ${STYLE_DIGEST}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'x-robots-tag': 'noindex, nofollow, noarchive',
  'cross-origin-opener-policy': 'same-origin',
  vary: 'Accept-Language',
};
/** A form of this page, however many tags it has. */
const BODY_MAX = 64 * 1024;
const PARTS_MAX = 300;

/** Of one link: so many at once, then one in this time. */
const PRESSES_MAX = 30;
const PRESS_MS = 3000;
const LINKS_MAX = 20_000;

type Asked = Action | 'one-click';

export function mountUnsubscribe(app: FastifyInstance, door: Door, unsubscriber: ApiUnsubscriber): void {
  const limits = { ...door.limits, requestBytes: Math.min(door.limits.requestBytes, BODY_MAX), parts: PARTS_MAX };

  const presses = new BoundedCache<string, TokenBucket>({ max: LINKS_MAX });

  /** Whoever holds a link changes their mind as often as people do. */
  function mayPress(token: string): boolean {
    const nowMs = door.deps.clock.monotonicMs();
    let bucket = presses.get(token, nowMs);
    if (bucket === undefined) {
      bucket = new TokenBucket(1, PRESS_MS, PRESSES_MAX, nowMs);
      presses.set(token, bucket, nowMs);
    }
    return bucket.take(1, nowMs);
  }

  async function answer(request: FastifyRequest, readForm: (() => Promise<Form>) | undefined): Promise<Answer> {
    const texts = textsFor(request.headers['accept-language']);
    try {
      const { token = '' } = request.params as { readonly token?: string };
      const subscriber = await unsubscriber.ofPage(token);
      if (subscriber === undefined) return page(texts, 404, wordPage(texts, texts.notValid, texts.notValidHelp));
      if (readForm !== undefined && !mayPress(token)) return page(texts, 429, wordPage(texts, texts.troubled), { 'retry-after': '60' });
      const done = readForm === undefined ? undefined : await act(unsubscriber, subscriber, await readForm(), askerOf(door, request));
      const isUnknown = readForm !== undefined && done === NOTHING;
      return page(
        texts,
        isUnknown ? 400 : 200,
        statePage(texts, subscriber, await unsubscriber.stateOf(subscriber), done === NOTHING ? undefined : done),
      );
    } catch (error) {
      const { status } = errorAnswer(error, door.deps.log);
      return page(texts, status, wordPage(texts, texts.troubled), status === 503 ? { 'retry-after': '60' } : {});
    }
  }

  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const readForm = async (): Promise<Form> => (await readRequestBody(request.raw, reply.raw, limits, door.budget)).form;
    const made = await answer(request, request.method === 'POST' ? readForm : undefined);
    door.counters.answered(request.method, made.status);
    return send(reply, made);
  };
  // Answered in the first hook, before anything else of a request's body is looked at.
  app.route({ method: ['GET', 'HEAD', 'POST'], url: '/u/:token', onRequest: handler, handler });
}

const NOTHING = Symbol('nothing that is known was asked for');

async function act(unsubscriber: ApiUnsubscriber, subscriber: Subscriber, form: Form, by: Asker): Promise<Done | typeof NOTHING> {
  switch (askedFor(form)) {
    case 'one-click':
    case 'unsubscribe':
      await unsubscriber.unsubscribe(subscriber, subscriber.scope, by);
      return undefined;
    case 'unsubscribe-all':
      await unsubscriber.unsubscribe(subscriber, { kind: 'all' }, by);
      return undefined;
    case 'subscribe':
      await unsubscriber.subscribe(subscriber);
      return 'subscribed';
    case 'choose':
      await unsubscriber.choose(subscriber, form.all(FIELD.keep), by);
      return 'saved';
    default:
      return NOTHING;
  }
}

function askedFor(form: Form): Asked | undefined {
  if (form.get('List-Unsubscribe')?.trim() === 'One-Click') return 'one-click';
  const asked = form.get(FIELD.action);
  return ACTIONS.find((action) => action === asked);
}

function askerOf(door: Door, request: FastifyRequest): Asker {
  const userAgent = request.headers['user-agent'];
  return { ip: door.addressOf(request.raw), ...(userAgent !== undefined && { userAgent }) };
}

function page(texts: ChosenTexts, status: number, body: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, body, contentType: 'text/html; charset=utf-8', headers: { ...HEADERS, 'content-language': texts.language, ...headers } };
}
