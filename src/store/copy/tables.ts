/**
 * What a store consists of, the same for both engines: every table that is taken along when a store is copied, backed up or restored, with its columns and the
 * key it is walked by. A test compares this list with both schemas, so that a migration cannot add something that a backup then forgets.
 */

import { RULE_TABLES } from './rule-tables.ts';

/** Numbers stay below 2^53; those of a flag are 0 and 1. */
export type ColumnKind = 'integer' | 'text' | 'bytes';

export interface Table {
  readonly name: string;
  /** Unique, never null, numbers and texts: rows are walked in its order. */
  readonly key: readonly string[];
  /** Those of the key that are compared without regard to the case of ASCII letters. */
  readonly caseless?: readonly string[];
  readonly columns: Readonly<Record<string, ColumnKind>>;
  /** SQL that both engines understand: which rows belong to the store itself. Default: all. */
  readonly rows?: string;
  /** SQL: what is read in place of the table, by the engine. Where each node keeps rows of its own, a copy has what they come to. */
  readonly from?: { readonly sqlite?: string; readonly postgres?: string };
  /** Columns that the embedded store does not keep, as SQL that works them out there. */
  readonly workedOut?: Readonly<Record<string, string>>;
  /** Columns that PostgreSQL keeps otherwise, as SQL that finds their value there. */
  readonly found?: Readonly<Record<string, string>>;
  /** Columns that only PostgreSQL has, and their value in what is copied. */
  readonly only?: Readonly<Record<string, number>>;
}

/** A day's contents go there at once, and their messages are not told. */
const HAS_CONTENT = `CASE WHEN has_content = 0 THEN 0
  ELSE least(1, (SELECT count(*) FROM content c WHERE c.id = message.id) + (SELECT count(*) FROM content_kept k WHERE k.id = message.id)) END`;

/** Each node counts in rows of its own. */
function counted(name: string, time: 'hour' | 'day', own: readonly string[] = []): Table {
  const key = ['account_id', 'domain_id', 'tag', time, 'kind', 'reason', ...own, 'provider', 'source', 'country', 'device'];
  const numbers = ['account_id', 'domain_id', time, 'kind'];
  return {
    name,
    key,
    columns: { ...Object.fromEntries(key.map((column) => [column, numbers.includes(column) ? 'integer' : 'text'] as const)), n: 'integer' },
    from: { postgres: `(SELECT ${key.join(', ')}, sum(n)::bigint AS n FROM ${name} GROUP BY ${key.join(', ')}) AS ${name}` },
    only: { node: 0 },
  };
}

/** What was given out of a ceiling is used up, as far as nobody tells otherwise; the holder is no node. */
const GRANTED = `(SELECT name, start_ms, 0 AS holder, sum(CASE WHEN is_counted = 1 THEN used ELSE held END) AS held,
  sum(CASE WHEN is_counted = 1 THEN used ELSE held END) AS used, 1 AS is_counted, 0 AS until_ms, max(keep_until_ms) AS keep_until_ms
  FROM granted GROUP BY name, start_ms) AS granted`;

