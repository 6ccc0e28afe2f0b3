/**
 * The store and the accounts for the operator's commands, whether the server runs or not: both open the same store, and what a
 * command changes is seen by the server within two seconds.
 */
import { existsSync } from 'node:fs';
import type { Accounts } from '#accounts/accounts.ts';
import { openInstanceSecret } from '#accounts/instance-secret.ts';
import type { Config } from '#app/config.ts';
import { openAccounts } from '#app/open-accounts.ts';
import { storeOptions } from '#app/start-store.ts';
import type { Account, Domain, Store } from '#store/store.ts';
import { openStore } from '#store/open.ts';
import { storePlace } from '#store/store-url.ts';
import { Failure, UsageError } from './command.ts';
import { makeDataDirectory } from './data-directory.ts';

export interface Administration {
  readonly store: Store;
  readonly accounts: Accounts;
}

/** Opens, does, closes. */
export async function withAccounts<T>(config: Config, work: (administration: Administration) => Promise<T>): Promise<T> {
  makeDataDirectory(config.data);
  const store = await openStore(storeOptions(config));
  try {
    const secret = await openInstanceSecret(config, store.accounts);
    return await work({ store, accounts: openAccounts(config, store, secret) });
  } finally {
    await store.close();
  }
}

/** For commands that only read: a store that does not exist is not made. */
export async function withStore<T>(config: Config, work: (store: Store) => Promise<T>): Promise<T> {
  const place = storePlace(config.store.url);
  if (place.kind === 'sqlite' && !existsSync(place.path))
    throw new Failure(`there is no store at ${place.path}; give the data directory with --data, or start the server first`);
  const store = await openStore(storeOptions(config));
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** The account named by --account (its id or name); the only one when it is not given. */
export async function chosenAccount(accounts: Accounts, given: string | undefined): Promise<Account> {
  const all = await accounts.listAccounts();
  const [only] = all;
  if (only === undefined)
    throw new Failure('there is no account yet; make one with "postrider account add NAME", or start the server once');
  if (given !== undefined) {
    const found = all.find((account) => String(account.id) === given) ?? all.find((account) => account.name === given);
    if (found === undefined) throw new Failure(`there is no account ${given}; "postrider account list" shows them`);
    return found;
  }
  if (all.length > 1) {
    throw new UsageError(
      `there are ${all.length} accounts; choose one with --account: ${all
        .slice(0, 10)
        .map((a) => `${a.id} (${a.name})`)
        .join(', ')}`,
    );
  }
  return only;
}

export async function knownDomain(accounts: Accounts, name: string): Promise<Domain> {
  const domain = await accounts.domainFor(name.replace(/\.$/, ''));
  if (domain === undefined)
    throw new Failure(`there is no domain ${name}; "postrider domain list" shows them, "postrider domain add ${name}" adds it`);
  return domain;
}
