/** Shapes of the suppression endpoints, for openapi.json. */
import { z } from 'zod';

export const suppressionQuery = z.object({
  limit: z.string().optional().describe('At most 1000; 100 when absent'),
  page: z.string().optional().describe('next, previous or last, from `address`'),
  address: z.string().optional(),
  term: z.string().optional().describe('What the addresses begin with'),
});

export const suppressionForm = z
  .object({
    address: z.string(),
    code: z.string().optional(),
    error: z.string().optional(),
    tag: z.string().optional().describe('Of an unsubscribe: it stops messages with this tag only; may be repeated'),
    created_at: z.string().optional(),
  })
  .describe('A JSON array of up to 1000 such objects is taken too');

export const suppressionAdded = z.object({ message: z.string(), address: z.string().optional() });

export const suppressionList = z.object({
  items: z.array(z.object({ address: z.string(), created_at: z.string() }).catchall(z.unknown())),
  paging: z.object({ first: z.string(), last: z.string(), next: z.string(), previous: z.string() }),
});

export const suppressionImported = z.object({ message: z.string() });

export const allowlistForm = z
  .object({ address: z.string().optional(), domain: z.string().optional(), reason: z.string().optional() })
  .describe('An address or a domain. A JSON array of up to 1000 such objects is taken too');

export const allowlistAdded = z.object({ message: z.string(), type: z.string().optional(), value: z.string().optional() });

export const allowlistList = z.object({
  items: z.array(z.object({ type: z.enum(['address', 'domain']), value: z.string(), reason: z.string(), createdAt: z.string() })),
  paging: suppressionList.shape.paging,
});
