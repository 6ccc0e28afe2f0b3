/** Shapes of the log of webhooks and routes, and of the servers that they go to, for openapi.json. */
import { z } from 'zod';

const RESULTS = ['done', 'deferred', 'failed'] as const;
export const POST_RESULTS: readonly (typeof RESULTS)[number][] = RESULTS;

const time = z.string().describe('Unix seconds, RFC 2822 or ISO 8601');

export const postsQuery = z.object({
  domain: z.string().optional(),
  url: z.string().optional().describe('Exactly as the webhook has it, or as the route made it'),
  result: z.enum(RESULTS).optional().describe('done: taken. deferred: tried again. failed: given up'),
  begin: time.optional(),
  end: time.optional(),
  limit: z.number().optional().describe('At most 300; default 100'),
  page: z.string().optional().describe('From the URL of the next page'),
});

const post = z.object({
  id: z.number(),
  at: z.string(),
  domain: z.string().optional(),
  event: z.string().describe('accepted, delivered, failed, …'),
  severity: z.enum(['temporary', 'permanent']).optional(),
  message: z.number().optional().describe('For GET /v1/messages/{id}'),
  for: z.enum(['webhook', 'route']).describe('Whose URL it is: route, where mail that came in is posted'),
  url: z.string(),
  attempt: z.number(),
  result: z.enum(RESULTS),
  status: z.number().optional().describe('Of the answer, when there was one'),
  took_ms: z.number(),
  error: z.string().optional(),
  response: z.string().optional().describe("Beginning of the answer's body"),
});

export const postList = z.object({ items: z.array(post), paging: z.object({ next: z.string().optional() }) });
export const postShown = z.object({
  ...post.shape,
  request: z
    .object({ method: z.string(), headers: z.record(z.string(), z.string()), body: z.record(z.string(), z.unknown()) })
    .optional()
    .describe(
      'As it was posted, without its signature, which is another for each attempt; absent: the event is gone, or it is a post of a route',
    ),
});

export const replayForm = z.object({
  failed: z.string().optional().describe('yes: what was given up'),
  begin: time.optional(),
  end: time.optional(),
  domain: z.string().optional(),
  url: z.string().optional(),
});
export const replayed = z.object({
  message: z.string(),
  count: z.number().describe('What is posted again'),
  next: z.string().optional().describe('There is more: ask again with this as `end`'),
});

export const endpointList = z.object({
  items: z.array(
    z.object({
      endpoint: z.string(),
      state: z.enum(['well', 'failing', 'paused', 'unknown']),
      since: z.string().optional().describe('Of the state, as far as the log tells'),
      last_at: z.string().optional(),
      last_status: z.number().optional(),
      last_error: z.string().optional(),
      waiting: z.number(),
      next_at: z.string().optional().describe('When the next of them is tried'),
    }),
  ),
});
