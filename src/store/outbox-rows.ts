/** Rows of either driver to what the outbox gives. */
import type { OutboxEndpoint, OutboxItem, OutboxKind } from './outbox-store.ts';
import { eventOf, messageOf, recipientOf, type Row } from './rows-json.ts';

export function endpointOf(row: Row): OutboxEndpoint {
  return { id: Number(row['id']), accountId: Number(row['account_id']), endpoint: String(row['name']), dueAtMs: Number(row['look_ms']) };
}

/** `row`: the entry, as it is once leased. `about`: its message and recipient, `told`: its event, where they are there. */
export function itemOf(row: Row, endpoint: string, about: Row | undefined, told: Row | undefined): OutboxItem {
  return {
    id: Number(row['id']),
    kind: row['kind'] as OutboxKind,
    endpoint,
    endpointId: Number(row['endpoint']),
    epoch: Number(row['epoch']),
    accountId: Number(row['account_id']),
    domainId: Number(row['domain_id']),
    target: String(row['target']),
    payload: String(row['payload']),
    createdMs: Number(row['created_ms']),
    attempts: Number(row['attempts']) - 1,
    message: about === undefined ? undefined : messageOf(about),
    recipient: about === undefined || about['r_id'] === null ? undefined : recipientOf(about),
    ...(told !== undefined && { event: eventOf(told) }),
  };
}
