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
    tag: z.string().optional(),
    created_at: z.string().optional(),
  })
  .describe('A JSON array of up to 1000 such objects is taken too');

export const suppressionAdded = z.object({ message: z.string(), address: z.string().optional() });

export const suppressionList = z.object({
  items: z.array(z.object({ address: z.string(), created_at: z.string() }).catchall(z.unknown())),
  paging: z.object({ first: z.string(), last: z.string(), next: z.string(), previous: z.string() }),
});
