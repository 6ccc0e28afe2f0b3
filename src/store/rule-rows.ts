/** Rows of webhooks, routes and thresholds to our nouns, the same for both drivers. Stored JSON was written by us: it is trusted. */
import type { Row } from './rows-json.ts';
import type { Route } from './route-store.ts';
import type { Threshold, ThresholdHit } from './threshold-store.ts';
import type { WebhookSet } from './webhook-store.ts';

export const THRESHOLD_COLUMNS =
  'id, account_id, kind, name, description, metric, comparator, bound, dimension, period, filters, channels, created_ms, updated_ms, checked_ms';
export const HIT_COLUMNS =
  'id, account_id, threshold_id, kind, name, metric, comparator, bound, dimension, dimension_value, latest, created_ms, updated_ms, expires_ms';
export const ROUTE_COLUMNS = 'id, account_id, priority, description, expression, actions, created_ms';

export function webhookSetOf(row: Row | undefined): WebhookSet {
  if (row === undefined) return { revision: 0, webhooks: [] };
  return { revision: Number(row['revision']), webhooks: JSON.parse(String(row['webhooks'])) as WebhookSet['webhooks'] };
}

export function routeOf(row: Row): Route {
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    priority: Number(row['priority']),
    description: String(row['description']),
    expression: String(row['expression']),
    actions: JSON.parse(String(row['actions'])) as string[],
    createdMs: Number(row['created_ms']),
  };
}

export function routeValues(route: Route): (string | number)[] {
  const { id, accountId, priority, description, expression, actions, createdMs } = route;
  return [id, accountId, priority, description, expression, JSON.stringify(actions), createdMs];
}

export function thresholdOf(row: Row): Threshold {
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    kind: row['kind'] as Threshold['kind'],
    name: String(row['name']),
    description: String(row['description']),
    metric: String(row['metric']),
    comparator: row['comparator'] as Threshold['comparator'],
    limit: String(row['bound']),
    dimension: String(row['dimension']),
    period: String(row['period']),
    filters: JSON.parse(String(row['filters'])) as Threshold['filters'],
    channels: JSON.parse(String(row['channels'])) as string[],
    createdMs: Number(row['created_ms']),
    updatedMs: Number(row['updated_ms']),
    checkedMs: Number(row['checked_ms']),
  };
}

/** In the order of THRESHOLD_COLUMNS. */
export function thresholdValues(threshold: Threshold): (string | number)[] {
  const { id, accountId, kind, name, description, metric, comparator, limit, dimension, period, filters, channels } = threshold;
  const { createdMs, updatedMs, checkedMs } = threshold;
  const head = [id, accountId, kind, name, description, metric, comparator, limit, dimension, period];
  return [...head, JSON.stringify(filters), JSON.stringify(channels), createdMs, updatedMs, checkedMs];
}

export function hitOf(row: Row): ThresholdHit {
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    thresholdId: String(row['threshold_id']),
    kind: row['kind'] as ThresholdHit['kind'],
    name: String(row['name']),
    metric: String(row['metric']),
    comparator: row['comparator'] as ThresholdHit['comparator'],
    limit: String(row['bound']),
    dimension: String(row['dimension']),
    dimensionValue: String(row['dimension_value']),
    latestValue: Number(row['latest']),
    createdMs: Number(row['created_ms']),
    updatedMs: Number(row['updated_ms']),
    expiresMs: Number(row['expires_ms']),
  };
}

/** In the order of HIT_COLUMNS. */
export function hitValues(hit: ThresholdHit): (string | number)[] {
  const { id, accountId, thresholdId, kind, name, metric, comparator, limit, dimension, dimensionValue, latestValue } = hit;
  const head = [id, accountId, thresholdId, kind, name, metric, comparator, limit, dimension, dimensionValue];
  return [...head, String(latestValue), hit.createdMs, hit.updatedMs, hit.expiresMs];
}
