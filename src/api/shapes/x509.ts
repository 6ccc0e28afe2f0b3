/** Certificates of tracking hosts, for openapi.json. */
import { z } from 'zod';

export const x509Status = z.object({
  status: z
    .enum(['active', 'expired', 'processing', 'error'])
    .describe('active: in use. processing: being obtained. error: what went wrong stands in `error`, and it is tried again.'),
  error: z.string().describe('Of the last try; empty when it went well.'),
  certificate: z.string().describe('PEM, with the chain; empty until there is one.'),
  host: z.string(),
  not_before: z.string().optional(),
  not_after: z.string().optional(),
  next_attempt: z.string().describe('When it is renewed, or tried again.'),
});

export const x509Begun = z.object({ message: z.string(), location: z.string() });
