/** Rows for every table of a store, with the values that a copy is most likely to spoil: nulls, octets, letters of every length, quotes, ids as large as they come. */
import type { Row } from '#store/copy/table-sum.ts';
import { columnsOf, type Table } from '#store/copy/tables.ts';
import { EVENT_KINDS } from '#model/event.ts';

export const NOW_MS = Date.UTC(2026, 10, 23, 12);
const DAY_MS = 86_400_000;
/** As a node on PostgreSQL gives them. */
export const BIG_ID = Math.floor(NOW_MS / DAY_MS) * 2 ** 38 + 123_456;

const ODD = 'Zoë "quoted", \\back\\slash, {curly}, NULL, \t tab,\r\n line, Здравствуй, 日本, 👩‍👩‍👧, \u{FFFF}\u{200B}\x7f';
const OCTETS = Uint8Array.from({ length: 256 }, (_, i) => i);
const EMPTY = new Uint8Array();

const COUNTED = { account_id: 1, domain_id: 7, kind: 1, reason: '', provider: ODD, source: 'a', country: '', device: '', n: 2 ** 40 };

type Values = Readonly<Record<string, Row[number]>>;

const ODD_THRESHOLD: Values = {
  id: 'a1',
  account_id: 1,
  kind: 'limit',
  name: ODD,
  metric: 'delivered_count',
  comparator: '>=',
  bound: '0.1',
  dimension: 'domain',
  created_ms: NOW_MS,
};

