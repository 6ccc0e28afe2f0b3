/**
 * The pages for people, at `/` and under `/-/`. Without a key they are shown only in development mode, to a loopback client that also
 * calls this machine by a loopback name (a name that an attacker's DNS points here is refused); otherwise the browser asks for the key.
 * A strict content policy stands behind the escaping: no inline script, nothing from elsewhere, no framing.
 */
import { readFileSync } from 'node:fs';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { timeline } from '#events/timeline.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { assertRight, authenticate, mayOperate } from '#api/conventions/auth.ts';
import { download } from '#api/conventions/download.ts';
import { errorAnswer, NotFound } from '#api/conventions/errors.ts';
import { parseMail } from '#api/conventions/parsed-mail.ts';
import { send } from '#api/endpoint.ts';
import type { Door } from '#api/endpoint.ts';
import { isLoopback } from '#base/networks.ts';
import { findMessage } from '#api/v1/messages.ts';
import { captured, dkimResults, listCaptured } from '#api/v1/sandbox/captured.ts';
import { capturedPage, frameDocument } from './captured.ts';
import { homePage } from './home.ts';
import { messagePage } from './message.ts';

const HTML_TYPE = 'text/html; charset=utf-8';
const PAGE_HEADERS = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};
/** The mail's own HTML: no script, no origin, nothing loaded from anywhere. Links open in another window, where they are pages like others. */
const FRAME_HEADERS = {
  ...PAGE_HEADERS,
  'content-security-policy':
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
  'x-frame-options': 'SAMEORIGIN',
};
const LATEST = 30;

interface Viewer {
  readonly accountId: number;
  readonly mayOperate: boolean;
}

type Params = (name: string) => string;

export function mountPages(app: FastifyInstance, door: Door): void {
  const page = (url: string, make: (viewer: Viewer, param: Params) => Promise<Answer>): void => {
    app.get(url, async (request, reply) => {
      const params = request.params as Readonly<Record<string, string>>;
      try {
        return await send(reply, await make(await viewerOf(door, request), (name) => params[name] ?? ''));
      } catch (error) {
        return await send(reply, errorAnswer(error, door.deps.log));
      }
    });
  };
  const file = (name: string, contentType: string): void => {
    const body = readFileSync(new URL(name, import.meta.url), 'utf8');
    app.get(`/-/${name}`, (_request, reply) =>
      send(reply, { status: 200, body, contentType, headers: { 'cache-control': 'no-cache', 'x-content-type-options': 'nosniff' } }),
    );
  };

  app.get('/', async (request, reply) => {
    if (!/text\/html/i.test(request.headers.accept ?? '')) {
      return send(reply, { status: 200, body: 'Postrider\n', contentType: 'text/plain; charset=utf-8' });
    }
    try {
      return await send(reply, await home(door, await viewerOf(door, request)));
    } catch (error) {
      return await send(reply, errorAnswer(error, door.deps.log));
    }
  });
  page('/-/messages/:id', (viewer, param) => message(door, viewer, param('id')));
  page('/-/sandbox/:id', (viewer, param) => capturedMail(door, viewer, param('id')));
  page('/-/sandbox/:id/html', (viewer, param) => frame(door, viewer, param('id')));
  page('/-/sandbox/:id/raw', async (viewer, param) => {
    const mail = await findCaptured(door, viewer, param('id'));
    return download(mail.bytes, `message-${mail.id}.eml`, 'message/rfc822');
  });
  page('/-/sandbox/:id/attachments/:number', (viewer, param) => attachment(door, viewer, param('id'), param('number')));
  file('app.css', 'text/css; charset=utf-8');
  file('app.js', 'text/javascript; charset=utf-8');
}

async function viewerOf(door: Door, request: FastifyRequest): Promise<Viewer> {
  const { openPage } = door.deps.config;
  if (openPage !== undefined && request.headers.authorization === undefined && isLocal(request)) {
    return { accountId: openPage.accountId, mayOperate: true };
  }
  const principal = await authenticate(door.deps.accounts, request.headers.authorization, door.addressOf(request.raw));
  assertRight(principal, 'read');
  return { accountId: principal.accountId, mayOperate: mayOperate(principal) };
}

function isLocal(request: FastifyRequest): boolean {
  const host = (request.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
  return isLoopback(request.raw.socket.remoteAddress ?? '') && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(host);
}

function htmlAnswer(body: string, headers: Readonly<Record<string, string>> = PAGE_HEADERS): Answer {
  return { status: 200, body, contentType: HTML_TYPE, headers };
}

async function home(door: Door, viewer: Viewer): Promise<Answer> {
  const { store, config, clock, laneReport } = door.deps;
  const [messages, captures, depth] = await Promise.all([
    store.events.latestMessages(viewer.accountId, LATEST),
    config.isCapturing ? listCaptured(store, viewer.accountId, LATEST, undefined) : undefined,
    viewer.mayOperate ? store.events.queueDepth() : undefined,
  ]);
  const tryIt = config.openPage?.accountId === viewer.accountId ? config.openPage : undefined;
  const lanes = viewer.mayOperate ? laneReport() : undefined;
  return htmlAnswer(homePage({ nowMs: clock.nowMs(), tryIt, messages, captured: captures, lanes, depth }));
}

async function message(door: Door, viewer: Viewer, id: string): Promise<Answer> {
  const view = await findMessage(door, viewer.accountId, id);
  if (view === undefined) throw new NotFound('Message not found');
  return htmlAnswer(messagePage(timeline(view, door.deps.waitOf), door.deps.clock.nowMs()));
}

async function findCaptured(door: Door, viewer: Viewer, id: string): Promise<NonNullable<Awaited<ReturnType<typeof captured>>>> {
  const mail = await captured(door.deps.store, viewer.accountId, id);
  if (mail === undefined) throw new NotFound('Message not found');
  return mail;
}

async function capturedMail(door: Door, viewer: Viewer, id: string): Promise<Answer> {
  const mail = await findCaptured(door, viewer, id);
  const [parsed, dkim] = await Promise.all([parseMail(mail.bytes), dkimResults(door.deps.store, mail.bytes)]);
  return htmlAnswer(capturedPage(mail, parsed, dkim, door.deps.clock.nowMs()));
}

async function frame(door: Door, viewer: Viewer, id: string): Promise<Answer> {
  const mail = await findCaptured(door, viewer, id);
  return htmlAnswer(frameDocument(await parseMail(mail.bytes)), FRAME_HEADERS);
}

async function attachment(door: Door, viewer: Viewer, id: string, number: string): Promise<Answer> {
  const mail = await parseMail((await findCaptured(door, viewer, id)).bytes);
  const item = /^\d{1,4}$/.test(number) ? mail.attachments[Number(number)] : undefined;
  if (item === undefined) throw new NotFound('Attachment not found');
  return download(item.bytes, item.filename, item.contentType);
}
