/** Shapes of statistics, logs and tags, for openapi.json. */
import { z } from 'zod';
import { paging } from './events.ts';

const filter = z.object({
  AND: z.array(
    z.object({
      attribute: z.string(),
      comparator: z.string(),
      values: z.array(z.object({ label: z.string().optional(), value: z.string() })),
    }),
  ),
});
const pagination = z.object({ sort: z.string().optional(), skip: z.number().optional(), limit: z.number().optional() });

export const metricsBody = z.object({
  start: z.string().optional().describe('RFC 2822 date'),
  end: z.string().optional(),
  resolution: z.enum(['hour', 'day', 'month']).optional(),
  duration: z.string().optional().describe('As 24h, 7d or 1m; goes before start'),
  dimensions: z.array(z.string()).optional(),
  metrics: z.array(z.string()).optional(),
  filter: filter.optional(),
  include_subaccounts: z.boolean().optional(),
  include_aggregates: z.boolean().optional(),
  pagination: pagination.optional(),
});

const envelope = {
  start: z.string(),
  end: z.string(),
  resolution: z.string(),
  duration: z.string(),
  dimensions: z.array(z.string()),
  pagination: z.object({ sort: z.string(), skip: z.number(), limit: z.number(), total: z.number() }),
};
const values = z.record(z.string(), z.union([z.number(), z.string()]));

export const metricsAnswer = z.object({
  ...envelope,
  items: z.array(
    z.object({ dimensions: z.array(z.object({ dimension: z.string(), value: z.string(), display_value: z.string() })), metrics: values }),
  ),
  aggregates: z.object({ metrics: values.optional() }),
});

export const bounceMetricsAnswer = z.object({ ...envelope, items: z.array(z.object({ metrics: values }).catchall(z.unknown())) });

export const statsQuery = z.object({
  event: z.string().optional().describe('Which kinds of events; repeated'),
  start: z.string().optional(),
  end: z.string().optional(),
  resolution: z.string().optional(),
  duration: z.string().optional(),
});
export const statsAnswer = z.object({
  start: z.string(),
  end: z.string(),
  resolution: z.string(),
  stats: z.array(z.object({ time: z.string().optional() }).catchall(z.unknown())),
});

export const logsBody = z.object({
  start: z.string().optional(),
  end: z.string().optional(),
  duration: z.string().optional(),
  events: z.array(z.string()).optional(),
  metric_events: z.array(z.string()).optional(),
  filter: filter.optional(),
  include_subaccounts: z.boolean().optional(),
  include_totals: z.boolean().optional(),
  pagination: z.object({ sort: z.string().optional(), token: z.string().optional(), limit: z.number().optional() }).optional(),
});
export const logsAnswer = z.object({
  start: z.string(),
  end: z.string(),
  items: z.array(z.record(z.string(), z.unknown())),
  pagination: z.record(z.string(), z.unknown()),
  aggregates: z.record(z.string(), z.unknown()),
});

const tag = z.object({ tag: z.string(), description: z.string(), 'first-seen': z.string(), 'last-seen': z.string() });
export const tagAnswer = tag;
export const tagsAnswer = z.object({ items: z.array(tag), paging });
export const tagsQuery = z.object({
  limit: z.string().optional(),
  prefix: z.string().optional(),
  page: z.string().optional().describe('first, last, next or previous'),
  tag: z.string().optional().describe('Where next and previous start from'),
});
export const tagQuery = z.object({ tag: z.string() });
export const tagForm = z.object({ tag: z.string().optional(), description: z.string().optional() });
export const itemsAnswer = z.object({ items: z.array(z.string()) });
export const tagLimit = z.object({ id: z.string(), limit: z.number(), count: z.number() });

export const accountTagsBody = z.object({
  tag: z.string().optional(),
  include_subaccounts: z.boolean().optional(),
  include_metrics: z.boolean().optional(),
  pagination: pagination.extend({ include_total: z.boolean().optional() }).optional(),
});
export const accountTagsAnswer = z.object({
  items: z.array(z.record(z.string(), z.unknown())),
  pagination: z.record(z.string(), z.unknown()),
});
export const accountTagBody = z.object({ tag: z.string(), description: z.string().optional() });
export const accountTagLimit = z.object({ limit: z.number(), count: z.number(), limit_reached: z.boolean() });
