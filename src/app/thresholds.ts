/** Thresholds of accounts measured with the statistics: joins the two. */
import { rangeOf } from '#stats/range.ts';
import { groupsOf } from '#stats/metrics.ts';
import type { Condition } from '#stats/metrics.ts';
import type { Store } from '#store/store.ts';
import type { Threshold } from '#store/threshold-store.ts';
import type { Measure, Measured } from '#thresholds/watch.ts';

export function measureBy({ accounts, stats }: Pick<Store, 'accounts' | 'stats'>): Measure {
  return async ({ accountId, metric, dimension, period, filters }: Threshold, nowMs): Promise<readonly Measured[]> => {
    const domains = new Map((await accounts.listDomains(accountId)).map(({ id, name }) => [id, name] as const));
    const isWhole = dimension === 'account' || dimension === 'subaccount';
    const where = filters.map(
      (filter) => ({ attribute: filter.dimension, comparator: filter.comparator, values: filter.values }) as Condition,
    );
    const query = { range: rangeOf({ duration: period, resolution: 'hour' }, nowMs), dimensions: isWhole ? [] : [dimension], where };
    const groups = await groupsOf(stats, { accountId, accountName: '', domains }, query);
    return groups.map(({ values, tally }) => ({
      dimensionValue: isWhole ? String(accountId) : String(values[0]),
      // Rates come as texts.
      value: Number(tally.metrics([metric])[metric]),
    }));
  };
}
