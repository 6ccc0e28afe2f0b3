/** Shapes of the domain and credential endpoints, for openapi.json. */
import { z } from 'zod';

const domain = z.object({
  created_at: z.string(),
  id: z.string(),
  is_disabled: z.boolean(),
  name: z.string(),
  require_tls: z.boolean(),
  skip_verification: z.boolean(),
  smtp_login: z.string(),
  spam_action: z.string(),
  state: z.enum(['unverified', 'active', 'disabled']),
  type: z.enum(['custom', 'sandbox']),
  use_automatic_sender_security: z.boolean(),
  web_prefix: z.string(),
  web_scheme: z.string(),
  wildcard: z.boolean(),
});

const record = z.object({
  is_active: z.boolean(),
  cached: z.array(z.string()),
  name: z.string().optional(),
  priority: z.string().optional(),
  record_type: z.string(),
  valid: z.enum(['unknown', 'valid', 'invalid']),
  value: z.string(),
});

export const domainQuery = z.object({
  limit: z.string().optional(),
  skip: z.string().optional(),
  state: z.string().optional(),
  search: z.string().optional(),
});

export const domainForm = z.object({ name: z.string(), smtp_password: z.string().optional().describe('Makes the login postmaster@name') });

export const domainList = z.object({ total_count: z.number(), items: z.array(domain) });

export const domainAnswer = z.object({
  message: z.string().optional(),
  domain,
  receiving_dns_records: z.array(record),
  sending_dns_records: z.array(record),
});

const queue = z.object({ is_disabled: z.boolean(), disabled: z.object({ reason: z.string() }) });
export const sendingQueues = z.object({ regular: queue, scheduled: queue });

export const credentialForm = z.object({
  login: z.string(),
  password: z.string().optional().describe('5 to 32 characters; made here when absent'),
});

export const credentialList = z.object({
  items: z.array(z.object({ created_at: z.string(), login: z.string(), mailbox: z.string(), size_bytes: z.null() })),
  total_count: z.number(),
});

export const credentialMade = z.object({
  message: z.string(),
  note: z.string().optional(),
  credentials: z.record(z.string(), z.string()).optional(),
});