/** Parents first. */
export const TABLES: readonly Table[] = [
  {
    name: 'setting',
    key: ['name'],
    columns: { name: 'text', value: 'text' },
    // The others say something about this one database, and nothing about what is in it.
    rows: "name NOT IN ('copy', 'backup', 'probe', 'content.floor')",
  },
  {
    name: 'account',
    key: ['id'],
    columns: {
      id: 'integer',
      name: 'text',
      created_ms: 'integer',
      is_disabled: 'integer',
      parent_id: 'integer',
      updated_ms: 'integer',
      closed_ms: 'integer',
      disabled_reason: 'text',
      features: 'text',
      settings: 'text',
      signing_key: 'text',
    },
  },
  {
    name: 'api_key',
    key: ['id'],
    columns: {
      id: 'text',
      account_id: 'integer',
      secret_hash: 'text',
      kind: 'text',
      role: 'text',
      domain_id: 'integer',
      description: 'text',
      created_ms: 'integer',
      expires_ms: 'integer',
      user_name: 'text',
      requestor: 'text',
      user_id: 'integer',
      last_used_ms: 'integer',
    },
  },
  {
    name: 'domain',
    key: ['id'],
    columns: {
      id: 'integer',
      account_id: 'integer',
      name: 'text',
      type: 'text',
      state: 'text',
      created_ms: 'integer',
      retention_ms: 'integer',
      require_tls: 'integer',
      skip_verification: 'integer',
      settings: 'text',
      dns: 'text',
      checked_ms: 'integer',
      deleted_name: 'text',
      deleted_ms: 'integer',
      is_purged: 'integer',
    },
  },
  {
    name: 'credential',
    key: ['login'],
    columns: {
      login: 'text',
      domain_id: 'integer',
      account_id: 'integer',
      password_hash: 'text',
      created_ms: 'integer',
      is_system: 'integer',
      is_disabled: 'integer',
    },
  },
  {
    name: 'dkim_key',
    key: ['id'],
    columns: {
      id: 'integer',
      domain_id: 'integer',
      selector: 'text',
      algorithm: 'text',
      private_key: 'bytes',
      public_key: 'text',
      state: 'text',
      created_ms: 'integer',
      active_ms: 'integer',
    },
  },
  {
    name: 'ip_pool',
    key: ['id'],
    columns: { id: 'text', account_id: 'integer', name: 'text', description: 'text', ips: 'text', created_ms: 'integer' },
  },
  {
    name: 'ip_pool_lent',
    key: ['account_id'],
    columns: { account_id: 'integer', pool_id: 'text' },
  },
  {
    name: 'suppression',
    key: ['domain_id', 'address', 'kind'],
    caseless: ['address'],
    columns: { domain_id: 'integer', address: 'text', kind: 'text', code: 'integer', error: 'text', created_ms: 'integer', tags: 'text' },
  },
  {
    name: 'allowlist',
    key: ['domain_id', 'value'],
    columns: { domain_id: 'integer', value: 'text', type: 'text', reason: 'text', created_ms: 'integer' },
  },
  {
    name: 'mailing_list',
    key: ['id'],
    columns: {
      id: 'integer',
      account_id: 'integer',
      address: 'text',
      domain: 'text',
      name: 'text',
      description: 'text',
      access_level: 'text',
      reply_preference: 'text',
      created_ms: 'integer',
      members_count: 'integer',
    },
  },
  {
    name: 'list_member',
    key: ['list_id', 'address'],
    columns: { list_id: 'integer', address: 'text', name: 'text', vars: 'text', is_subscribed: 'integer' },
  },
  {
    name: 'import_job',
    key: ['id'],
    columns: {
      id: 'integer',
      account_id: 'integer',
      kind: 'text',
      target: 'integer',
      options: 'text',
      size_bytes: 'integer',
      position: 'integer',
      added: 'integer',
      failed: 'integer',
      trouble: 'text',
      created_ms: 'integer',
      finished_ms: 'integer',
      held_until_ms: 'integer',
      epoch: 'integer',
      bytes: 'bytes',
    },
  },
  {
    name: 'template',
    key: ['id'],
    columns: { id: 'integer', domain_id: 'integer', name: 'text', description: 'text', created_ms: 'integer', created_by: 'text' },
  },
  {
    name: 'template_version',
    key: ['template_id', 'tag'],
    columns: {
      template_id: 'integer',
      tag: 'text',
      source: 'text',
      engine: 'text',
      comment: 'text',
      headers: 'text',
      is_active: 'integer',
      created_ms: 'integer',
    },
  },
  {
    name: 'bucket',
    key: ['id'],
    columns: {
      id: 'integer',
      domain: 'text',
      account_id: 'integer',
      priority: 'integer',
      look_ms: 'integer',
      parked_ms: 'integer',
      wait: 'text',
    },
    only: { shown_ms: 0 },
  },
  {
    name: 'message',
    key: ['id'],
    columns: {
      id: 'integer',
      account_id: 'integer',
      domain_id: 'integer',
      message_id: 'text',
      sender: 'text',
      created_ms: 'integer',
      expires_ms: 'integer',
      priority: 'integer',
      has_content: 'integer',
      first_recipient: 'integer',
      recipient_count: 'integer',
      info: 'text',
    },
    workedOut: { first_recipient: 'coalesce((SELECT min(r.id) FROM recipient r WHERE r.message = message.id), 0)' },
    found: { has_content: HAS_CONTENT },
  },
  {
    name: 'content',
    key: ['id'],
    columns: { id: 'integer', bytes: 'bytes' },
    from: { postgres: '(SELECT id, bytes FROM content UNION ALL SELECT id, bytes FROM content_kept) AS content' },
  },
  {
    name: 'recipient',
    key: ['id'],
    columns: {
      id: 'integer',
      message: 'integer',
      bucket: 'integer',
      address: 'text',
      state: 'integer',
      ending: 'text',
      due_ms: 'integer',
      expires_ms: 'integer',
      wait: 'text',
      attempts: 'integer',
      epoch: 'integer',
      possible_duplicate: 'integer',
      extra: 'text',
      scheduled_domain: 'integer',
    },
  },
  {
    name: 'event',
    key: ['id'],
    columns: {
      id: 'integer',
      kind: 'integer',
      at_us: 'integer',
      account_id: 'integer',
      domain_id: 'integer',
      message: 'integer',
      recipient: 'integer',
      detail: 'text',
    },
  },
  counted('counter', 'hour'),
  counted('counter_day', 'day'),
  counted('counter_receiver', 'day', ['receiver']),
  {
    name: 'event_tag',
    key: ['domain_id', 'tag', 'at_us', 'event'],
    columns: { domain_id: 'integer', tag: 'text', at_us: 'integer', event: 'integer', kind: 'integer' },
  },
  {
    name: 'tag',
    key: ['account_id', 'domain_id', 'key'],
    columns: {
      account_id: 'integer',
      domain_id: 'integer',
      key: 'text',
      name: 'text',
      description: 'text',
      first_ms: 'integer',
      last_ms: 'integer',
    },
  },
  {
    name: 'idempotency',
    key: ['account_id', 'key'],
    columns: { account_id: 'integer', key: 'text', fingerprint: 'text', message: 'integer', until_ms: 'integer' },
  },
  {
    name: 'captured',
    key: ['id'],
    columns: {
      id: 'integer',
      at_ms: 'integer',
      sender: 'text',
      recipients: 'text',
      size_bytes: 'integer',
      subject: 'text',
      from_header: 'text',
      bytes: 'bytes',
    },
  },
  ...RULE_TABLES,
  {
    name: 'granted',
    key: ['name', 'start_ms', 'holder'],
    columns: {
      name: 'text',
      start_ms: 'integer',
      holder: 'integer',
      held: 'integer',
      used: 'integer',
      is_counted: 'integer',
      until_ms: 'integer',
      keep_until_ms: 'integer',
    },
    from: { sqlite: GRANTED, postgres: GRANTED },
  },
  {
    name: 'outbox_endpoint',
    key: ['id'],
    columns: { id: 'integer', account_id: 'integer', name: 'text', look_ms: 'integer', parked_ms: 'integer' },
  },
  {
    name: 'outbox',
    key: ['id'],
    columns: {
      id: 'integer',
      kind: 'text',
      endpoint: 'integer',
      account_id: 'integer',
      domain_id: 'integer',
      message: 'integer',
      recipient: 'integer',
      target: 'text',
      payload: 'text',
      created_ms: 'integer',
      due_ms: 'integer',
      attempts: 'integer',
      epoch: 'integer',
      is_leased: 'integer',
      event: 'integer',
    },
  },
  {
    name: 'webhook_post',
    key: ['id'],
    columns: {
      id: 'integer',
      account_id: 'integer',
      domain_id: 'integer',
      event: 'integer',
      message: 'integer',
      recipient: 'integer',
      kind: 'integer',
      url: 'text',
      endpoint: 'text',
      payload: 'text',
      at_ms: 'integer',
      number: 'integer',
      result: 'integer',
      status: 'integer',
      took_ms: 'integer',
      error: 'text',
      response: 'text',
      entry: 'text',
    },
  },
  {
    name: 'report',
    key: ['id'],
    columns: {
      id: 'text',
      account_id: 'integer',
      domain_id: 'integer',
      kind: 'text',
      reporter: 'text',
      org: 'text',
      report_id: 'text',
      begin_ms: 'integer',
      end_ms: 'integer',
      received_ms: 'integer',
      is_verified: 'integer',
      messages: 'integer',
      failures: 'integer',
      detail: 'text',
    },
  },
  {
    name: 'report_row',
    key: ['report', 'number'],
    columns: {
      report: 'text',
      number: 'integer',
      domain_id: 'integer',
      source_ip: 'text',
      count: 'integer',
      disposition: 'text',
      dkim_aligned: 'integer',
      spf_aligned: 'integer',
      header_from: 'text',
      why: 'text',
      signed: 'text',
      detail: 'text',
    },
  },
  {
    name: 'fact_once',
    key: ['recipient', 'key'],
    columns: { recipient: 'integer', key: 'text', at_ms: 'integer' },
  },
];

/** Columns that stay behind: what is leased in the source is queued in the copy, and belongs to no node. */
export const COLUMNS_LEFT_BEHIND: Readonly<Record<string, readonly string[]>> = { recipient: ['node'] };

/** Tables that stay behind: the processes that serve the source do not serve the copy. */
export const TABLES_LEFT_BEHIND: readonly string[] = ['node'];

export function columnsOf(table: Table): string[] {
  return Object.keys(table.columns);
}
