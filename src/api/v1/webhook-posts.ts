/**
 * /v1/webhook_posts: the log of webhooks and of posts of routes, each attempt with what came of it, and telling again what was told or given up. What is told again goes into the outbox as it did the first time, with the
 * same event, and is signed afresh.
 */
import { redactsWebhooks } from '#accounts/standing.ts';
import { parseEventTime } from '#events/event-time.ts';
import { mailgunEvent, mailgunName, severityOf } from '#events/mailgun-json.ts';
import { redacted } from '#events/redacted.ts';
import { badParameter } from '#model/errors.ts';
import type { EventView } from '#store/store.ts';
import type { LoggedPost, PostFilter, PostPosition } from '#store/post-store.ts';
import { WEBHOOK_HEADERS } from '#webhooks/event-maker.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { countOf, type Fields, fieldsOf, flagOf, wordOf } from '#api/conventions/fields.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import { eventUrls } from '#api/conventions/urls.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { POST_RESULTS, postList, postShown, postsQuery, replayed, replayForm } from '#api/shapes/webhook-posts.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 300;
/** Attempts that one step of a replay looks at, and one call. */
const STEP = 1000;
const LOOKED_AT_MAX = 200_000;
const URL_MAX = 2048;
const GONE = 'Webhook post not found';

