/** Domains looked up in DNS for the API and for the watch over them: asked anew each time, so that a record that was just mended is seen. */
import type { Accounts } from '#accounts/accounts.ts';
import type { LookUpHosts, Verification } from '#accounts/domains.ts';
import type { Clock } from '#base/clock.ts';
import { type Answer, createResolver } from '#dns/resolver.ts';
import type { Domain } from '#store/store.ts';
import type { Config } from './config.ts';

export interface DomainCheck {
  verify(domain: Domain): Promise<Verification>;
  close(): void;
}

/** `noted`: told of each domain that was looked up. Never rejects. */
export function createDomainCheck(
  { dns }: Config,
  accounts: Pick<Accounts, 'verifyDomain'>,
  clock: Clock,
  noted?: (domain: Domain) => Promise<void>,
): DomainCheck {
  const resolver = createResolver({ servers: dns.servers, timeoutMs: dns.timeoutMs, tries: dns.tries, cacheMax: 0, clock });
  const hosts: LookUpHosts = {
    mx: async (name) => records(await resolver.mx(name))?.map(({ host }) => host),
    cname: async (name) => records(await resolver.cname(name)),
  };
  return {
    async verify(domain) {
      const verification = await accounts.verifyDomain(domain, async (name) => records(await resolver.txt(name)), hosts);
      await noted?.(verification.domain);
      return verification;
    },
    close: () => resolver.close(),
  };
}

/** undefined: there is no telling. */
function records<T>(answer: Answer<T>): readonly T[] | undefined {
  if (answer.kind === 'trouble') return undefined;
  return answer.kind === 'found' ? answer.records : [];
}
