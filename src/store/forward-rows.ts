/** Rows of plain rules for mail that comes in to our nouns, the same for both drivers. Stored JSON was written by us: it is trusted. */
import type { ForwardRule } from './forward-store.ts';
import type { Row } from './rows-json.ts';

export const FORWARD_COLUMNS = 'id, account_id, domain_id, pattern, urls, recipients, store, created_ms, updated_ms';

export function forwardOf(row: Row): ForwardRule {
  const store = row['store'];
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    domainId: Number(row['domain_id']),
    match: String(row['pattern']),
    urls: JSON.parse(String(row['urls'])) as string[],
    recipients: JSON.parse(String(row['recipients'])) as string[],
    ...(store !== null && store !== undefined && { store: String(store) }),
    createdMs: Number(row['created_ms']),
    updatedMs: Number(row['updated_ms']),
  };
}

export function forwardValues(rule: ForwardRule): (string | number | null)[] {
  const { id, accountId, domainId, match, urls, recipients, store = null, createdMs, updatedMs } = rule;
  return [id, accountId, domainId, match, JSON.stringify(urls), JSON.stringify(recipients), store, createdMs, updatedMs];
}
