/**
 * The mailbox that every domain has (RFC 5321 §4.5.1): what nobody else takes for postmaster is kept with the domain, as a route that stores would keep it, and told as
 * `stored`. Postmaster of the host itself, and without a domain, is the operator's: kept with the first domain of the account that operates the installation.
 */
import { randomHex } from '#base/random.ts';
import { AppError } from '#model/errors.ts';
import type { AddresseeHandler } from '#model/inbound.ts';
import { StoreError, type MailStore } from '#store/store.ts';
import { type ReceivingDomain, receptionOf } from './reception.ts';

export interface PostmasterDeps {
  readonly mail: Pick<MailStore, 'receive'>;
  readonly hostname: string;
  domainFor(name: string): Promise<(ReceivingDomain & { readonly state: string }) | undefined>;
  /** Where the operator's own mail is kept. */
  operatorsDomain(): Promise<ReceivingDomain | undefined>;
}

export function createPostmaster(deps: PostmasterDeps): AddresseeHandler {
  return {
    name: 'postmaster',
    async accepts({ local, domain: name }) {
      if (local.toLowerCase() !== 'postmaster') return undefined;
      const own = await deps.domainFor(name);
      const domain = own ?? (name === deps.hostname ? await deps.operatorsDomain() : undefined);
      if (domain === undefined || own?.state === 'disabled') return undefined;
      return {
        kind: 'postmaster',
        together: `postmaster ${domain.id}`,
        async take(mail) {
          try {
            await deps.mail.receive(receptionOf(mail, domain, `${mail.receivedMs}.${randomHex(12)}@${deps.hostname}`));
          } catch (error) {
            if (!(error instanceof StoreError)) throw error;
            throw new AppError(error.kind === 'full' ? 'store-full' : 'store-unavailable', {}, error);
          }
        },
      };
    },
  };
}