const ROWS: Readonly<Record<string, readonly Values[]>> = {
  setting: [
    { name: 'instance-secret', value: '00112233445566778899aabbccddeeff' },
    { name: ODD, value: ODD },
    { name: 'empty', value: '' },
  ],
  account: [
    { id: 1, name: ODD, created_ms: NOW_MS, is_disabled: 0, parent_id: null, closed_ms: null, signing_key: 'AbC+/=' },
    { id: 2, name: 'Bank', created_ms: 0, is_disabled: 1, parent_id: 1, closed_ms: NOW_MS, signing_key: null },
  ].map((account) => ({ ...account, updated_ms: 0, disabled_reason: ODD, features: '{"sending":false}', settings: '{}' })),
  api_key: ['b-key', 'A-key', 'a-key'].map((id) => ({
    id,
    account_id: 1,
    secret_hash: id.repeat(4),
    kind: 'account',
    role: 'admin',
    domain_id: id === 'b-key' ? 7 : null,
    description: ODD,
    created_ms: NOW_MS,
    expires_ms: id === 'A-key' ? NOW_MS : null,
    user_name: ODD,
    requestor: '',
    user_id: id === 'a-key' ? 3 : null,
    last_used_ms: id === 'A-key' ? NOW_MS : null,
  })),
  domain: [7, 8].map((id) => ({
    id,
    account_id: id - 6,
    name: `d${id}.example`,
    type: 'custom',
    state: 'active',
    created_ms: NOW_MS,
    retention_ms: 3 * DAY_MS,
    require_tls: id - 7,
    skip_verification: 8 - id,
    settings: ODD,
    dns: '{}',
    checked_ms: NOW_MS,
    deleted_name: id === 8 ? 'gone.example' : null,
    deleted_ms: id === 8 ? NOW_MS : null,
    is_purged: id - 7,
  })),
  credential: ['ü@d7.example', 'z@d7.example', 'Z@d7.example'].map((login) => ({
    login,
    domain_id: 7,
    account_id: 1,
    password_hash: '$argon2id$v=19$m=1,t=1,p=1$x$y',
    created_ms: NOW_MS,
    is_system: login.startsWith('z') ? 1 : 0,
    is_disabled: login.startsWith('Z') ? 1 : 0,
  })),
  dkim_key: [OCTETS, EMPTY].map((bytes, id) => ({
    id: id + 1,
    domain_id: 7,
    selector: `s${id}`,
    algorithm: 'rsa',
    private_key: bytes,
    public_key: 'MIIB+/=',
    state: 'signing',
    created_ms: NOW_MS,
    active_ms: NOW_MS,
  })),
  // In the order of octets these are far apart; by letters, in pairs.
  suppression: ['a@x.example', 'B@x.example', 'c@x.example', 'D@x.example', 'É@x.example', 'é@x.example'].flatMap((address) =>
    ['bounce', 'complaint'].map((kind) => ({
      domain_id: 7,
      address,
      kind,
      code: 550,
      error: ODD,
      created_ms: NOW_MS,
      tags: JSON.stringify(['*', ODD]),
    })),
  ),
  allowlist: ['a@x.example', 'É@x.example', 'x.example'].map((value) => ({
    domain_id: 7,
    value,
    type: value.includes('@') ? 'address' : 'domain',
    reason: ODD,
    created_ms: NOW_MS,
  })),
  mailing_list: ['news@d7.example', 'ü@d7.example'].map((address, i) => ({
    id: i + 3,
    account_id: 1,
    address,
    domain: 'd7.example',
    name: ODD,
    description: ODD,
    access_level: 'members',
    reply_preference: 'list',
    created_ms: NOW_MS,
    members_count: 2 - i,
  })),
  list_member: ['a@x.example', 'É@x.example'].map((address) => ({
    list_id: 3,
    address,
    name: ODD,
    vars: JSON.stringify({ [ODD]: 1 }),
    is_subscribed: 1,
  })),
  import_job: [OCTETS, EMPTY].map((bytes, i) => ({
    id: i + 1,
    account_id: 1,
    kind: 'bounce',
    target: 7,
    options: '{}',
    size_bytes: 256,
    position: 128 * (i + 1),
    added: 3,
    failed: i,
    trouble: i === 0 ? null : ODD,
    created_ms: NOW_MS,
    finished_ms: i === 0 ? null : NOW_MS,
    held_until_ms: NOW_MS,
    epoch: 1,
    bytes,
  })),
  template: [{ id: 5, domain_id: 7, name: 'receipt', description: ODD, created_ms: NOW_MS, created_by: ODD }],
  template_version: ['v1', 'V2', 'ß'].map((tag, i) => ({
    template_id: 5,
    tag,
    source: `{{name}} ${ODD}`,
    engine: 'handlebars',
    comment: '',
    headers: '{}',
    is_active: i === 0 ? 1 : 0,
    created_ms: NOW_MS,
  })),
  bucket: [
    { id: 1, domain: 'x.example', account_id: 1, priority: 1, look_ms: NOW_MS + 1000, parked_ms: NOW_MS + 1000, wait: 'lane-connections' },
    { id: 2, domain: 'xn--bcher-kva.example', account_id: 1, priority: 2, look_ms: null, parked_ms: 0, wait: 'due' },
  ],
  message: [3, BIG_ID].map((id) => ({
    id,
    account_id: 1,
    domain_id: 7,
    message_id: `${id}@d7.example`,
    sender: id === 3 ? '' : 'zoë@d7.example',
    created_ms: NOW_MS,
    expires_ms: NOW_MS + DAY_MS,
    priority: 1,
    has_content: 1,
    first_recipient: id === 3 ? 11 : BIG_ID + 40,
    recipient_count: 2,
    info: JSON.stringify({ subject: ODD, nul: '\0', tags: [] }),
  })),
  content: [
    { id: 3, bytes: OCTETS },
    { id: BIG_ID, bytes: new Uint8Array(300_000).fill(0x41) },
  ],
  recipient: [11, 12, BIG_ID + 40, BIG_ID + 41].map((id, i) => ({
    id,
    message: i < 2 ? 3 : BIG_ID,
    bucket: i === 3 ? 2 : 1,
    address: ['alice@x.example', 'Bob@x.example', 'zoë@x.example', "o'hara@xn--bcher-kva.example"][i] as string,
    state: [0, 1, 0, 2][i] as number,
    ending: i === 3 ? 'delivered' : null,
    due_ms: NOW_MS + 5000 * i,
    expires_ms: NOW_MS + DAY_MS,
    wait: 'due',
    attempts: i,
    epoch: i,
    possible_duplicate: i === 2 ? 1 : 0,
    extra: i === 0 ? JSON.stringify({ variables: { name: ODD } }) : null,
    scheduled_domain: i === 2 ? 7 : null,
  })),
  event: [
    ...[11, 12].map((recipient) => eventOf(recipient + 100, EVENT_KINDS.accepted, 3, recipient)),
    ...[BIG_ID + 40, BIG_ID + 41].map((recipient) => eventOf(recipient + 500, EVENT_KINDS.accepted, BIG_ID, recipient)),
    { ...eventOf(BIG_ID + 999, EVENT_KINDS.delivered, BIG_ID, BIG_ID + 41), detail: JSON.stringify({ code: 250, text: ODD }) },
  ],
  counter: ['', 'b', 'B', 'ä'].map((tag) => ({ ...COUNTED, tag, hour: 494_000 })),
  counter_day: ['', 'b', 'B', 'ä'].map((tag) => ({ ...COUNTED, tag, day: 20_500 })),
  counter_receiver: ['', 'b', 'B', 'ä'].map((receiver) => ({ ...COUNTED, tag: '', day: 20_500, receiver })),
  event_tag: ['b', 'B', 'ä'].map((tag) => ({ domain_id: 7, tag, at_us: NOW_MS * 1000, event: BIG_ID + 999, kind: 2 })),
  tag: ['b', 'ä'].map((key) => ({ account_id: 1, domain_id: 7, key, name: ODD, description: ODD, first_ms: NOW_MS, last_ms: NOW_MS })),
  idempotency: [{ account_id: 1, key: ODD, fingerprint: 'f', message: 3, until_ms: NOW_MS + DAY_MS }],
  captured: [
    { id: 9, at_ms: NOW_MS, sender: '', recipients: '["a@x.example"]', size_bytes: 3, subject: ODD, from_header: '', bytes: OCTETS },
  ],
  account_limit: [{ account_id: 2, recipients_per_hour: null, recipients_per_day: 0, recipients_per_month: 9, requests_per_second: 5 }],
  account_user: [
    { id: 3, account_id: 1, email: 'zoë@x.example', name: ODD, role: 'admin', is_disabled: 0, is_master: 1, created_ms: NOW_MS },
  ],
  allowed_network: [{ account_id: 1, network: '2001:db8::/32', description: ODD, created_ms: NOW_MS }],
  auth_recipient: [{ account_id: 1, email: 'zoë@x.example', created_ms: NOW_MS }],
  ip_pool: [{ id: 'aa', account_id: 1, name: ODD, description: ODD, ips: '["192.0.2.1"]', created_ms: NOW_MS }],
  ip_pool_lent: [{ account_id: 2, pool_id: 'aa' }],
  webhook_set: [0, 7].map((domain_id) => ({ account_id: 1, domain_id, revision: 2, webhooks: ODD })),
  route: ['5f', '60'].map((id) => ({
    id,
    account_id: 1,
    priority: 0,
    description: ODD,
    expression: 'catch_all()',
    actions: '["stop()"]',
    created_ms: NOW_MS,
  })),
  forward_rule: [ODD, null].map((store, n) => ({
    id: `7${n}`,
    account_id: 1,
    domain_id: 7,
    pattern: ODD,
    urls: '["https://a.example/"]',
    recipients: '[]',
    store,
    created_ms: NOW_MS,
    updated_ms: NOW_MS,
  })),
  threshold: [{ ...ODD_THRESHOLD, description: ODD, period: '1d', filters: '[]', channels: '[]', updated_ms: NOW_MS, checked_ms: 0 }],
  threshold_hit: [
    { ...ODD_THRESHOLD, threshold_id: 'a1', dimension_value: ODD, latest: '0.25', updated_ms: NOW_MS, expires_ms: NOW_MS + DAY_MS },
  ],
  warm_up: [
    { address: '2001:db8::1', plan: '[50,100]', stage: 2, started_ms: NOW_MS, stage_started_ms: NOW_MS, updated_ms: NOW_MS, history: '[]' },
  ],
  validation_job: [
    {
      id: 4,
      account_id: 1,
      name: ODD,
      quantity: 2,
      processed: 1,
      position: 9,
      summary: '{}',
      created_ms: NOW_MS,
      finished_ms: null,
      deleted_ms: null,
      held_until_ms: 0,
      epoch: 3,
      bytes: Buffer.from('a@x.example\nzoë@x.example\n'),
    },
  ],
  validation_result: [{ job: 4, number: 1, results: `[${JSON.stringify(ODD)}]` }],
  alert_setting: [
    { id: 'a3', account_id: 1, event_type: 'send_alert', channel: 'email', targets: '["zoë@x.example"]', created_ms: NOW_MS },
  ],
  alert_key: [{ account_id: 1, sealed: ODD }],
  alert_post: [
    {
      id: 'a4',
      account_id: 1,
      event_type: 'send_alert',
      channel: 'webhook',
      target: 'https://hooks.example',
      payload: ODD,
      created_ms: NOW_MS,
      due_ms: NOW_MS,
      attempts: 1,
    },
  ],
  certificate: [
    {
      name: 'email.ours.example',
      domain_id: 7,
      chain: ODD,
      private_key: Buffer.from([0, 39, 92, 255]),
      not_before_ms: NOW_MS,
      not_after_ms: NOW_MS + 1,
      due_ms: NOW_MS,
      held_until_ms: 0,
      epoch: 3,
      tried_ms: NOW_MS,
      failures: 1,
      error: ODD,
      created_ms: NOW_MS,
    },
  ],
  acme_account: [{ directory: 'https://ca.example/directory', private_key: Buffer.from([0, 255]), next_order_ms: NOW_MS }],
  acme_challenge: [{ token: 'a-token', answer: ODD, until_ms: NOW_MS }],
  dynamic_pool: [{ owner_id: 1, pools: '{"good":["192.0.2.1"],"poor":[],"new":[]}' }],
  dynamic_domain: [
    {
      domain_id: 7,
      account_id: 1,
      owner_id: 1,
      enrolled_ms: NOW_MS,
      band: 'poor',
      is_overridden: 1,
      processed: 2000,
      bounce_rate: '0.0625',
      complaint_rate: '1e-7',
      checked_ms: 0,
    },
  ],
  dynamic_move: [
    {
      id: 'ab',
      owner_id: 1,
      account_id: 1,
      domain_id: 7,
      domain_name: 'x.example',
      from_band: '',
      to_band: 'new',
      reason: ODD,
      initiated_by: ODD,
      processed: 0,
      bounce_rate: '0',
      complaint_rate: '0',
      at_ms: NOW_MS,
    },
  ],
  granted: [
    { name: 'quota 1', start_ms: NOW_MS, holder: 0, held: 70, used: 70, is_counted: 1, until_ms: 0, keep_until_ms: NOW_MS + DAY_MS },
  ],
  outbox_endpoint: [{ id: 4, account_id: 1, name: 'https://hooks.example', look_ms: NOW_MS + 100, parked_ms: 0 }],
  outbox: [21, 22].map((id) => ({
    id,
    kind: 'archive',
    endpoint: 4,
    account_id: 1,
    domain_id: 7,
    message: 3,
    recipient: 0,
    target: 'https://hooks.example/x?y=ü',
    payload: ODD,
    created_ms: NOW_MS,
    due_ms: NOW_MS + 100 * (id - 20),
    attempts: 1,
    epoch: 1,
    is_leased: id === 22 ? 1 : 0,
    event: id === 22 ? 0 : 31,
  })),
  webhook_post: [
    {
      id: 5,
      account_id: 1,
      domain_id: 7,
      event: 31,
      message: 3,
      recipient: 11,
      kind: 2,
      url: 'https://hooks.example/x?y=ü',
      endpoint: 'https://hooks.example',
      payload: '{}',
      at_ms: NOW_MS,
      number: 2,
      result: 3,
      status: 0,
      took_ms: 12,
      error: ODD,
      response: ODD,
    },
  ],
  fact_once: [
    { recipient: 11, key: 'complained', at_ms: NOW_MS },
    { recipient: 11, key: `first ${ODD}`, at_ms: NOW_MS },
  ],
};

function eventOf(id: number, kind: number, message: number, recipient: number): Values {
  return { id, kind, at_us: NOW_MS * 1000 + 1, account_id: 1, domain_id: 7, message, recipient, detail: null };
}

/** In the order of the table's columns. */
export function oddRows(table: Table): Row[] {
  const rows = ROWS[table.name];
  if (rows === undefined) throw new Error(`there are no odd rows for ${table.name}`);
  return rows.map((values) =>
    columnsOf(table).map((column) => {
      const value = values[column];
      if (value === undefined) throw new Error(`the odd rows of ${table.name} lack ${column}`);
      return value;
    }),
  );
}
