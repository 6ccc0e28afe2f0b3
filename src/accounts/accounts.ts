/**
 * Who may do what: accounts, their API keys, domains with DKIM keys, and SMTP logins. The doors authenticate here; the command line and
 * the API administer here. Everything is in the store, so several processes (a server and the command line) see the same; what is cached is
 * cached for two seconds at most.
 */
import { systemClock } from '#base/clock.ts';
import type { Clock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';
import type { DomainStore } from '#store/domain-store.ts';
import type { Account, AccountStore } from '#store/store.ts';
import type { AccessStore } from '#store/access-store.ts';
import { createApiKeys } from './api-keys.ts';
import type { ApiKeys } from './api-keys.ts';
import { createChosenKeys } from './chosen-keys.ts';
import type { ChosenKeys } from './chosen-keys.ts';
import { createDkimKeys } from './dkim-keys.ts';
import type { DkimKeys, DkimOptions } from './dkim-keys.ts';
import { createDomains } from './domains.ts';
import type { DomainOptions, Domains } from './domains.ts';
import type { InstanceSecret } from './instance-secret.ts';
import { createWebhookKeys } from './signing-key.ts';
import type { WebhookKeys } from './signing-key.ts';
import { createStandings } from './standing.ts';
import type { Standings } from './standing.ts';
import { accountName, createSubaccounts } from './subaccounts.ts';
import type { Subaccounts } from './subaccounts.ts';
import { createLogins } from './logins.ts';
import type { Logins } from './logins.ts';

export interface AccountsOptions extends DomainOptions {
  readonly store: AccountStore;
  readonly access: AccessStore;
  readonly domains: DomainStore;
  readonly secret: InstanceSecret;
  readonly dkim: DkimOptions;
  readonly clock?: Clock;
}

export interface Accounts
  extends
    ApiKeys,
    Domains,
    Logins,
    ChosenKeys,
    Subaccounts,
    WebhookKeys,
    Pick<Standings, 'standingOf'>,
    Pick<DkimKeys, 'signingKeys' | 'authorityOf'> {
  /** Throws AppError 'already-exists' when an account has this name. */
  createAccount(name: string): Promise<Account>;
  listAccounts(): Promise<Account[]>;
}

export function createAccounts(options: AccountsOptions): Accounts {
  const { store, access, domains, secret, dkim, clock = systemClock } = options;
  const keys = createDkimKeys(store, domains, secret, dkim, clock);
  const standings = createStandings(access, clock);
  return {
    ...createApiKeys(store, access, standings, clock),
    ...createSubaccounts(access, standings, clock),
    ...createWebhookKeys(access, secret),
    standingOf: standings.standingOf,
    ...createDomains(store, domains, keys, options, clock),
    ...createLogins({ store, access, standings, clock }),
    ...createChosenKeys(store, domains, keys, clock),
    signingKeys: keys.signingKeys,
    authorityOf: keys.authorityOf,
    async createAccount(given) {
      const name = accountName(given);
      if ((await store.listAccounts()).some((account) => account.name === name))
        throw new AppError('already-exists', { what: `Account ${name}` });
      return store.createAccount(name, clock.nowMs());
    },
    listAccounts: () => store.listAccounts(),
  };
}