export function webhookPosts(door: Door): Endpoint[] {
  const url = '/v1/webhook_posts';
  return [
    {
      method: 'GET',
      url,
      summary: 'What was posted to webhooks and by routes, newest first',
      right: 'read',
      query: postsQuery,
      answer: postList,
      handle: (call) => list(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:id`,
      summary: 'One post to a webhook, with its request, or of a route',
      right: 'read',
      answer: postShown,
      handle: (call) => show(door, call),
    },
    {
      method: 'POST',
      url: `${url}/:id/replay`,
      summary: 'Tell the webhook of the event again, or post the mail of the route again',
      right: 'write',
      answer: replayed,
      handle: (call) => replayOne(door, call),
    },
    {
      method: 'POST',
      url: `${url}/replay`,
      summary: 'Post again what webhooks were told, and routes posted, in a time, or what was given up',
      right: 'write',
      form: replayForm,
      answer: replayed,
      handle: (call) => replayMany(door, call),
    },
  ];
}

async function filterOf(door: Door, call: Call, fields: Fields): Promise<PostFilter> {
  const { principal } = call;
  const domain = fields.get('domain');
  const named = domain === undefined ? undefined : await requiredDomain(door.deps.accounts, principal, domain, 'Domain not found');
  const domainId = named?.id ?? principal.domainId;
  const url = fields.get('url')?.slice(0, URL_MAX);
  return {
    accountId: principal.accountId,
    ...(domainId !== undefined && { domainId }),
    ...(url !== undefined && { url }),
    beginMs: timeOf(fields, 'begin') ?? 0,
    endMs: timeOf(fields, 'end') ?? door.deps.clock.nowMs(),
  };
}

function timeOf(fields: Fields, name: string): number | undefined {
  const text = fields.get(name);
  if (text === undefined) return undefined;
  const us = parseEventTime(text);
  if (us === undefined) throw badParameter(`'${name}' parameter is not a time`);
  return Math.floor(us / 1000);
}

async function list(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const result = wordOf(fields, 'result', POST_RESULTS);
  const filter = { ...(await filterOf(door, call, fields)), ...(result !== undefined && { result }) };
  const limit = Math.max(1, countOf(call, 'limit', LIMIT_DEFAULT, LIMIT_MAX));
  const posts = await door.deps.store.outbox.listPosts(filter, positionOf(fields.get('page')), limit);
  const names = await domainNames(door, posts);
  const last = posts.length === limit ? posts.at(-1) : undefined;
  return json({
    items: posts.map((post) => shown(post, names.get(post.domainId))),
    paging: last === undefined ? {} : { next: nextUrl(call, filter, limit, last) },
  });
}

/** "1763931234567-17": after that attempt. */
function positionOf(text: string | undefined): PostPosition | undefined {
  if (text === undefined) return undefined;
  const [, atMs, id] = /^(\d{1,15})-(\d{1,16})$/.exec(text) ?? [];
  if (!Number.isSafeInteger(Number(id)) || atMs === undefined) throw badParameter("'page' parameter is not one that was given out");
  return { atMs: Number(atMs), id: Number(id) };
}

function nextUrl(call: Call, { beginMs, endMs }: PostFilter, limit: number, { atMs, id }: LoggedPost): string {
  const kept = ['domain', 'url', 'result'].flatMap((name) => call.query.all(name).map((value) => [name, value] as [string, string]));
  // Bounds as they were: later pages show what the first would have shown.
  const query = new URLSearchParams([
    ...kept,
    ['begin', String(beginMs / 1000)],
    ['end', String(endMs / 1000)],
    ['limit', String(limit)],
    ['page', `${atMs}-${id}`],
  ]);
  return `${call.publicUrl}/v1/webhook_posts?${query.toString()}`;
}

/** Domains of subaccounts too: their events go to webhooks of the account above. */
async function domainNames(door: Door, posts: readonly LoggedPost[]): Promise<ReadonlyMap<number, string>> {
  const ids = new Set(posts.map(({ domainId }) => domainId));
  const domains = await Promise.all([...ids].map((id) => door.deps.store.accounts.domainById(id)));
  return new Map(
    domains.flatMap((domain) => (domain === undefined || domain.deletedMs !== undefined ? [] : [[domain.id, domain.name] as const])),
  );
}

function shown(post: LoggedPost, domain: string | undefined): object {
  const severity = severityOf(post.kind);
  return {
    id: post.id,
    at: new Date(post.atMs).toISOString(),
    ...(domain !== undefined && { domain }),
    event: mailgunName(post.kind) ?? post.kind,
    ...(severity !== undefined && { severity }),
    ...(post.message > 0 && { message: post.message }),
    for: post.entry === 'event' ? 'webhook' : 'route',
    url: post.url,
    attempt: post.number,
    result: post.result,
    ...(post.status !== undefined && { status: post.status }),
    took_ms: post.tookMs,
    ...(post.error !== '' && { error: post.error }),
    ...(post.response !== '' && { response: post.response }),
  };
}

/** The attempt that the path names, of the caller's. */
async function find(door: Door, call: Call): Promise<{ readonly post: LoggedPost; readonly filter: PostFilter }> {
  const { accountId, domainId } = call.principal;
  const given = call.param('id');
  const id = /^[1-9]\d{0,15}$/.test(given) && Number.isSafeInteger(Number(given)) ? Number(given) : 0;
  const filter = { accountId, ...(domainId !== undefined && { domainId }), id, beginMs: 0, endMs: Number.MAX_SAFE_INTEGER };
  const [post] = id === 0 ? [] : await door.deps.store.outbox.listPosts(filter, undefined, 1);
  if (post === undefined) throw new NotFound(GONE);
  return { post, filter };
}

async function show(door: Door, call: Call): Promise<Answer> {
  const { post } = await find(door, call);
  const names = await domainNames(door, [post]);
  // A route's post is as large as the message, and is made of what is kept of it.
  const view = post.entry === 'event' ? await viewOf(door, post) : undefined;
  const request = view && {
    method: 'POST',
    headers: { ...WEBHOOK_HEADERS, 'x-postrider-attempt': String(post.number) },
    body: { 'event-data': await told(door, call, view) },
  };
  return json({ ...shown(post, names.get(post.domainId)), ...(request !== undefined && { request }) });
}

/** Without personal data where it would be told so now: who reads the log may not be meant to see more. */
async function told(door: Door, call: Call, view: EventView): Promise<Record<string, unknown>> {
  const data = mailgunEvent(view, eventUrls(call.publicUrl));
  return (await redactsWebhooks(door.deps.accounts, view.event.accountId)) ? redacted(data) : data;
}

/** What it told, as it is in the store now. The post is the caller's: what it told of, a subaccount's perhaps, was posted to the caller. */
async function viewOf(door: Door, post: LoggedPost): Promise<EventView | undefined> {
  const { events } = door.deps.store;
  const view = post.message === 0 ? undefined : await events.messageById(undefined, post.message, 1);
  const event = view?.events.find(({ id }) => id === post.event);
  if (view === undefined || event === undefined) return undefined;
  const found = post.recipient === 0 ? undefined : await events.recipientById(post.recipient);
  return { event, message: view.message, recipient: found?.recipient };
}

async function replayOne(door: Door, call: Call): Promise<Answer> {
  const { filter } = await find(door, call);
  const { entries } = await door.deps.store.outbox.replayPosts(filter, door.deps.clock.nowMs(), 1);
  if (entries > 0) door.deps.ringOutbox?.();
  return json({ message: entries > 0 ? 'It is posted again' : 'It waits to be posted already, or its event is gone', count: entries });
}

async function replayMany(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call);
  const isFailed = flagOf(fields, 'failed') === true;
  if (!isFailed && fields.get('begin') === undefined) throw badParameter("'begin' parameter, or failed=yes, is missing");
  const filter: PostFilter = { ...(await filterOf(door, call, fields)), ...(isFailed && { result: 'failed' as const }) };
  const nowMs = door.deps.clock.nowMs();
  let count = 0;
  let after: PostPosition | undefined;
  for (let looked = 0; looked < LOOKED_AT_MAX; looked += STEP) {
    const step = await door.deps.store.outbox.replayPosts(filter, nowMs, STEP, after);
    count += step.entries;
    after = step.after;
    if (step.entries > 0) door.deps.ringOutbox?.();
    if (after === undefined) break;
  }
  return json({
    message: count === 0 ? 'There is nothing to be posted again' : 'Posted again',
    count,
    ...(after !== undefined && { next: String(after.atMs / 1000) }),
  });
}
