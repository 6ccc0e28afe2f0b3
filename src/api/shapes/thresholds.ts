/** Shapes of the threshold endpoints, for openapi.json. */
import { z } from 'zod';

const filter = z.object({ dimension: z.string(), comparator: z.string(), values: z.array(z.string()) });

const asked = {
  metric: z.string().describe('Of the metrics: accepted_count, bounced_rate, …'),
  comparator: z.string().describe('>, >=, <, <=, == or !='),
  limit: z.string(),
  dimension: z.string().describe('account, domain or tag; of alerts also those of the metrics'),
  period: z.string().optional().describe('1h, 7d, 1m; 1d unless it says otherwise'),
  description: z.string().optional(),
  filters: z.array(filter).optional(),
  alert_channels: z.array(z.string()).optional(),
};

export const thresholdJson = z.object({ name: z.string(), ...asked });
export const thresholdChangeJson = z.object(asked);

export const thresholdAnswer = z.object({
  id: z.string(),
  parent_account_id: z.string(),
  subaccount_id: z.string(),
  account_group: z.string(),
  name: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
  last_checked: z.string().optional(),
  ...asked,
});

export const thresholdList = z.object({ items: z.array(thresholdAnswer), total: z.number() });

const hit = z.object({
  id: z.string(),
  name: z.string(),
  created_at: z.string(),
  updated_at: z.string(),
  triggered: z.boolean().describe('It holds now'),
  expires_at: z.string(),
  latest_value: z.string(),
  metric: z.string(),
  comparator: z.string(),
  limit: z.string(),
  parent_account_id: z.string(),
  subaccount_id: z.string(),
  dimension: z.string(),
  dimension_value: z.string(),
});

export const hitList = z.object({ items: z.array(hit), total: z.number() });
