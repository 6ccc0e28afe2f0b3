/**
 * HTTP Basic with the user `api` and a key as the password. Who fails gets 401, `text/plain`, exactly `Forbidden`: users match
 * on that word. The rights of a key: a domain's sending key may only send through that domain; `basic` may send and read.
 */
import { Buffer } from 'node:buffer';
import { OPERATOR_ACCOUNT_ID, type Principal } from '#model/principal.ts';
import { AppError } from '#model/errors.ts';
import type { ApiAccounts } from '#api/deps.ts';

/**
 * send: hand in mail. read: look. write: change what the account owns. administer: change who may come in, and what the account is allowed. validate: ask about addresses;
 * a public key may that too. operate: look at what belongs to the whole installation.
 */
export type Right = 'send' | 'read' | 'write' | 'administer' | 'validate' | 'operate';

/** A header longer than any key of ours is not looked at. */
const HEADER_MAX = 1024;

/** `address`: the client's, which the account may allow or not. */
export async function authenticate(
  accounts: Pick<ApiAccounts, 'authenticateKey'>,
  authorization: string | undefined,
  address: string,
): Promise<Principal> {
  const secret = basicPassword(authorization);
  const principal = secret === undefined ? undefined : await accounts.authenticateKey(secret, address);
  if (principal === undefined) throw new AppError('unauthenticated');
  return principal;
}

export function assertRight(principal: Principal, right: Right): void {
  if (principal.kind === 'public-key') {
    if (right === 'validate') return;
    throw new AppError('unauthenticated');
  }
  if (right === 'send') return;
  if (principal.kind === 'domain-key' || principal.role === 'sending') throw new AppError('role-forbids', { role: 'developer' });
  if ((right === 'operate' || right === 'administer') && principal.role !== 'admin') throw new AppError('role-forbids', { role: 'admin' });
  // What all accounts share would show each of them the others (P10).
  if (right === 'operate' && !mayOperate(principal)) throw new AppError('operator-only');
  if (right === 'write' && principal.role === 'basic') throw new AppError('role-forbids', { role: 'developer' });
}

export function mayOperate({ accountId, role }: Principal): boolean {
  return role === 'admin' && accountId === OPERATOR_ACCOUNT_ID;
}

/**
 * A browser that knows the key from the page at / would add it to a form that another site makes it send. Browsers say where a
 * request comes from (Fetch Metadata); other clients say nothing and pass.
 */
export function refuseCrossSite(method: string, site: string | undefined): void {
  if (method === 'GET' || site === undefined || site === 'same-origin' || site === 'none') return;
  throw new AppError('cross-site');
}

/** RFC 7617; the scheme's name is case-insensitive. */
function basicPassword(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > HEADER_MAX || !/^basic /i.test(authorization)) return undefined;
  const pair = Buffer.from(authorization.slice(6).trim(), 'base64').toString('utf8');
  return pair.startsWith('api:') && pair.length > 4 ? pair.slice(4) : undefined;
}
