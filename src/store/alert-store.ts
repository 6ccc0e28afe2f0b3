/** Who is told of what concerns an account, and what is yet to be told. Part of the store's contract (store.ts), which says what holds for all of it. */
import type { Row } from './rows-json.ts';

export type AlertChannel = 'webhook' | 'email';

export interface AlertSetting {
  readonly id: string;
  readonly accountId: number;
  readonly eventType: string;
  readonly channel: AlertChannel;
  /** A URL; or addresses. */
  readonly targets: readonly string[];
  readonly createdMs: number;
}

/** One that is to be told: to one URL, or to one address. */
export interface AlertPost {
  readonly id: string;
  readonly accountId: number;
  readonly eventType: string;
  readonly channel: AlertChannel;
  readonly target: string;
  /** JSON, as it is posted. */
  readonly payload: string;
  readonly createdMs: number;
  readonly dueMs: number;
  /** That were begun. */
  readonly attempts: number;
}

export interface AlertStore {
  /** In the order they were made. */
  listAlerts(accountId: number): Promise<AlertSetting[]>;
  /** False: the account has `max`. */
  createAlert(setting: AlertSetting, max: number): Promise<boolean>;
  changeAlert(accountId: number, id: string, change: Pick<AlertSetting, 'eventType' | 'channel' | 'targets'>): Promise<boolean>;
  deleteAlert(accountId: number, id: string): Promise<boolean>;
  /** Sealed, in base64. */
  alertKey(accountId: number): Promise<string | undefined>;
  /** `isNew`: replaces the one that stands. Resolves to the one that stands then. */
  putAlertKey(accountId: number, sealed: string, isNew: boolean): Promise<string>;
  /** Where the account has `max` waiting already, nothing more is put in. How many were. */
  putAlertPosts(accountId: number, posts: readonly AlertPost[], max: number): Promise<number>;
  /** Those that are due, the oldest first; they are due again then, unless they are settled. */
  claimAlertPosts(nowMs: number, dueAgainMs: number, limit: number): Promise<AlertPost[]>;
  /** `dueMs`: to be tried again then. Absent: it is told, or given up. */
  settleAlertPost(id: string, dueMs: number | undefined): Promise<void>;
}

export const ALERT_COLUMNS = 'id, account_id, event_type, channel, targets, created_ms';
export const ALERT_POST_COLUMNS = 'id, account_id, event_type, channel, target, payload, created_ms, due_ms, attempts';

/** Stored JSON was written by us: it is trusted. */
export function alertOf(row: Row): AlertSetting {
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    eventType: String(row['event_type']),
    channel: row['channel'] as AlertChannel,
    targets: JSON.parse(String(row['targets'])) as string[],
    createdMs: Number(row['created_ms']),
  };
}

export function alertValues({ id, accountId, eventType, channel, targets, createdMs }: AlertSetting): (string | number)[] {
  return [id, accountId, eventType, channel, JSON.stringify(targets), createdMs];
}

export function alertPostOf(row: Row): AlertPost {
  return {
    id: String(row['id']),
    accountId: Number(row['account_id']),
    eventType: String(row['event_type']),
    channel: row['channel'] as AlertChannel,
    target: String(row['target']),
    payload: String(row['payload']),
    createdMs: Number(row['created_ms']),
    dueMs: Number(row['due_ms']),
    attempts: Number(row['attempts']),
  };
}

export function alertPostValues(post: AlertPost): (string | number)[] {
  const { id, accountId, eventType, channel, target, payload, createdMs, dueMs, attempts } = post;
  return [id, accountId, eventType, channel, target, payload, createdMs, dueMs, attempts];
}
