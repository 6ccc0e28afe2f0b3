/** Shapes of the endpoints for addresses and pools of them, for openapi.json. */
import { z } from 'zod';

export const ipListQuery = z.object({ dedicated: z.string().optional(), enabled: z.string().optional() });
export const ipList = z.object({
  items: z.array(z.string()),
  total_count: z.number(),
  assignable_to_pools: z.array(z.string()),
  details: z.array(z.object({ ip: z.string(), is_on_warmup: z.boolean() })),
});
export const ipDetails = z.object({ ip: z.string(), dedicated: z.boolean(), rdns: z.string() });
export const ipDetailsList = z.object({
  items: z.array(ipDetails.extend({ address: z.string(), account_id: z.string(), pool_ids: z.array(z.string()) })),
  total_count: z.number(),
});
export const ipDomainsQuery = z.object({ limit: z.string().optional(), skip: z.string().optional(), search: z.string().optional() });
export const ipDomains = z.object({
  items: z.array(z.object({ domain: z.string(), ips: z.array(z.string()) })),
  total_count: z.number(),
  assignable_to_pools: z.array(z.string()),
});
export const ipChange = z.object({ message: z.string(), reference_id: z.string() });

export const domainIps = z.object({
  items: z.array(z.string()),
  total_count: z.number(),
  assignable_to_pools: z.array(z.string()),
});
export const domainIpForm = z.object({ ip: z.string().optional(), pool_id: z.string().optional() });
export const domainPoolQuery = z.object({
  ip: z.string().optional().describe('An address in place of what is taken away'),
  pool_id: z.string().optional().describe('A pool in place of what is taken away'),
});

const facts = { pool_id: z.string(), name: z.string(), description: z.string(), is_linked: z.boolean() };
export const poolList = z.object({
  ip_pools: z.array(
    z.object({
      ...facts,
      ips: z.array(z.string()),
      is_inherited: z.boolean(),
      metadata: z.object({ assignments: z.record(z.string(), z.unknown()) }),
    }),
  ),
  message: z.string(),
});
export const poolForm = z.object({ name: z.string(), description: z.string().optional(), ip: z.string().optional() });
export const poolMade = z.object({ message: z.string(), pool_id: z.string() });
export const poolAnswer = z.object({
  ...facts,
  ips: z.array(z.string()),
  details: z.object({ ...facts, ips: z.array(z.string()), linked_domains: z.array(z.string()) }),
  message: z.string(),
});
export const poolChange = z.object({
  name: z.string().optional(),
  description: z.string().optional(),
  add_ip: z.string().optional(),
  remove_ip: z.string().optional(),
  link_domain: z.string().optional(),
  unlink_domain: z.string().optional(),
});
export const poolMessage = z.object({ message: z.string(), reference_id: z.string() });
export const poolDomainsQuery = z.object({ limit: z.string().optional(), page: z.string().optional() });
export const poolDomains = z.object({
  domains: z.array(z.object({ id: z.string(), name: z.string() })),
  paging: z.object({ first: z.string(), next: z.string() }),
});
export const poolIpsForm = z.object({ ips: z.array(z.string()) });

export const delegationForm = z.object({ subaccount_id: z.string() });
export const poolIdForm = z.object({ pool_id: z.string() });
export const subaccountIpForm = z.object({ ip: z.string() });
export const lentPoolList = z.object({
  items: z.array(z.object({ pool_id: z.string(), subaccount_id: z.string() })),
  total_count: z.number(),
});
export const subaccountPoolList = z.object({
  items: z.array(
    z.object({ pool_id: z.string(), name: z.string(), description: z.string(), ips: z.array(z.string()), is_inherited: z.boolean() }),
  ),
  total_count: z.number(),
});

const stageFacts = {
  ip: z.string(),
  sent_within_stage: z.string().describe('Of the volume of the stage, in the last 24 hours'),
  throttle: z.number().describe('100: nothing more may leave today'),
  stage_number: z.number(),
  stage_start_volume: z.number(),
  stage_start_time: z.string(),
  stage_volume_limit: z.number().describe('Recipients in any 24 hours'),
};
export const warmUpListQuery = z.object({ page: z.string().optional(), limit: z.string().optional() });
export const warmUpList = z.object({
  items: z.array(z.object(stageFacts)),
  paging: z.object({ first: z.string(), last: z.string(), next: z.string(), previous: z.string() }),
});
export const warmUpDetails = z.object({
  details: z.object({
    ...stageFacts,
    stage_started_at: z.string(),
    hour_started_at: z.string(),
    plan_started_at: z.string(),
    plan_last_updated_at: z.string(),
    total_stages: z.number(),
    stage_history: z.array(z.object({ first_updated_at: z.string(), completed_at: z.string(), limit: z.number() })),
  }),
});
