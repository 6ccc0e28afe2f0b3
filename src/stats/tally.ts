/**
 * Counts of one bucket or group, added up from counters, and what they are called: the metrics of the analytics API (counts, and rates as texts with four digits), and the
 * nested totals of the older statistics. What needs a capability that is not there (HTTP delivery) is zero.
 *
 * Machines that open and click are counted like people, unless the question tells them apart: then what is unique is so for each of them.
 */
import { readCountReason, readValidatedReason, readVisitReason } from '#model/count-reason.ts';
import type { EventKind } from '#model/event.ts';

export class Tally {
  #accepted = 0;
  #delivered = 0;
  /** By attempt: the first, the second, a later one. */
  readonly #deliveredAt: [number, number, number] = [0, 0, 0];
  #delayedFirst = 0;
  readonly #other = new Map<EventKind, number>();
  readonly #temporary = new Map<string, number>();
  readonly #permanent = new Map<string, number>();
  #rateLimited = 0;
  readonly #unique = new Map<EventKind, number>();
  readonly #validated = { single: 0, bulk: 0, valid: 0 };
  readonly #isByBot: boolean;

  /** `isByBot`: the question tells machines apart. */
  constructor(isByBot = false) {
    this.#isByBot = isByBot;
  }

  /** `reason` as counters have it. */
  add(kind: EventKind, reason: string, n: number): void {
    if (kind === 'opened' || kind === 'clicked') {
      const { first } = readVisitReason(reason);
      if (first === '') more(this.#other, kind, n);
      else if ((first === 'own') === this.#isByBot) more(this.#unique, kind, n);
      return;
    }
    if (kind === 'validated') {
      const { way, isValid } = readValidatedReason(reason);
      this.#validated[way] += n;
      if (isValid) this.#validated.valid += n;
      return;
    }
    const facts = readCountReason(reason);
    if (kind === 'accepted') this.#accepted += n;
    else if (kind === 'delivered') {
      this.#delivered += n;
      if (facts.attempts > 0) this.#deliveredAt[facts.attempts - 1] = (this.#deliveredAt[facts.attempts - 1] as number) + n;
    } else if (kind === 'deferred') {
      more(this.#temporary, facts.reason, n);
      if (facts.attempts === 1) this.#delayedFirst += n;
      if (facts.bounceClass === 'rate-limited') this.#rateLimited += n;
    } else if (kind === 'failed') more(this.#permanent, facts.reason, n);
    else more(this.#other, kind, n);
  }

  /** Addresses: by themselves, in lists, and how many of all mail is likely to reach. */
  get validated(): Readonly<Record<'single' | 'bulk' | 'valid', number>> {
    return this.#validated;
  }

  /** Every count, by its metric's name. */
  counts(): Record<string, number> {
    const temporary = sum(this.#temporary);
    const permanent = sum(this.#permanent);
    const [first, second, later] = this.#deliveredAt;
    const of = (reason: string): number => this.#permanent.get(reason) ?? 0;
    const suppressed = of('suppress-bounce') + of('suppress-unsubscribe') + of('suppress-complaint');
    const delayed = of('delayed-bounce');
    const hard = of('bounce');
    // Refused for good by a server, though not because there is no such mailbox.
    const soft = permanent - suppressed - delayed - hard - of('old');
    const kind = (name: EventKind): number => this.#other.get(name) ?? 0;
    return {
      accepted_incoming_count: 0,
      accepted_outgoing_count: this.#accepted,
      accepted_count: this.#accepted,
      delivered_smtp_count: this.#delivered,
      delivered_http_count: 0,
      delivered_optimized_count: 0,
      delivered_count: this.#delivered,
      stored_count: kind('stored'),
      processed_count: this.#delivered + permanent,
      sent_count: this.#delivered + permanent - suppressed,
      opened_count: kind('opened'),
      clicked_count: kind('clicked'),
      unique_opened_count: this.#unique.get('opened') ?? 0,
      unique_clicked_count: this.#unique.get('clicked') ?? 0,
      unsubscribed_count: kind('unsubscribed'),
      complained_count: kind('complained'),
      failed_count: temporary + permanent,
      temporary_failed_count: temporary,
      permanent_failed_count: permanent,
      temporary_failed_esp_block_count: this.#temporary.get('espblock') ?? 0,
      permanent_failed_esp_block_count: of('espblock'),
      rate_limit_count: this.#rateLimited,
      webhook_count: 0,
      permanent_failed_optimized_count: 0,
      permanent_failed_old_count: of('old'),
      bounced_count: hard + soft + delayed,
      hard_bounces_count: hard,
      soft_bounces_count: soft,
      delayed_bounce_count: delayed,
      suppressed_bounces_count: of('suppress-bounce'),
      suppressed_unsubscribed_count: of('suppress-unsubscribe'),
      suppressed_complaints_count: of('suppress-complaint'),
      delivered_first_attempt_count: first,
      delayed_first_attempt_count: this.#delayedFirst,
      delivered_subsequent_count: second + later,
      delivered_two_plus_attempts_count: later,
    };
  }

  /** Those that are asked for: names out of METRICS. */
  metrics(names: readonly string[]): Record<string, number | string> {
    const counts = this.counts();
    return Object.fromEntries(names.map((name) => [name, counts[name] ?? rate(counts, name)]));
  }

  /** As the older statistics show one kind of event. */
  totals(event: StatsEvent): Record<string, unknown> {
    const counts = this.counts();
    const of = (name: string): number => counts[name] ?? 0;
    switch (event) {
      case 'accepted':
        return { incoming: 0, outgoing: of('accepted_count'), total: of('accepted_count') };
      case 'delivered':
        return { smtp: of('delivered_count'), http: 0, optimized: 0, total: of('delivered_count') };
      case 'failed':
        return {
          temporary: { espblock: of('temporary_failed_esp_block_count'), total: of('temporary_failed_count') },
          permanent: {
            'suppress-bounce': of('suppressed_bounces_count'),
            'suppress-unsubscribe': of('suppressed_unsubscribed_count'),
            'suppress-complaint': of('suppressed_complaints_count'),
            bounce: of('hard_bounces_count') + of('soft_bounces_count'),
            'delayed-bounce': of('delayed_bounce_count'),
            webhook: 0,
            optimized: 0,
            total: of('permanent_failed_count'),
          },
        };
      case 'opened':
      case 'clicked':
        return { total: of(`${event}_count`), unique: of(`unique_${event}_count`) };
      default:
        return { total: of(`${event}_count`) };
    }
  }
}

export const STATS_EVENTS = ['accepted', 'delivered', 'failed', 'opened', 'clicked', 'unsubscribed', 'complained', 'stored'] as const;
export type StatsEvent = (typeof STATS_EVENTS)[number];

/** Rates: what is divided by what. */
const RATES: Readonly<Record<string, readonly [part: string, whole: string]>> = {
  delivered_rate: ['delivered_count', 'accepted_count'],
  opened_rate: ['opened_count', 'delivered_count'],
  clicked_rate: ['clicked_count', 'delivered_count'],
  unique_opened_rate: ['unique_opened_count', 'delivered_count'],
  unique_clicked_rate: ['unique_clicked_count', 'delivered_count'],
  unsubscribed_rate: ['unsubscribed_count', 'delivered_count'],
  complained_rate: ['complained_count', 'delivered_count'],
  bounce_rate: ['bounced_count', 'sent_count'],
  hard_bounce_rate: ['hard_bounces_count', 'sent_count'],
  soft_bounce_rate: ['soft_bounces_count', 'sent_count'],
  fail_rate: ['failed_count', 'sent_count'],
  permanent_fail_rate: ['permanent_failed_count', 'processed_count'],
  temporary_fail_rate: ['temporary_failed_count', 'sent_count'],
  delayed_rate: ['delayed_first_attempt_count', 'sent_count'],
};

export const METRICS: readonly string[] = [...Object.keys(new Tally().counts()), ...Object.keys(RATES)];

function rate(counts: Readonly<Record<string, number>>, name: string): string {
  const [part, whole] = RATES[name] as readonly [string, string];
  const [n, of] = [counts[part] ?? 0, counts[whole] ?? 0];
  return (of === 0 ? 0 : n / of).toFixed(4);
}

function more<Key>(counts: Map<Key, number>, key: Key, n: number): void {
  counts.set(key, (counts.get(key) ?? 0) + n);
}

function sum(counts: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const n of counts.values()) total += n;
  return total;
}
