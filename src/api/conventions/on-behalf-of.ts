/**
 * `X-Mailgun-On-Behalf-Of: ID`: an account acts for one of its subaccounts, with the role of its key. From then on the caller is the subaccount, so that everything it touches
 * is the subaccount's. Another account's id looks like one that does not exist (P10). A disabled subaccount may be looked at, and nothing more.
 */
import type { Accounts } from '#accounts/accounts.ts';
import { idOfPublic } from '#accounts/public-id.ts';
import { AppError } from '#model/errors.ts';
import type { Principal } from '#model/principal.ts';
import type { Right } from './auth.ts';
import { NotFound } from './errors.ts';

export async function actingFor(
  accounts: Pick<Accounts, 'standingOf'>,
  principal: Principal,
  header: string | undefined,
  right: Right,
): Promise<Principal> {
  const given = header?.trim() ?? '';
  if (given === '') return principal;
  if (principal.kind !== 'account-key') throw new AppError('role-forbids', { role: 'admin' });
  const id = idOfPublic(given);
  const standing = id === undefined ? undefined : await accounts.standingOf(id);
  if (id === undefined || standing === undefined || standing.parentId !== principal.accountId || standing.isClosed)
    throw new NotFound('Not Found');
  if (!standing.isOpen && right !== 'read') throw new AppError('account-disabled');
  return { ...principal, accountId: id, parentId: principal.accountId };
}
