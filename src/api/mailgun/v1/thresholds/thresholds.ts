/** /v1/thresholds: limits, which stop an account's mail while they are reached; alerts, which tell; and the hits of both. */
import { badParameter } from '#model/errors.ts';
import type { ThresholdHit, ThresholdKind } from '#store/threshold-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { isoDate } from '#api/conventions/dates.ts';
import { readChange, readThreshold, requiredThreshold, shownThreshold, THRESHOLDS_MAX } from '#api/conventions/thresholds.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { hitList, thresholdAnswer, thresholdChangeJson, thresholdJson, thresholdList } from '#api/shapes/thresholds.ts';

const HITS_MAX = 1000;

export function thresholds(door: Door): Endpoint[] {
  return [
    ...ofKind(door, 'alert', '/v1/thresholds/alerts/send', 'a send alert'),
    ...ofKind(door, 'limit', '/v1/thresholds/limits', 'a limit threshold'),
    {
      method: 'GET',
      url: '/v1/thresholds/hits',
      summary: 'Thresholds that were reached, the latest first',
      right: 'read',
      answer: hitList,
      handle: (call) => hits(door, call),
    },
  ];
}

function ofKind(door: Door, kind: ThresholdKind, url: string, words: string): Endpoint[] {
  return [
    { method: 'GET', url, summary: `List: ${words}`, right: 'read', answer: thresholdList, handle: (call) => list(door, kind, call) },
    {
      method: 'POST',
      url,
      summary: `Create ${words}`,
      right: 'write',
      json: thresholdJson,
      answer: thresholdAnswer,
      handle: (call) => create(door, kind, call),
    },
    {
      method: 'GET',
      url: `${url}/:name`,
      summary: `Get ${words}`,
      right: 'read',
      answer: thresholdAnswer,
      handle: async (call) => json(shownThreshold(await requiredThreshold(door, call, kind))),
    },
    {
      method: 'PUT',
      url: `${url}/:name`,
      summary: `Change ${words}`,
      right: 'write',
      json: thresholdChangeJson,
      answer: messageAnswer,
      handle: (call) => update(door, kind, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:name`,
      summary: `Delete ${words}`,
      right: 'write',
      answer: messageAnswer,
      handle: (call) => remove(door, kind, call),
    },
  ];
}

async function list(door: Door, kind: ThresholdKind, call: Call): Promise<Answer> {
  const all = await door.deps.store.thresholds.listThresholds(call.principal.accountId, kind);
  return json({ items: all.map(shownThreshold), total: all.length });
}

async function create(door: Door, kind: ThresholdKind, call: Call): Promise<Answer> {
  const threshold = readThreshold(call, kind, door.deps.clock.nowMs());
  if (!(await door.deps.store.thresholds.createThreshold(threshold, THRESHOLDS_MAX))) {
    throw badParameter(`the name is taken, or there are ${THRESHOLDS_MAX} already`);
  }
  return json(shownThreshold(threshold));
}

async function update(door: Door, kind: ThresholdKind, call: Call): Promise<Answer> {
  const { name } = await requiredThreshold(door, call, kind);
  const change = readChange(call, kind, door.deps.clock.nowMs());
  await door.deps.store.thresholds.changeThreshold(call.principal.accountId, kind, name, change);
  return json({ message: 'Threshold has been updated' });
}

async function remove(door: Door, kind: ThresholdKind, call: Call): Promise<Answer> {
  const { name } = await requiredThreshold(door, call, kind);
  await door.deps.store.thresholds.deleteThreshold(call.principal.accountId, kind, name);
  return json({ message: 'Threshold has been deleted' });
}

async function hits(door: Door, call: Call): Promise<Answer> {
  const nowMs = door.deps.clock.nowMs();
  const items = await door.deps.store.thresholds.listHits(call.principal.accountId, HITS_MAX);
  return json({ items: items.map((hit) => shownHit(hit, nowMs)), total: items.length });
}

function shownHit(hit: ThresholdHit, nowMs: number): object {
  return {
    id: hit.id,
    name: hit.name,
    created_at: isoDate(hit.createdMs),
    updated_at: isoDate(hit.updatedMs),
    triggered: hit.expiresMs > nowMs,
    expires_at: isoDate(Math.max(hit.expiresMs, hit.createdMs)),
    latest_value: String(hit.latestValue),
    metric: hit.metric,
    comparator: hit.comparator,
    limit: hit.limit,
    parent_account_id: String(hit.accountId),
    subaccount_id: '',
    dimension: hit.dimension,
    dimension_value: hit.dimensionValue,
  };
}
