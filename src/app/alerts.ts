/** Joins alerts with what raises them and with what they are told by: thresholds, DNS records, dynamic pools; the guarded poster, and mail of the account's own domain. */
import type { AlertKeys } from '#accounts/signing-key.ts';
import { createAddressGuard } from '#base/address-guard.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { Submit } from '#model/submission.ts';
import type { BandMove } from '#store/egress-store.ts';
import type { Domain, Store } from '#store/store.ts';
import type { Threshold, ThresholdHit } from '#store/threshold-store.ts';
import { type AlertMail, type Alerts, startAlerts } from '#webhooks/alerts.ts';
import { createPoster } from '#webhooks/guarded-post.ts';
import type { Config } from './config.ts';

export interface AlertJoints {
  readonly config: Config;
  readonly store: Pick<Store, 'alerts' | 'accounts'>;
  readonly keys: Pick<AlertKeys, 'alertKey'>;
  readonly resolver: Resolver;
  readonly submit: Submit;
  readonly clock: Clock;
  readonly log: Log;
  mayPost(): boolean;
}

export function openAlerts({ config, store, keys, resolver, submit, clock, log, mayPost }: AlertJoints): Alerts {
  const { webhooks } = config;
  const poster = createPoster({
    resolver,
    guard: createAddressGuard({ allowNetworks: webhooks.allowNetworks, ownListeners: [] }),
    timeoutMs: webhooks.timeoutMs,
    connectTimeoutMs: webhooks.connectTimeoutMs,
  });
  const alerts = startAlerts({
    store: store.alerts,
    keyOf: keys.alertKey,
    poster,
    sendMail: alertMail(store, submit),
    clock,
    log,
    mayPost,
  });
  return {
    ...alerts,
    async stop() {
      await alerts.stop();
      poster.close();
    },
  };
}

/** From the account's oldest domain that may send, through the usual way in: signed, kept and explained as all mail is. */
function alertMail(store: Pick<Store, 'accounts'>, submit: Submit): (mail: AlertMail) => Promise<boolean> {
  return async ({ accountId, to, subject, text }) => {
    const domains = (await store.accounts.listDomains(accountId)).filter(({ state, type }) => state !== 'disabled' && type === 'custom');
    const domain = (domains.find(({ state }) => state === 'active') ?? domains[0])?.name;
    if (domain === undefined) return false;
    const from = `alerts@${domain}`;
    await submit(
      { accountId, kind: 'system', role: 'sending' },
      {
        method: 'HTTP',
        domain,
        envelope: { sender: from, smtputf8: false, body: '7BIT', recipients: [{ address: to }] },
        content: {
          kind: 'parts',
          from,
          to: [to],
          cc: [],
          subject,
          text,
          headers: [['Auto-Submitted', 'auto-generated']],
          attachments: [],
        },
        options: { tags: [], variables: {}, testMode: false, tracking: 'no' },
        origin: { address: '127.0.0.1' },
        batch: false,
      },
    );
    return true;
  };
}

/** A threshold was reached anew. */
export function tellReached(alerts: Pick<Alerts, 'raise'>): (threshold: Threshold, hit: ThresholdHit) => Promise<void> {
  return ({ accountId, kind, name, metric, comparator, limit, dimension, period, channels }, { id, dimensionValue, latestValue }) =>
    alerts.raise(
      accountId,
      kind === 'alert' ? 'send_alert' : 'send_limit',
      { hit: id, name, metric, comparator, limit, dimension, dimension_value: dimensionValue, period, latest_value: latestValue },
      channels,
    );
}

interface RecordFact {
  readonly record: { readonly name: string; readonly type: string; readonly purpose: string };
  readonly trouble?: string;
}

/** DNS records of a domain broke, or are right again. */
export function tellRecords(alerts: Pick<Alerts, 'raise'>) {
  return async ({ accountId, name }: Domain, broken: readonly RecordFact[], mended: readonly RecordFact[]): Promise<void> => {
    const shown = (facts: readonly RecordFact[]): object[] =>
      facts.map(({ record, trouble }) => ({
        name: record.name,
        type: record.type,
        purpose: record.purpose,
        ...(trouble !== undefined && { trouble }),
      }));
    if (broken.length > 0) await alerts.raise(accountId, 'domain_dns_broken', { domain: name, records: shown(broken) });
    if (mended.length > 0) await alerts.raise(accountId, 'domain_dns_mended', { domain: name, records: shown(mended) });
  };
}

/** A domain came to another pool of addresses by how its mail fared. */
export function tellMoved(alerts: Pick<Alerts, 'raise'>): (move: BandMove) => Promise<void> {
  return ({ id, accountId, domainName, from, to, reason, bounceRate, complaintRate, processed }) =>
    alerts.raise(accountId, 'dynamic_pool_changed', {
      move: id,
      domain: domainName,
      from: `dynamic_${from}`,
      to: `dynamic_${to}`,
      reason,
      bounce_rate: bounceRate,
      complaint_rate: complaintRate,
      processed_count: processed,
    });
}
