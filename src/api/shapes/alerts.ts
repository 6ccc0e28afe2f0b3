/** Shapes of the endpoints for alerts, for openapi.json. */
import { z } from 'zod';

const settings = z.object({ url: z.string().optional().describe('Of a webhook'), emails: z.array(z.string()).optional() });
const channel = z.enum(['webhook', 'email']);

export const alertTypes = z.object({ events: z.array(z.string()) });
export const alertBody = z.object({ event_type: z.string(), channel, settings });
export const alertOne = z.object({ id: z.string(), event_type: z.string(), channel, settings, disabled_at: z.null() });
export const alertChanged = alertOne.extend({ message: z.string() });
export const alertSettings = z.object({
  events: z.array(alertOne),
  webhooks: z.object({ signing_key: z.string().describe('Of X-Sign: hexadecimal HMAC-SHA256 of the whole body') }),
  slack: z.object({}),
});
export const signingKeyAnswer = z.object({ signing_key: z.string() });
export const webhookTestBody = z.object({ event_type: z.string(), url: z.string() });
export const emailTestBody = z.object({ event_type: z.string(), emails: z.array(z.string()) });
