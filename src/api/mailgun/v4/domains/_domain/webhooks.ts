/** /v4/domains/{domain}/webhooks: a domain's webhooks by URL, each with the types of events that it is told. */
import type { Webhook } from '#store/webhook-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { Refusal } from '#api/conventions/errors.ts';
import {
  byEvent,
  changeWebhooks,
  crowded,
  domainOwner,
  eventsOf,
  newWebhook,
  URLS_PER_EVENT_MAX,
  urlTrouble,
} from '#api/conventions/webhooks.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { urlQuery, webhookEventsForm, webhookList } from '#api/shapes/webhooks.ts';

export function domainWebhooksByUrl(door: Door): Endpoint[] {
  const url = '/v4/domains/:domain/webhooks';
  return [
    {
      method: 'POST',
      url,
      summary: 'Tell a URL of types of events',
      right: 'write',
      form: webhookEventsForm,
      answer: webhookList,
      handle: (call) => create(door, call),
    },
    {
      method: 'PUT',
      url,
      summary: 'Replace the types of events that a URL is told',
      right: 'write',
      form: webhookEventsForm,
      answer: webhookList,
      handle: (call) => update(door, call),
    },
    {
      method: 'DELETE',
      url,
      summary: 'Tell URLs nothing more',
      right: 'write',
      query: urlQuery,
      answer: webhookList,
      handle: (call) => remove(door, call),
    },
  ];
}

function because(reason: string): Refusal {
  return new Refusal(400, reason, { Reason: reason });
}

function notThere(): Refusal {
  return new Refusal(404, 'Webhook not found', { Description: 'Webhook not found' });
}

function urlOf(call: Call): string {
  const url = call.body.form.get('url');
  if (url === undefined) throw new Refusal(400, 'url parameter is missing', { Field: 'url' });
  const trouble = urlTrouble(url);
  if (trouble !== undefined) throw because(`invalid parameters: ${url.slice(0, 200)} is not a valid url: ${trouble}`);
  return url;
}

function assertRoom(webhooks: readonly Webhook[]): readonly Webhook[] {
  const event = crowded(webhooks);
  if (event !== undefined) throw because(`unable to add more than ${URLS_PER_EVENT_MAX} urls for event type ${event}`);
  return webhooks;
}

async function create(door: Door, call: Call): Promise<Answer> {
  const owner = await domainOwner(door, call);
  const url = urlOf(call);
  const events = eventsOf(call.body.form.all('event_types'));
  const webhooks = await changeWebhooks(door, owner, (before) => {
    const known = before.find((webhook) => webhook.url === url);
    const again = events.find((event) => known?.events.includes(event) === true);
    if (again !== undefined) throw because(`Webhook for event type '${again}' with URL '${url}' already exists`);
    if (known === undefined) return assertRoom([...before, newWebhook(url, events, door.deps.clock.nowMs())]);
    return assertRoom(before.map((webhook) => (webhook === known ? { ...known, events: [...known.events, ...events] } : webhook)));
  });
  return json({ webhooks: byEvent(webhooks) });
}

async function update(door: Door, call: Call): Promise<Answer> {
  const owner = await domainOwner(door, call);
  const url = urlOf(call);
  const events = eventsOf(call.body.form.all('event_types'));
  const webhooks = await changeWebhooks(door, owner, (before) => {
    if (!before.some((webhook) => webhook.url === url)) throw notThere();
    return assertRoom(before.map((webhook) => (webhook.url === url ? { ...webhook, events } : webhook)));
  });
  return json({ webhooks: byEvent(webhooks) });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const owner = await domainOwner(door, call);
  const given = [...call.query.all('url'), ...call.body.form.all('url')];
  if (given.length === 0) throw new Refusal(400, 'url parameter is missing', { Field: 'url' });
  const webhooks = await changeWebhooks(door, owner, (before) => {
    const known = new Set(before.map(({ url }) => url));
    // A URL may have commas itself.
    const urls = given.flatMap((text) => (known.has(text) ? [text] : text.split(',').map((part) => part.trim())));
    if (!urls.some((url) => known.has(url))) throw notThere();
    return before.filter(({ url }) => !urls.includes(url));
  });
  return json({ webhooks: byEvent(webhooks) });
}
