/**
 * Whose name mail may carry. A domain may stand in From and in the reverse-path when it is the caller's, or when it shares the
 * organisational domain of the domain it is sent through (what DMARC calls relaxed alignment: news.example.org for example.org and the
 * other way round), unless somebody else has registered it, or a domain between, here.
 * A key that is bound to one domain may use that domain and its relatives only.
 */
import { getDomain } from 'tldts';
import { domainOfAddress } from '#mail/address.ts';
import type { Principal } from '#model/principal.ts';
import type { Domain } from '#store/store.ts';

export type DomainFor = (name: string) => Promise<Domain | undefined>;

export interface SenderPolicy {
  /** Names are looked up in lower case and A-labels; cached by whoever gives it. */
  readonly domainFor: DomainFor;
  readonly requireVerification: boolean;
}

/** `through`: the domain that the caller was authorised for. */
export async function maySendAs(policy: SenderPolicy, principal: Principal, through: Domain, name: string): Promise<boolean> {
  if (name === through.name) return true;
  const own = await policy.domainFor(name);
  if (own !== undefined) return ownsDomain(policy, principal, own);
  const organisation = organisationOf(name);
  if (organisation === undefined || organisation !== organisationOf(through.name)) return false;
  for (let parent = parentOf(name); parent.length >= organisation.length; parent = parentOf(parent)) {
    const registered = await policy.domainFor(parent);
    if (registered !== undefined) return registered.accountId === principal.accountId;
  }
  return true;
}

/** For a door that wants to refuse a reverse-path early; `submit` checks it again. `address` '' is the null reverse-path. */
export async function mayUseReversePath(
  policy: SenderPolicy & { readonly domainById: (id: number) => Promise<Domain | undefined> },
  principal: Principal,
  address: string,
): Promise<boolean> {
  if (address === '') return true;
  const through = principal.domainId === undefined ? undefined : await policy.domainById(principal.domainId);
  return through !== undefined && maySendAs(policy, principal, through, domainOfAddress(address));
}

function ownsDomain(policy: SenderPolicy, principal: Principal, domain: Domain): boolean {
  if (domain.accountId !== principal.accountId || domain.state === 'disabled') return false;
  if (policy.requireVerification && domain.state !== 'active') return false;
  return principal.kind !== 'domain-key' || domain.id === principal.domainId;
}

/** "example.co.uk" of "news.example.co.uk". Names under a private suffix (of a hosting service) are organisations of their own. */
function organisationOf(name: string): string | undefined {
  return getDomain(name, { allowPrivateDomains: true }) ?? undefined;
}

function parentOf(name: string): string {
  return name.slice(name.indexOf('.') + 1);
}
