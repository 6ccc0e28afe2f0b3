/**
 * The domain of a path, bound to the caller's account (P10): a domain of another account, one that does not exist and a name
 * that is none look exactly the same.
 */
import { normalizeDomain } from '#mail/address.ts';
import { AppError } from '#model/errors.ts';
import type { Principal } from '#model/principal.ts';
import type { Domain } from '#store/store.ts';
import type { ApiAccounts } from '#api/deps.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { NotFound } from './errors.ts';

/** Longest name that DNS allows in text. */
const NAME_MAX = 253;

/** undefined: not there, for this caller. */
export async function ownedDomain(accounts: ApiAccounts, principal: Principal, text: string): Promise<Domain | undefined> {
  const name = text.length > NAME_MAX ? undefined : normalizeDomain(text);
  const domain = name === undefined ? undefined : await accounts.domainFor(name);
  if (domain === undefined || domain.accountId !== principal.accountId) return undefined;
  return principal.domainId === undefined || principal.domainId === domain.id ? domain : undefined;
}

/** For `/messages`: 401 Forbidden, as the hosted service answers since 2025. */
export async function sendingDomain(accounts: ApiAccounts, principal: Principal, text: string): Promise<Domain> {
  const domain = await ownedDomain(accounts, principal, text);
  if (domain === undefined) throw new AppError('unauthenticated');
  return domain;
}

/** `sentence`: each family of endpoints has its own words for it. */
export async function requiredDomain(accounts: ApiAccounts, principal: Principal, text: string, sentence: string): Promise<Domain> {
  const domain = await ownedDomain(accounts, principal, text);
  if (domain === undefined) throw new NotFound(sentence);
  return domain;
}

/** The domain that the path names. */
export function domainOf(door: Door, { principal, param }: Call, sentence = 'Domain not found'): Promise<Domain> {
  return requiredDomain(door.deps.accounts, principal, param('domain'), sentence);
}
