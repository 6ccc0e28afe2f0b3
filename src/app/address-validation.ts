/** What address validation asks: DNS through the resolver of delivery, and the account's suppressions. With the sandbox nothing leaves the machine, questions included, unless resolvers are named. */
import type { Resolver } from '#dns/resolver.ts';
import type { Store } from '#store/store.ts';
import { createValidate, type Validate } from '#validation/validate.ts';
import type { Config } from './config.ts';

/** Suppressions of one address that are looked at: one of each kind in some domains says enough. */
const TROUBLES_MAX = 30;

export function addressValidation(config: Config, store: Pick<Store, 'suppressions'>, resolver: Resolver): Validate {
  const mayAsk = !config.sandbox.capture || config.dns.servers.length > 0;
  return createValidate({
    dns: mayAsk ? resolver : undefined,
    pastTroubles: (accountId, address) => store.suppressions.suppressionsOfAddress(accountId, address, TROUBLES_MAX),
  });
}
