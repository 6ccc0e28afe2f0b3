/**
 * Failures by what they mean: `POST /v2/bounce-classification/metrics`. Each failure was classified when it happened; here classes get their words. An entity is the mailbox
 * provider, or else the receiving domain.
 */
import { badParameter } from '#model/errors.ts';
import { readCountReason } from '#model/count-reason.ts';
import type { CountDimension, CountSum, StatsStore } from '#store/stats-store.ts';
import { accountsOf, type Condition, sumsOf, type Whose } from './metrics.ts';
import { bucketOf, type Range } from './range.ts';

/** Classes that harm who sends more of the same, and what to do about each class. */
const CLASSES: Readonly<Record<string, readonly [isCritical: boolean, explanation: string]>> = {
  'invalid-recipient': [false, 'The mailbox does not exist. The address is suppressed; take it off your lists.'],
  'inactive-mailbox': [false, 'The mailbox is disabled or not used any more.'],
  'mailbox-full': [false, 'The mailbox has no room left.'],
  'bad-domain': [false, 'The domain does not exist or takes no mail.'],
  'dns-failure': [false, 'The domain could not be looked up.'],
  'no-answer': [false, 'No server of the domain answered.'],
  connection: [false, 'The connection was refused or broke.'],
  routing: [false, 'The receiving servers cannot route mail to the address.'],
  'relay-denied': [false, 'The server does not take mail for the domain.'],
  'spam-content': [true, 'The content was taken for spam. Look at what was sent.'],
  'spam-reputation': [true, 'The sending address or domain is blocked for its reputation. Send less, to those who want it.'],
  virus: [true, 'The message was taken for malware.'],
  content: [true, 'The content was refused.'],
  policy: [true, 'A policy of the receiving server refused the message.'],
  authentication: [true, 'SPF, DKIM or DMARC failed. Verify the domain.'],
  'invalid-sender': [true, 'The sender address was refused.'],
  'too-large': [false, 'The message is larger than the server takes.'],
  'too-many-recipients': [false, 'Too many recipients at once.'],
  'rate-limited': [true, 'The receiving server wants mail slower.'],
  greylisted: [false, 'The server asked to come again later, as it does with senders that it does not know.'],
  protocol: [false, 'The dialogue with the server failed.'],
  tls: [false, 'The connection could not be encrypted as was demanded.'],
  expired: [false, 'The message could not be delivered in its time.'],
  suppressed: [false, 'The address is on a suppression list; nothing was sent.'],
  transient: [false, 'The server could not take the message then.'],
  unclassified: [false, 'The reply says nothing that is known.'],
};

const BY: Readonly<Record<string, CountDimension | undefined>> = {
  'domain.name': 'domain',
  'entity-name': 'receiver',
  'recipient-provider': 'provider',
  'recipient-domain': 'receiver',
  'envelope.sending-ip': 'source',
  timestamp: 'time',
  tag: 'tag',
  tags: 'tag',
  'account.id': undefined,
  'account.name': undefined,
  'envelope.i-ip-pool-id': undefined,
  'envelope.i-ip-pool-name': undefined,
  criticality: 'reason',
  severity: 'reason',
  category: 'reason',
  'group-id': 'reason',
  explanation: 'reason',
  'sample-text': 'reason',
};

/** Names of filters, as metrics have them. */
const FILTERS: Readonly<Record<string, string>> = {
  'domain.name': 'domain',
  'recipient-provider': 'recipient_provider',
  'recipient-domain': 'recipient_domain',
  'entity-name': 'recipient_domain',
  'envelope.sending-ip': 'ip',
  tag: 'tag',
  tags: 'tag',
  'account.id': 'subaccount',
};

export const BOUNCE_METRICS = [
  'classified_failures_count',
  'critical_failure_count',
  'non_critical_failure_count',
  'critical_bounce_count',
  'non_critical_bounce_count',
  'critical_delay_count',
  'non_critical_delay_count',
  'delivered_smtp_count',
  'critical_bounce_rate',
  'non_critical_bounce_rate',
  'critical_delay_rate',
  'non_critical_delay_rate',
] as const;
type BounceMetric = (typeof BOUNCE_METRICS)[number];

export interface BounceRow {
  readonly values: Readonly<Record<string, string | number>>;
  readonly metrics: Readonly<Record<string, number | string>>;
}

export interface BounceQuery {
  readonly range: Range;
  readonly dimensions: readonly string[];
  readonly metrics: readonly string[];
  readonly where: readonly Condition[];
}

