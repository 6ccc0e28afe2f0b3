/**
 * Totals by provider, device or country, as the older API shows them: by name, with the counts that such a name can have. Providers are told by their domains. A name
 * that is known beforehand is there with zeros when nothing was counted: clients look names up without asking whether they are there.
 */
import type { StatsStore } from '#store/stats-store.ts';
import { FACETS } from './facets.ts';
import type { Condition, Whose } from './metrics.ts';
import { rangeOf } from './range.ts';
import { Tally } from './tally.ts';
import { totalsBy } from './totals.ts';

/** Names in the API, and what counters call them. */
export const AGGREGATES = { providers: 'recipient_domain', devices: 'device', countries: 'country' } as const;
export type AggregateKind = keyof typeof AGGREGATES;

const NAMES_MAX = 200;
const OPENING = ['opened', 'clicked', 'unique_opened', 'unique_clicked', 'unsubscribed', 'complained'];

export async function aggregatesOf(
  store: StatsStore,
  whose: Whose,
  kind: AggregateKind,
  where: readonly Condition[],
  nowMs: number,
): Promise<Record<string, Record<string, number>>> {
  const range = rangeOf({ duration: '30d' }, nowMs);
  const groups = await totalsBy(store, whose, { range, where }, AGGREGATES[kind], NAMES_MAX);
  const names = kind === 'providers' ? ['accepted', 'delivered', ...OPENING] : OPENING;
  const countsOf = (tally: Tally): Record<string, number> => {
    const counts = tally.counts();
    return Object.fromEntries(names.map((name) => [name, counts[`${name}_count`] ?? 0]));
  };
  const none = countsOf(new Tally());
  const counted = groups
    .filter(({ values }) => values[0] !== '')
    .map(({ values, tally }) => [String(values[0]).toLowerCase(), countsOf(tally)] as const);
  const all = new Map([...FACETS[kind].map((name) => [name, none] as const), ...counted]);
  return Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}
