/** Shapes of address validation, for openapi.json. */
import { z } from 'zod';

export const validateQuery = z.object({
  address: z.string().describe('At most 512 characters'),
  provider_lookup: z.string().optional().describe('Taken and without effect: the recipient’s server is never asked'),
  mailbox_verification: z.string().optional().describe('Likewise'),
});

const parts = z.object({ display_name: z.null(), local_part: z.string().nullable(), domain: z.string().nullable() });

export const validateAnswer = z.object({
  address: z.string(),
  result: z
    .enum(['deliverable', 'undeliverable', 'do_not_send', 'unknown'])
    .describe('deliverable: the domain takes mail and nothing known speaks against the address; the mailbox itself is not asked for'),
  risk: z.enum(['low', 'medium', 'high', 'unknown']),
  reason: z.array(z.string()),
  is_disposable_address: z.boolean(),
  is_role_address: z.boolean(),
  did_you_mean: z.string().nullable(),
  root_address: z.string().optional(),
  is_valid: z.boolean(),
  mailbox_verification: z.string(),
  parts,
});

export const parseQuery = z.object({
  addresses: z.string().describe('Separated by commas, or given several times; at most 8000 characters and 1000 addresses'),
  syntax_only: z.string().optional(),
});

export const parseAnswer = z.object({ parsed: z.array(z.string()), unparseable: z.array(z.string()) });
