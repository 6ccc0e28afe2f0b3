/** Shapes of scheduled mail, for openapi.json. */
import { z } from 'zod';

const whose = z.string().describe('Only this recipient of the message').optional();

export const scheduledQuery = z.object({
  domain: z.string().optional().describe('Sending domains, with commas; all of the account when absent'),
  limit: z.number().optional().describe('At most 300; default 100'),
  page: z.string().optional().describe('From the URL of the next page'),
});
export const whoseQuery = z.object({ recipient: whose });

const entry = z.object({
  message: z.number().describe('For GET /v1/messages/{id}'),
  message_id: z.string(),
  domain: z.string().describe('That it is sent from'),
  recipient: z.string(),
  scheduled_at: z.string(),
  time_zone: z.string().optional().describe('Whose local time that is, of o:time-zone-localize'),
  created_at: z.string(),
  from: z.string(),
  subject: z.string(),
  tags: z.array(z.string()),
});

export const scheduledList = z.object({ items: z.array(entry), paging: z.object({ next: z.string().optional() }) });
export const scheduledMessage = z.object({ items: z.array(entry).describe('What is still scheduled') });

export const moveForm = z.object({
  'o:deliverytime': z.string().describe('RFC 2822, ISO 8601 or Unix seconds; a time that has passed means now'),
  recipient: whose,
});
export const movedAnswer = z.object({ message: z.string(), moved: z.number().describe('Recipients'), scheduled_at: z.string() });
export const withdrawnAnswer = z.object({ message: z.string(), cancelled: z.number().describe('Recipients') });
