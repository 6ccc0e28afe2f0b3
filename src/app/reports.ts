/** Builds what takes reports of others on our domains, and knows which addresses of theirs are ours. */
import type { Accounts } from '#accounts/accounts.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { createNetworkTest } from '#base/networks.ts';
import type { AddresseeHandler } from '#model/inbound.ts';
import { createReportTaker, noReports, type ReportCounts } from '#reports/taker.ts';
import type { Store } from '#store/store.ts';
import type { Config } from './config.ts';

export interface ReportParts {
  readonly config: Config;
  readonly accounts: Pick<Accounts, 'domainFor'>;
  readonly store: Pick<Store, 'reports'>;
  /** Who would have letters to those addresses that are no report. */
  readonly others: readonly AddresseeHandler[];
  readonly clock: Clock;
  readonly log: Log;
}

export interface AboutUs {
  readonly handler: AddresseeHandler;
  readonly counts: ReportCounts;
  isOurAddress(address: string): boolean;
}

export function createAboutUs({ config, accounts, store, others, clock, log }: ReportParts): AboutUs {
  const { reports, delivery } = config;
  const counts = noReports();
  return {
    counts,
    isOurAddress: createNetworkTest([...delivery.sources.flatMap(({ address }) => address ?? []), ...reports.ownNetworks]),
    handler: createReportTaker({
      mailboxes: { dmarc: reports.dmarcMailbox, tls: reports.tlsMailbox },
      perDomainMax: reports.perDomain,
      domainFor: accounts.domainFor,
      store: store.reports,
      async next(rcpt) {
        for (const other of others) {
          const addressee = await other.accepts(rcpt);
          if (addressee !== undefined) return addressee;
        }
        return undefined;
      },
      counts,
      clock,
      log,
    }),
  };
}
