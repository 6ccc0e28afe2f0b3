/** Shapes of /v3/forwards, for openapi.json. */
import { z } from 'zod';

const list = z.union([z.string(), z.array(z.string())]);

export const forwardRule = z.object({
  id: z.string(),
  account_id: z.string(),
  domain_name: z.string(),
  domain_id: z.string(),
  match: z.string(),
  forward: z.object({ urls: z.array(z.string()), recipients: z.array(z.string()), store: z.string().optional() }),
  created_at: z.string(),
  updated_at: z.string(),
});

export const forwardsQuery = z.object({
  domain_name: z.string().optional(),
  skip: z.string().optional(),
  limit: z.string().optional().describe('At most 1000'),
});

const destinations = {
  'forward.url': list.optional().describe('At most 3; repeated'),
  'forward.recipient': list.optional().describe('At most 5; repeated'),
  'forward.store': z
    .string()
    .optional()
    .describe('URL that is told when the mail is kept; "yes": it is kept and nobody is told; "no": it is not kept'),
};

export const forwardForm = z.object({
  domain_name: z.string(),
  match: z.string().describe('An address, or a local part, in which * stands for any text'),
  ...destinations,
});
export const forwardChangeForm = z.object({ match: z.string().optional(), ...destinations });
export const forwardList = z.object({ total_count: z.number(), items: z.array(forwardRule) });
export const forwardMade = forwardRule.extend({ message: z.string() });
export const forwardDeleted = z.object({ message: z.string(), id: z.string() });
