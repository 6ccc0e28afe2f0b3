/** Shapes of the webhook endpoints, for openapi.json. */
import { z } from 'zod';
import { WEBHOOK_EVENTS } from '#store/webhook-store.ts';

const url = z.string().describe('http or https');
const urls = z.union([url, z.array(url)]).describe('At most 3 for a type of event');
const list = z.union([z.string(), z.array(z.string())]);
const webhook = z.object({ urls: z.array(z.string()) });
const types = z.enum(WEBHOOK_EVENTS);

export const webhookForm = z.object({ id: types, url: urls });
export const webhookUrlForm = z.object({ url: urls });
export const webhookTestForm = z.object({ url });
export const webhookEventsForm = z.object({ url, event_types: list.describe('Types of events, repeated') });
export const urlQuery = z.object({ url: list.describe('One URL, or several: repeated, or with commas') });

export const webhookShown = z.object({ webhook });
export const webhookAnswer = z.object({ message: z.string(), webhook });
export const webhookList = z.object({ webhooks: z.partialRecord(types, webhook) });

export const webhookTested = z.object({
  code: z.number().describe('Status that the URL answered with; 0: no answer'),
  message: z.string(),
});

export const accountWebhookForm = z.object({ url, event_types: list, description: z.string().optional() });
export const webhookId = z.object({ webhook_id: z.string() });
export const webhookIdsQuery = z.object({ webhook_ids: z.string().optional() });
export const manyWebhooksQuery = z.object({ webhook_ids: z.string().optional(), all: z.string().optional().describe('true') });

export const accountWebhook = z.object({
  webhook_id: z.string(),
  description: z.string(),
  url: z.string(),
  event_types: z.array(z.string()),
  created_at: z.string(),
});

export const accountWebhookList = z.object({ webhooks: z.array(accountWebhook) });
