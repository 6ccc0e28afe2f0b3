/** Whose mail a name takes: the domain of that name, or the nearest one above it where its owner wants mail for all names below (`wildcard`). */
import type { Accounts } from '#accounts/accounts.ts';
import type { Domain } from '#store/store.ts';

/** Names above a domain that are asked. */
const LABELS_MAX = 6;

export function createReceivingDomain({ domainFor }: Pick<Accounts, 'domainFor'>): (name: string) => Promise<Domain | undefined> {
  return async (name) => {
    const own = await domainFor(name);
    if (own !== undefined || name.startsWith('[')) return own;
    for (let dot = name.indexOf('.'), labels = 0; dot !== -1 && labels < LABELS_MAX; dot = name.indexOf('.', dot + 1), labels++) {
      const above = await domainFor(name.slice(dot + 1));
      if (above !== undefined) return above.settings?.wildcard === true ? above : undefined;
    }
    return undefined;
  };
}
