/** Shapes of the endpoints for pools whose domains come and go by how their mail fares, for openapi.json. */
import { z } from 'zod';

const ips = z.array(z.string());

export const bandList = z.object({
  dynamic_good: ips,
  dynamic_poor: ips,
  dynamic_new: ips,
  good_reputation: ips,
  poor_reputation: ips,
  new_senders: ips,
  items: z.array(z.object({ name: z.string(), ips })),
  message: z.string(),
});
export const bandForms = z.object({ good_reputation: z.string(), poor_reputation: z.string(), new_senders: z.string() });
export const bandChange = z.object({ add_ip: z.string().optional(), remove_ip: z.string().optional() });
export const enrolQuery = z.object({ replacement_ip: z.string().optional().describe('Not needed') });
export const leaveQuery = z.object({
  replacement_ip: z.string().optional().describe('Addresses for the domain, or "shared"'),
  replacement_pool_id: z.string().optional().describe('A pool for the domain'),
});
export const assignableQuery = z.object({ subaccount_id: z.string().optional(), domain: z.string().optional() });
export const assignableList = z.object({
  items: z.array(z.object({ id: z.string(), name: z.string(), account_id: z.string() })),
  total_count: z.number(),
  message: z.string(),
});
export const enrolAllForm = z.object({ include_subaccounts: z.string().optional() });

const domainFacts = {
  id: z.string(),
  account_id: z.string(),
  account_name: z.string(),
  name: z.string(),
  registered_at: z.string(),
  pool: z.string(),
  override: z.boolean(),
  bounce_rate: z.number().describe('A part of one, of the last week'),
  complaint_rate: z.number().describe('A part of one, of the last week'),
  processed_count: z.number(),
};
const pages = Object.fromEntries(
  ['Next', 'Previous', 'First', 'Last', 'next', 'previous', 'first', 'last'].map((name) => [name, z.string()]),
);
export const dynamicDomainQuery = z.object({
  limit: z.string().optional(),
  skip: z.string().optional(),
  account: z.string().optional(),
  pool: z.string().optional(),
  sort_by: z.string().optional(),
  sort_order: z.string().optional(),
});
export const dynamicDomainList = z.object({ items: z.array(z.object(domainFacts)), total_items: z.number(), paging: z.object(pages) });
export const dynamicDomain = z.object({ ...domainFacts, message: z.string() });
export const overrideForm = z.object({ pool: z.string() });
export const previewAnswer = z.object({
  pool: z.string(),
  reason: z.string(),
  bounce_rate: z.number(),
  complaint_rate: z.number(),
  processed_count: z.number(),
  message: z.string(),
});
export const moveQuery = z.object({
  limit: z.string().optional(),
  skip: z.string().optional(),
  include_subaccounts: z.string().optional(),
  domain: z.string().optional(),
  before: z.string().optional(),
  after: z.string().optional(),
  moved_to: z.string().optional(),
  moved_from: z.string().optional(),
});
export const moveList = z.object({
  items: z.array(
    z.object({
      id: z.string(),
      owning_account_id: z.string(),
      account_id: z.string(),
      account_name: z.string(),
      domain_id: z.string(),
      domain_name: z.string(),
      new_band: z.string(),
      prev_band: z.string(),
      reason: z.string(),
      bounce_rate: z.number(),
      complaint_rate: z.number(),
      processed_count: z.number(),
      initiated_by: z.string(),
      timestamp: z.string(),
    }),
  ),
  total_items: z.number(),
  paging: z.object(pages),
});
