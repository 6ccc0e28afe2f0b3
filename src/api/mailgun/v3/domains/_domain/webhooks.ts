/** /v3/domains/{domain}/webhooks: which URLs are told of which type of event. What is kept here is shown by URL at /v4 too. */
import { badParameter } from '#model/errors.ts';
import type { WebhookEvent } from '#store/webhook-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { NotFound, Refusal } from '#api/conventions/errors.ts';
import {
  assertUrl,
  byEvent,
  changeWebhooks,
  domainOwner,
  eventOf,
  URLS_PER_EVENT_MAX,
  urlsFor,
  webhooksOf,
  withUrls,
} from '#api/conventions/webhooks.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  webhookAnswer,
  webhookForm,
  webhookList,
  webhookShown,
  webhookTested,
  webhookTestForm,
  webhookUrlForm,
} from '#api/shapes/webhooks.ts';

export function domainWebhooks(door: Door): Endpoint[] {
  const url = '/v3/domains/:domain/webhooks';
  return [
    { method: 'GET', url, summary: 'Webhooks of a domain', right: 'read', answer: webhookList, handle: (call) => list(door, call) },
    {
      method: 'POST',
      url,
      summary: 'Add a webhook for a type of event',
      right: 'write',
      form: webhookForm,
      answer: webhookAnswer,
      handle: (call) => create(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:type`,
      summary: 'URLs for a type of event',
      right: 'read',
      answer: webhookShown,
      handle: (call) => one(door, call),
    },
    {
      method: 'PUT',
      url: `${url}/:type`,
      summary: 'Replace the URLs for a type of event',
      right: 'write',
      form: webhookUrlForm,
      answer: webhookAnswer,
      handle: (call) => update(door, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:type`,
      summary: 'Delete the URLs for a type of event',
      right: 'write',
      answer: webhookAnswer,
      handle: (call) => remove(door, call),
    },
    {
      method: 'PUT',
      url: `${url}/:type/test`,
      summary: 'Tell a URL of an event that never happened, and learn what it answers',
      right: 'write',
      form: webhookTestForm,
      answer: webhookTested,
      handle: (call) => test(door, call),
    },
  ];
}

const GONE = 'Webhook not found';

function typeOf(call: Call): WebhookEvent {
  const event = eventOf(call.param('type'));
  if (event === undefined) throw new NotFound(GONE);
  return event;
}

function readUrls(call: Call): string[] {
  const urls = [...new Set(call.body.form.all('url'))];
  if (urls.length === 0) throw badParameter('url parameter is missing');
  urls.forEach(assertUrl);
  return urls;
}

function assertFew(event: WebhookEvent, count: number): void {
  if (count <= URLS_PER_EVENT_MAX) return;
  const sentence = `unable to add more than ${URLS_PER_EVENT_MAX} urls for event type ${event}`;
  throw new Refusal(400, sentence, { Reason: sentence });
}

async function list(door: Door, call: Call): Promise<Answer> {
  return json({ webhooks: byEvent(await webhooksOf(door, await domainOwner(door, call))) });
}

async function one(door: Door, call: Call): Promise<Answer> {
  const urls = urlsFor(await webhooksOf(door, await domainOwner(door, call)), typeOf(call));
  if (urls.length === 0) throw new NotFound(GONE);
  return json({ webhook: { urls } });
}

async function create(door: Door, call: Call): Promise<Answer> {
  const owner = await domainOwner(door, call);
  const id = call.body.form.get('id');
  const event = id === undefined ? undefined : eventOf(id);
  if (id === undefined) throw badParameter('id parameter is missing');
  if (event === undefined) throw badParameter(`id parameter is not a type of webhook: ${id.slice(0, 60)}`);
  const urls = readUrls(call);
  const webhooks = await changeWebhooks(door, owner, (before) => {
    const present = urlsFor(before, event);
    const again = urls.find((url) => present.includes(url));
    if (again !== undefined) {
      const sentence = `Webhook for event type '${event}' with URL '${again}' already exists`;
      throw new Refusal(400, sentence, { Reason: sentence });
    }
    assertFew(event, present.length + urls.length);
    return withUrls(before, event, [...present, ...urls], door.deps.clock.nowMs());
  });
  return json({ message: 'Webhook has been created', webhook: { urls: urlsFor(webhooks, event) } });
}

async function update(door: Door, call: Call): Promise<Answer> {
  const owner = await domainOwner(door, call);
  const event = typeOf(call);
  const urls = readUrls(call);
  assertFew(event, urls.length);
  await changeWebhooks(door, owner, (before) => {
    if (urlsFor(before, event).length === 0) throw new NotFound(GONE);
    return withUrls(before, event, urls, door.deps.clock.nowMs());
  });
  return json({ message: 'Webhook has been updated', webhook: { urls } });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const owner = await domainOwner(door, call);
  const event = typeOf(call);
  let urls: string[] = [];
  await changeWebhooks(door, owner, (before) => {
    urls = urlsFor(before, event);
    if (urls.length === 0) throw new NotFound(GONE);
    return withUrls(before, event, [], door.deps.clock.nowMs());
  });
  return json({ message: 'Webhook has been deleted', webhook: { urls } });
}

/** `code`: what the URL answered; 0: nothing. */
async function test(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const event = typeOf(call);
  const url = call.body.form.get('url') ?? call.query.get('url');
  if (url === undefined) throw badParameter('url parameter is missing');
  assertUrl(url);
  const tested = await door.deps.testWebhook?.(domain, event, url);
  if (tested === undefined) throw new NotFound('Webhooks are not tried by this server');
  return json({ code: tested.status ?? 0, message: tested.text });
}
