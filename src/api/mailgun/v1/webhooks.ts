/** /v1/webhooks: webhooks of the account, which are told of the events of all its domains. */
import { badParameter } from '#model/errors.ts';
import { ACCOUNT_WEBHOOKS } from '#store/webhook-store.ts';
import type { Webhook } from '#store/webhook-store.ts';
import { json, NO_CONTENT } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { isoDate } from '#api/conventions/dates.ts';
import { Refusal } from '#api/conventions/errors.ts';
import { changeWebhooks, crowded, eventsOf, newWebhook, URLS_PER_EVENT_MAX, urlTrouble, webhooksOf } from '#api/conventions/webhooks.ts';
import type { Owner } from '#api/conventions/webhooks.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  accountWebhook,
  accountWebhookForm,
  accountWebhookList,
  manyWebhooksQuery,
  webhookId,
  webhookIdsQuery,
} from '#api/shapes/webhooks.ts';

const DESCRIPTION_MAX = 1000;

export function accountWebhooks(door: Door): Endpoint[] {
  const url = '/v1/webhooks';
  return [
    {
      method: 'GET',
      url,
      summary: 'Webhooks of the account',
      right: 'read',
      query: webhookIdsQuery,
      answer: accountWebhookList,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url,
      summary: 'Add a webhook to the account',
      right: 'write',
      form: accountWebhookForm,
      answer: webhookId,
      handle: (call) => create(door, call),
    },
    {
      method: 'DELETE',
      url,
      summary: 'Delete some or all webhooks of the account',
      right: 'write',
      query: manyWebhooksQuery,
      handle: (call) => removeMany(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:id`,
      summary: 'One webhook of the account',
      right: 'read',
      answer: accountWebhook,
      handle: (call) => one(door, call),
    },
    {
      method: 'PUT',
      url: `${url}/:id`,
      summary: 'Replace a webhook of the account',
      right: 'write',
      form: accountWebhookForm,
      handle: (call) => update(door, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:id`,
      summary: 'Delete a webhook of the account',
      right: 'write',
      handle: (call) => remove(door, call),
    },
  ];
}

function ownerOf({ principal }: Call): Owner {
  return { accountId: principal.accountId, domainId: ACCOUNT_WEBHOOKS };
}

function shown({ id, description, url, events, createdMs }: Webhook): object {
  return { webhook_id: id, description, url, event_types: events, created_at: isoDate(createdMs) };
}

function missing(sentence: string): Refusal {
  return new Refusal(404, sentence, { Description: sentence });
}

/** "a,b" or repeated; undefined: not given. */
function idsOf(call: Call): string[] | undefined {
  const pairs = call.query.pairs.filter(([name]) => name === 'webhook_ids');
  if (pairs.length === 0) return undefined;
  const ids = pairs.flatMap(([, value]) => value.split(',').map((id) => id.trim()));
  if (ids.includes('')) throw badParameter('Invalid parameter: webhook_ids malformed webhook_ids parameter: empty values not allowed');
  return ids;
}

function readForm(call: Call): Pick<Webhook, 'url' | 'events' | 'description'> {
  const { form } = call.body;
  const url = form.get('url');
  if (url === undefined || urlTrouble(url) !== undefined) {
    const value = 'missing or invalid url parameter';
    throw new Refusal(400, value, { Field: 'url', Value: value });
  }
  const description = form.get('description') ?? '';
  if (description.length > DESCRIPTION_MAX || /[\u0000-\u001f\u007f]/.test(description)) {
    throw badParameter(`description parameter is one line of at most ${DESCRIPTION_MAX} characters`);
  }
  return { url, events: eventsOf(form.all('event_types')), description };
}

/** The same URL once for each type of event, and few URLs for each. */
function assertFits(webhooks: readonly Webhook[], changed: Pick<Webhook, 'id' | 'url' | 'events'>): readonly Webhook[] {
  for (const { id, url, events } of webhooks) {
    const event = id === changed.id || url !== changed.url ? undefined : events.find((each) => changed.events.includes(each));
    const sentence = `url ${url} already exists for event type ${event}`;
    if (event !== undefined) throw new Refusal(409, sentence, { Description: sentence });
  }
  const event = crowded(webhooks);
  const sentence = `unable to add more than ${URLS_PER_EVENT_MAX} urls for event type ${event}`;
  if (event !== undefined) throw new Refusal(409, sentence, { Description: sentence });
  return webhooks;
}

async function list(door: Door, call: Call): Promise<Answer> {
  // The SDK for Ruby asks for all with an empty text.
  const ids = call.query.get('webhook_ids') === undefined ? undefined : idsOf(call);
  const webhooks = await webhooksOf(door, ownerOf(call));
  return json({ webhooks: webhooks.filter(({ id }) => ids?.includes(id) !== false).map(shown) });
}

async function one(door: Door, call: Call): Promise<Answer> {
  const found = (await webhooksOf(door, ownerOf(call))).find(({ id }) => id === call.param('id'));
  if (found === undefined) throw missing('webhook not found');
  return json(shown(found));
}

async function create(door: Door, call: Call): Promise<Answer> {
  const { url, events, description } = readForm(call);
  const made = newWebhook(url, events, door.deps.clock.nowMs(), description);
  await changeWebhooks(door, ownerOf(call), (before) => assertFits([...before, made], made));
  return json({ webhook_id: made.id });
}

function idOf(call: Call): string {
  const id = call.param('id');
  if (!/^[0-9a-f]{24}$/i.test(id)) {
    throw new Refusal(400, 'webhook_id is not valid', { Field: 'webhook_id', Value: 'is not valid' });
  }
  return id.toLowerCase();
}

async function update(door: Door, call: Call): Promise<Answer> {
  const id = idOf(call);
  const change = readForm(call);
  await changeWebhooks(door, ownerOf(call), (before) => {
    if (!before.some((webhook) => webhook.id === id)) throw missing(`webhook_id not found: ${id}`);
    return assertFits(
      before.map((webhook) => (webhook.id === id ? { ...webhook, ...change } : webhook)),
      { ...change, id },
    );
  });
  return NO_CONTENT;
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const id = idOf(call);
  await changeWebhooks(door, ownerOf(call), (before) => {
    if (!before.some((webhook) => webhook.id === id)) throw missing(`webhook_id not found: ${id}`);
    return before.filter((webhook) => webhook.id !== id);
  });
  return NO_CONTENT;
}

async function removeMany(door: Door, call: Call): Promise<Answer> {
  const ids = idsOf(call);
  const isAll = call.query.get('all') === 'true';
  if (ids === undefined && !isAll) throw badParameter('Invalid parameter: webhook_ids or all=true is required');
  await changeWebhooks(door, ownerOf(call), (before) => {
    const left = isAll ? [] : before.filter(({ id }) => ids?.includes(id) !== true);
    if (left.length === before.length) throw missing('no webhooks found for account');
    return left;
  });
  return NO_CONTENT;
}
