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

export const bulkForm = z.object({
  file: z.string().describe('A CSV with a column of addresses, or a JSON array; at most 25 MB'),
});
export const bulkMade = z.object({ id: z.string(), message: z.string() });
const count = z.number();
export const bulkJob = z.object({
  id: z.string(),
  created_at: z.number().describe('Unix seconds'),
  quantity: z.number(),
  records_processed: z.number(),
  status: z.enum(['created', 'processing', 'uploaded']).describe('uploaded: it is done, and what came of it can be fetched'),
  summary: z.object({
    result: z.object({ catch_all: count, deliverable: count, do_not_send: count, undeliverable: count, unknown: count }),
    risk: z.object({ high: count, low: count, medium: count, unknown: count }),
  }),
  download_url: z.object({ csv: z.string(), json: z.string() }).nullable().describe('With a key, as all else; null until it is done'),
});
export const bulkListQuery = z.object({ limit: z.string().optional(), page: z.string().optional(), pivot: z.string().optional() });
export const bulkList = z.object({
  jobs: z.array(bulkJob),
  total: z.number(),
  paging: z.object({ first: z.string(), last: z.string(), next: z.string(), previous: z.string() }),
});
