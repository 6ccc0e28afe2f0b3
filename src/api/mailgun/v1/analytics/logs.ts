/** POST /v1/analytics/logs: events of the whole account. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { listDate } from '#api/conventions/dates.ts';
import { type Fields, fieldsOf } from '#api/conventions/json-fields.ts';
import { predicatesOf, wholeOf } from '#api/conventions/statistics.ts';
import { eventUrls } from '#api/conventions/urls.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { logsAnswer, logsBody } from '#api/shapes/statistics.ts';
import { logItem, LOGS_DEFAULT, LOGS_MAX, type LogsQuery, runLogs } from '#events/logs.ts';
import { badParameter } from '#model/errors.ts';
import { spanBefore } from '#stats/range.ts';

const DAY_MS = 86_400_000;

export function analyticsLogs(door: Door): Endpoint {
  return {
    method: 'POST',
    url: '/v1/analytics/logs',
    summary: 'List what happened to messages of all domains',
    right: 'read',
    json: logsBody,
    answer: logsAnswer,
    handle: (call) => answer(door, call),
  };
}

async function answer(door: Door, call: Call): Promise<Answer> {
  const fields = fieldsOf(call, door.limits);
  const page = fields.object('pagination');
  const { domains, accountId, below = [] } = await wholeOf(door, call, fields);
  const { startMs, endMs } = rangeOf(fields, door.deps.clock.nowMs());
  const query: LogsQuery = {
    accountId,
    domains,
    below,
    startUs: startMs * 1000,
    endUs: endMs * 1000 + 999,
    order: orderOf(page.text('sort')),
    limit: Math.min(page.whole('limit') || LOGS_DEFAULT, LOGS_MAX),
    events: fields.texts('events'),
    where: predicatesOf(fields),
  };
  const { items, pagination } = await runLogs(door.deps.store.events, query, page.text('token'), door.limits.eventScanRows);
  const urls = eventUrls(call.publicUrl);
  return json({
    start: listDate(startMs),
    end: listDate(endMs),
    items: items.map((view) => logItem(view, urls)),
    pagination: {
      ...pagination,
      ...(fields.flag('include_totals') && pagination.next === undefined && pagination.previous === undefined && { total: items.length }),
    },
    aggregates: {},
  });
}

function rangeOf(fields: Fields, nowMs: number): { readonly startMs: number; readonly endMs: number } {
  const endMs = fields.time('end') ?? nowMs;
  const duration = fields.text('duration');
  const startMs = duration === undefined ? (fields.time('start') ?? endMs - DAY_MS) : spanBefore(endMs, duration);
  if (startMs > endMs) throw badParameter("'start' is after 'end'");
  return { startMs, endMs };
}

function orderOf(sort: string | undefined): LogsQuery['order'] {
  if (sort === undefined || sort === 'timestamp:desc') return 'descending';
  if (sort !== 'timestamp:asc') throw badParameter("'sort' is timestamp:asc or timestamp:desc");
  return 'ascending';
}
