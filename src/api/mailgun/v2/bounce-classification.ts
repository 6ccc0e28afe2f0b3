/** POST /v2/bounce-classification/metrics: failures by what they mean. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { offsetDate } from '#api/conventions/dates.ts';
import { fieldsOf } from '#api/conventions/json-fields.ts';
import { bodyRange, filterOf, sorted, wholeOf } from '#api/conventions/statistics.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { bounceMetricsAnswer, metricsBody } from '#api/shapes/statistics.ts';
import { badParameter } from '#model/errors.ts';
import { BOUNCE_METRICS, bounceRows } from '#stats/bounces.ts';
import { DAYS_KEPT } from '#store/stats-store.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const DAY_MS = 86_400_000;

export function bounceClassification(door: Door): Endpoint {
  return {
    method: 'POST',
    url: '/v2/bounce-classification/metrics',
    summary: 'Failures by what they mean',
    right: 'read',
    json: metricsBody,
    answer: bounceMetricsAnswer,
    handle: (call) => answer(door, call),
  };
}

async function answer(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call, door.limits);
  const range = bodyRange(door, fields);
  if (range.endMs < door.deps.clock.nowMs() - DAYS_KEPT * DAY_MS) throw badParameter("'end' is out of permitted log retention");
  const asked = fields.texts('dimensions');
  const dimensions = asked.length === 0 ? ['entity-name', 'domain.name'] : [...new Set(asked)];
  const query = { range, dimensions, metrics: fields.texts('metrics'), where: filterOf(fields) };
  const page = fields.object('pagination');
  const [sort, skip] = [page.text('sort'), page.whole('skip') ?? 0];
  const sortable: readonly string[] = [...asked, ...(query.metrics.length === 0 ? BOUNCE_METRICS : query.metrics)];
  if (sort !== undefined && !sortable.includes(sort.split(':')[0] ?? ''))
    throw badParameter('sort should be either one of metrics or dimensions');
  const rows = await bounceRows(door.deps.store.stats, await wholeOf(door, call, fields), query);
  // Refused where it is none; there are no rows but sums.
  fields.flag('include_aggregates');
  const limit = Math.min(page.whole('limit') || LIMIT_DEFAULT, LIMIT_MAX);
  const inOrder = sorted(rows, sort, ({ values, metrics }, name) => values[name] ?? metrics[name]);
  return json({
    start: offsetDate(range.startMs),
    end: offsetDate(range.endMs),
    resolution: range.resolution,
    duration: range.duration,
    dimensions,
    pagination: { sort: sort ?? '', skip, limit, total: rows.length },
    items: inOrder.slice(skip, skip + limit).map(({ values, metrics }) => ({
      ...values,
      ...(values['timestamp'] !== undefined && { timestamp: offsetDate(Number(values['timestamp'])) }),
      metrics,
    })),
  });
}
