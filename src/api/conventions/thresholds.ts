/** What limits and alerts share: what a request may say, and how one is shown. The value of `limit` stays the text that it was given as. */
import { randomHex } from '#base/random.ts';
import { badParameter } from '#model/errors.ts';
import { DIMENSIONS } from '#stats/metrics.ts';
import { METRICS } from '#stats/tally.ts';
import type { Threshold, ThresholdChange, ThresholdComparator, ThresholdFilter, ThresholdKind } from '#store/threshold-store.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { isoDate } from './dates.ts';
import { NotFound } from './errors.ts';
import { fieldsOf, requiredField } from './fields.ts';

/** Of one kind, in one account. */
export const THRESHOLDS_MAX = 100;
const NAME_MAX = 128;
const DESCRIPTION_MAX = 1000;
const FILTERS_MAX = 20;
const FILTER_VALUES_MAX = 100;
const COMPARATORS: readonly ThresholdComparator[] = ['>', '>=', '<', '<=', '==', '!='];
const COMPARATOR_WORDS: Readonly<Record<string, ThresholdComparator>> = { '=': '==', gt: '>', gte: '>=', lt: '<', lte: '<=', eq: '==' };
const FILTER_COMPARATORS = ['=', '!=', 'contains', 'not contains'];
const CHANNELS = ['email', 'webhook', 'slack', 'ui'];
/** What can be told of a message when it is accepted: only that can stop it. */
const LIMIT_DIMENSIONS = ['account', 'subaccount', 'domain', 'tag'];
const ALERT_DIMENSIONS = ['account', ...Object.keys(DIMENSIONS).filter((name) => name !== 'time')];

function nameOf(text: string): string {
  if (text.length > NAME_MAX || !text.isWellFormed() || /[\u0000-\u001f\u007f/]/.test(text)) {
    throw badParameter(`name parameter is one line of at most ${NAME_MAX} characters, without slashes`);
  }
  return text;
}

export function readThreshold(call: Call, kind: ThresholdKind, nowMs: number): Threshold {
  const name = nameOf(requiredField(fieldsOf(call), 'name'));
  const { accountId } = call.principal;
  return { id: randomHex(12), accountId, kind, name, createdMs: nowMs, checkedMs: 0, ...readChange(call, kind, nowMs) };
}

export function readChange(call: Call, kind: ThresholdKind, nowMs: number): ThresholdChange {
  const fields = fieldsOf(call);
  const word = requiredField(fields, 'comparator').toLowerCase();
  const comparator =
    COMPARATORS.find((each) => each === word) ?? (Object.hasOwn(COMPARATOR_WORDS, word) ? COMPARATOR_WORDS[word] : undefined);
  if (comparator === undefined) throw badParameter(`'comparator' parameter is not valid: it is one of ${COMPARATORS.join(', ')}`);
  const limit = requiredField(fields, 'limit');
  if (!/^\d{1,15}(?:\.\d{1,10})?$/.test(limit)) throw badParameter("'limit' parameter is not a decimal number");
  const period = fields.get('period') ?? '1d';
  if (!/^(?:[1-9]\d{0,2}h|[1-9]\d{0,1}d|1m)$/.test(period)) throw badParameter("'period' parameter is a time such as 1h, 7d or 1m");
  const description = fields.get('description') ?? '';
  if (description.length > DESCRIPTION_MAX || /[\u0000-\u001f\u007f]/.test(description)) {
    throw badParameter(`description parameter is one line of at most ${DESCRIPTION_MAX} characters`);
  }
  return {
    metric: oneOf('metric', requiredField(fields, 'metric'), METRICS),
    comparator,
    limit,
    dimension: oneOf('dimension', requiredField(fields, 'dimension'), kind === 'limit' ? LIMIT_DIMENSIONS : ALERT_DIMENSIONS),
    period,
    description,
    filters: filtersOf(call),
    channels: kind === 'limit' ? [] : fields.list('alert_channels').map((channel) => oneOf('alert_channels', channel, CHANNELS)),
    updatedMs: nowMs,
  };
}

function oneOf(field: string, text: string, words: readonly string[]): string {
  if (!words.includes(text)) throw badParameter(`'${field}' parameter is not valid: it is one of ${words.join(', ')}`);
  return text;
}

function filtersOf({ body }: Call): ThresholdFilter[] {
  const given = (body.json as { readonly filters?: unknown } | null | undefined)?.filters ?? [];
  if (!Array.isArray(given) || given.length > FILTERS_MAX)
    throw badParameter(`'filters' parameter is a list of at most ${FILTERS_MAX} filters`);
  return given.map((filter: unknown) => {
    const { dimension, comparator, values } = (filter ?? {}) as Readonly<Record<string, unknown>>;
    const isList = Array.isArray(values) && values.length > 0 && values.length <= FILTER_VALUES_MAX;
    if (!isList || values.some((value) => typeof value !== 'string' || value.length > 256)) {
      throw badParameter("a filter has 'values', a list of texts");
    }
    return {
      dimension: oneOf(
        'filters.dimension',
        String(dimension),
        ALERT_DIMENSIONS.filter((name) => name !== 'account'),
      ),
      comparator: oneOf('filters.comparator', String(comparator), FILTER_COMPARATORS),
      values: values as string[],
    };
  });
}

export async function requiredThreshold(door: Door, call: Call, kind: ThresholdKind): Promise<Threshold> {
  const all = await door.deps.store.thresholds.listThresholds(call.principal.accountId, kind);
  const found = all.find(({ name }) => name === call.param('name'));
  if (found === undefined) throw new NotFound('Threshold not found');
  return found;
}

export function shownThreshold(threshold: Threshold): object {
  const { id, accountId, kind, name, createdMs, updatedMs, checkedMs, description, filters, channels } = threshold;
  const { metric, comparator, limit, dimension, period } = threshold;
  return {
    id,
    parent_account_id: String(accountId),
    subaccount_id: '',
    account_group: '',
    name,
    created_at: isoDate(createdMs),
    updated_at: isoDate(updatedMs),
    ...(checkedMs > 0 && { last_checked: isoDate(checkedMs) }),
    description,
    ...(kind === 'alert' && { alert_channels: channels }),
    filters,
    metric,
    comparator,
    limit,
    dimension,
    period,
  };
}
