/** How the mail of a domain fared in the last week, out of the statistics: joins them with the pools that depend on it. */
import { groupsOf } from '#stats/metrics.ts';
import { rangeOf } from '#stats/range.ts';
import type { Clock } from '#base/clock.ts';
import type { Health } from '#store/egress-store.ts';
import type { Domain, Store } from '#store/store.ts';

export function measureHealth({ stats }: Pick<Store, 'stats'>, clock: Clock): (domain: Domain) => Promise<Health> {
  return async ({ id, accountId, name }) => {
    const range = rangeOf({ duration: '7d', resolution: 'hour' }, clock.nowMs());
    const whose = { accountId, accountName: '', domains: new Map([[id, name]]), domainId: id };
    const [group] = await groupsOf(stats, whose, { range, dimensions: [], where: [] });
    const counts = group?.tally.counts() ?? {};
    const [sent = 0, delivered = 0] = [counts['sent_count'], counts['delivered_count']];
    return {
      processed: sent,
      bounceRate: part(counts['bounced_count'] ?? 0, sent),
      complaintRate: part(counts['complained_count'] ?? 0, delivered),
    };
  };
}

/** To a millionth, so that it is the same wherever it is kept. */
function part(count: number, of: number): number {
  return of === 0 ? 0 : Math.round((count / of) * 1_000_000) / 1_000_000;
}
