/** Rows of either driver to our nouns, by the names that the columns are asked under. Stored JSON was written by us: it is trusted. */
import { EVENT_KINDS, type EventDetail, type EventKind, type EventRow } from '#model/event.ts';
import type { Ending, MessageInfo, Priority, RecipientState, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import type { AcceptMessage, AcceptRecipient } from '#store/store.ts';

/** A row as a driver gives it: ids, times and flags as numbers, what is missing as null. */
export type Row = Readonly<Record<string, unknown>>;

/** What was asked for by its key, and may not be there. */
export function one<T>(row: Row | undefined, make: (row: Row) => T): T | undefined {
  return row === undefined ? undefined : make(row);
}

export const STATE_QUEUED = 0;
export const STATE_LEASED = 1;
export const STATE_DONE = 2;
const STATES: readonly RecipientState[] = ['queued', 'leased', 'done'];

const KIND_NAMES = new Map<number, EventKind>(Object.entries(EVENT_KINDS).map(([name, number]) => [number, name as EventKind]));

/** Columns of `message m` joined with `domain d`, each under a name of its own so that they can stand beside a recipient's. */
export const MESSAGE_COLUMNS =
  'm.id AS m_id, m.account_id AS m_account, m.domain_id AS m_domain, coalesce(d.deleted_name, d.name) AS m_domain_name, m.message_id AS m_message_id, m.sender AS m_sender, ' +
  'm.created_ms AS m_created, m.expires_ms AS m_expires, m.priority AS m_priority, m.has_content AS m_content, m.info AS m_info';

export const RECIPIENT_COLUMNS =
  'r.id AS r_id, r.message AS r_message, r.address AS r_address, r.state AS r_state, r.ending AS r_ending, r.due_ms AS r_due, r.wait AS r_wait, ' +
  'r.attempts AS r_attempts, r.epoch AS r_epoch, r.possible_duplicate AS r_dup, r.extra AS r_extra';

export const EVENT_COLUMNS =
  'e.id AS e_id, e.kind AS e_kind, e.at_us AS e_at, e.account_id AS e_account, e.domain_id AS e_domain, e.message AS e_message, e.recipient AS e_recipient, e.detail AS e_detail';

export function messageOf(row: Row): StoredMessage {
  return {
    id: Number(row['m_id']),
    accountId: Number(row['m_account']),
    domainId: Number(row['m_domain']),
    domain: String(row['m_domain_name'] ?? ''),
    messageId: String(row['m_message_id']),
    sender: String(row['m_sender']),
    createdMs: Number(row['m_created']),
    expiresAtMs: Number(row['m_expires']),
    priority: Number(row['m_priority']) as Priority,
    // A content stands under its message's id.
    contentId: Number(row['m_content']) > 0 ? Number(row['m_id']) : 0,
    info: JSON.parse(String(row['m_info'])) as MessageInfo,
  };
}

type Extra = Pick<StoredRecipient, 'name' | 'variables' | 'notify' | 'orcpt' | 'expiresAtMs' | 'timeZone'>;

/** JSON of what few recipients have; null when this one has nothing of it. */
export function extraJson(extra: Extra): string | null {
  const { name, variables, notify, orcpt, expiresAtMs, timeZone } = extra;
  const isOnTerms = expiresAtMs !== undefined || timeZone !== undefined;
  if (name === undefined && variables === undefined && notify === undefined && orcpt === undefined && !isOnTerms) return null;
  return JSON.stringify({ name, variables, notify, orcpt, expiresAtMs, timeZone });
}

/** When a recipient is due and given up, and why it waits: as it says itself, or else its message. */
export function termsOf(
  message: Pick<AcceptMessage, 'createdMs' | 'dueAtMs' | 'expiresAtMs' | 'wait'>,
  { dueAtMs, expiresAtMs = message.expiresAtMs }: Pick<AcceptRecipient, 'dueAtMs' | 'expiresAtMs'>,
): { readonly dueAtMs: number; readonly expiresAtMs: number; readonly wait: WaitReason } {
  if (dueAtMs === undefined) return { dueAtMs: message.dueAtMs, expiresAtMs, wait: message.wait };
  return { dueAtMs, expiresAtMs, wait: dueAtMs > message.createdMs ? 'scheduled' : 'due' };
}

/** Of a recipient that was moved to a time that is nobody's local time, and is given up then. */
export function movedExtra(extra: unknown, expiresAtMs: number): string | null {
  const { timeZone: _timeZone, ...rest } = extra === null ? {} : (JSON.parse(String(extra)) as Extra);
  return extraJson({ ...rest, expiresAtMs });
}

export function recipientOf(row: Row): StoredRecipient {
  const address = String(row['r_address']);
  const extra = row['r_extra'] === null ? undefined : (JSON.parse(String(row['r_extra'])) as Extra);
  // A bucket that is parked knows better than its recipients when they are looked at next, and why not before.
  const isParked =
    row['r_state'] === STATE_QUEUED &&
    row['b_wait'] !== undefined &&
    row['b_wait'] !== 'due' &&
    Number(row['b_look']) > Number(row['r_due']);
  return {
    id: Number(row['r_id']),
    message: Number(row['r_message']),
    address,
    domain: address.slice(address.lastIndexOf('@') + 1),
    state: STATES[Number(row['r_state'])] as RecipientState,
    ending: row['r_ending'] === null ? undefined : (String(row['r_ending']) as Ending),
    dueAtMs: Number(isParked ? row['b_look'] : row['r_due']),
    wait: String(isParked ? row['b_wait'] : row['r_wait']) as WaitReason,
    attempts: Number(row['r_attempts']),
    epoch: Number(row['r_epoch']),
    possibleDuplicate: row['r_dup'] === 1,
    ...extra,
  };
}

export function eventOf(row: Row): EventRow {
  return {
    id: Number(row['e_id']),
    kind: KIND_NAMES.get(Number(row['e_kind'])) as EventKind,
    atUs: Number(row['e_at']),
    accountId: Number(row['e_account']),
    domainId: Number(row['e_domain']),
    message: Number(row['e_message']),
    recipient: Number(row['e_recipient']),
    detail: row['e_detail'] === null ? {} : (JSON.parse(String(row['e_detail'])) as EventDetail),
  };
}

/** The tags of a message, of its info as it is stored. Most have none, which is seen without reading it. */
export function tagsOf(info: string): readonly string[] {
  return info.includes('"tags":["') ? (JSON.parse(info) as MessageInfo).options.tags : [];
}

/** Under which a fact that counts once stands: it may be its message's, where the recipient is not known. */
export function onceKey(recipient: number, key: string): string {
  return recipient > 0 ? key : `message ${key}`;
}
