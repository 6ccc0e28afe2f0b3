/** Accounts as the settings want them: the same for the server and for the command line, so that both name the same DNS records of a domain. */
import { type Accounts, createAccounts } from '#accounts/accounts.ts';
import type { Sending } from '#accounts/dns-records.ts';
import type { InstanceSecret } from '#accounts/instance-secret.ts';
import type { Clock } from '#base/clock.ts';
import type { Store } from '#store/store.ts';
import type { Config } from './config.ts';

export function openAccounts(
  config: Config,
  { accounts, access, domains }: Pick<Store, 'accounts' | 'access' | 'domains'>,
  secret: InstanceSecret,
  clock?: Clock,
): Accounts {
  return createAccounts({
    store: accounts,
    access,
    domains,
    secret,
    dkim: config.dkim,
    retentionMs: config.retention.bodiesMs,
    sending: sendingOf(config),
    ...(clock !== undefined && { clock }),
  });
}

/** What records to publish name. */
function sendingOf({ smtp, delivery, reports }: Config): Sending {
  const isTaken = smtp.inbound.length > 0 && reports.dmarcMailbox !== '';
  return {
    hostname: smtp.hostname,
    addresses: delivery.sources.flatMap((source) => source.address ?? []),
    ...(isTaken && { dmarcMailbox: reports.dmarcMailbox }),
  };
}
