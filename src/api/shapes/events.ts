/** Shapes of the events endpoints, for openapi.json. */
import { z } from 'zod';

const filter = z.string().optional().describe('Terms with AND, OR, NOT, quotes and parentheses');

export const eventQuery = z.object({
  begin: z.string().optional().describe('RFC 2822 date or Unix seconds'),
  end: z.string().optional(),
  ascending: z.string().optional().describe('yes or no'),
  limit: z.string().optional().describe('1 to 300; 100 when absent'),
  event: filter,
  list: filter,
  attachment: filter,
  from: filter,
  'message-id': filter,
  subject: filter,
  to: filter,
  size: filter,
  recipient: filter,
  recipients: filter,
  tags: filter,
  severity: filter,
});

export const paging = z.object({ next: z.string(), previous: z.string(), first: z.string(), last: z.string() });

export const eventsAnswer = z.object({
  items: z.array(z.object({ event: z.string(), id: z.string(), timestamp: z.number(), 'log-level': z.string() }).catchall(z.unknown())),
  paging,
});