/** Throws AppError 'bad-parameter'. */
export async function bounceRows(store: StatsStore, whose: Whose, query: BounceQuery): Promise<BounceRow[]> {
  for (const name of query.dimensions) if (!Object.hasOwn(BY, name)) throw badParameter(`'${name.slice(0, 60)}' is not a valid dimension`);
  for (const name of query.metrics) if (!isMetric(name)) throw badParameter(`'${name.slice(0, 60)}' is not a valid metric`);
  const by = query.dimensions.map((name) => BY[name]).filter((dimension) => dimension !== undefined);
  const where = query.where.map((condition) => {
    if (!Object.hasOwn(FILTERS, condition.attribute))
      throw badParameter(`'${condition.attribute.slice(0, 60)}' is not a valid filter predicate attribute`);
    return { ...condition, attribute: FILTERS[condition.attribute] as string };
  });
  const dimensions = query.dimensions.includes('timestamp') ? ['time'] : [];
  // Deliveries have no class: they belong to every row of their other dimensions.
  const isClassed = by.includes('reason');
  const rows = new Map<string, { values: Record<string, string | number>; counts: Map<string, number> }>();
  const count = (sum: CountSum, account: Whose): void => {
    const { bounceClass } = readCountReason(String(sum.reason ?? ''));
    const isFailure = sum.kind === 'failed' || sum.kind === 'deferred';
    if ((!isFailure && (sum.kind !== 'delivered' || isClassed)) || (isFailure && bounceClass === '')) return;
    const [isCritical, explanation] = CLASSES[bounceClass] ?? [false, ''];
    const known: Readonly<Record<string, string | number>> = {
      'account.id': String(account.accountId),
      'account.name': account.accountName,
      'domain.name': account.domains.get(Number(sum.domain)) ?? '',
      'entity-name': sum.provider === '' ? String(sum.receiver ?? '') : String(sum.provider),
      'recipient-provider': String(sum.provider ?? ''),
      'recipient-domain': String(sum.receiver ?? ''),
      'envelope.sending-ip': String(sum.source ?? ''),
      'envelope.i-ip-pool-id': '',
      'envelope.i-ip-pool-name': '',
      timestamp: sum.time === undefined ? 0 : bucketOf(Number(sum.time), query.range),
      tag: String(sum.tag ?? ''),
      tags: String(sum.tag ?? ''),
      criticality: isCritical ? 'critical' : 'non-critical',
      severity: sum.kind === 'failed' ? 'permanent' : 'temporary',
      category: bounceClass,
      'group-id': bounceClass,
      explanation,
      'sample-text': '',
    };
    const values = Object.fromEntries(query.dimensions.map((name) => [name, known[name] as string | number]));
    const key = Object.values(values).join('\u0000');
    let row = rows.get(key);
    if (row === undefined) rows.set(key, (row = { values, counts: new Map() }));
    const kind = isFailure ? `${isCritical ? 'critical' : 'non_critical'}_${sum.kind === 'failed' ? 'bounce' : 'delay'}` : 'delivered_smtp';
    row.counts.set(kind, (row.counts.get(kind) ?? 0) + sum.n);
  };
  for (const account of accountsOf(whose)) {
    const sums = await sumsOf(store, account, { range: query.range, dimensions, where }, [...by, 'provider']);
    for (const sum of sums) count(sum, account);
  }
  const names = (query.metrics.length === 0 ? BOUNCE_METRICS : query.metrics) as readonly BounceMetric[];
  return [...rows.values()].map(({ values, counts }) => ({ values, metrics: metricsOf(counts, names) }));
}

function isMetric(name: string): name is BounceMetric {
  return (BOUNCE_METRICS as readonly string[]).includes(name);
}

function metricsOf(counts: ReadonlyMap<string, number>, names: readonly BounceMetric[]): Record<string, number | string> {
  const of = (name: string): number => counts.get(name) ?? 0;
  const critical = of('critical_bounce') + of('critical_delay');
  const other = of('non_critical_bounce') + of('non_critical_delay');
  const all = critical + other + of('delivered_smtp');
  return Object.fromEntries(
    names.map((name) => {
      if (name === 'classified_failures_count') return [name, critical + other];
      if (name === 'critical_failure_count') return [name, critical];
      if (name === 'non_critical_failure_count') return [name, other];
      if (name.endsWith('_rate')) return [name, (all === 0 ? 0 : of(name.slice(0, -'_rate'.length)) / all).toFixed(4)];
      return [name, of(name.slice(0, -'_count'.length))];
    }),
  );
}
