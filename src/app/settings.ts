/**
 * Every setting, declared once: its key, kind, default, and a sentence. The configuration's type, the environment's names,
 * the check of the file and the manual page (docs/settings.md) all come from this table. A setting is added here and nowhere else.
 */
import ipaddr from 'ipaddr.js';
import { timeZoneNamed } from '#submission/local-time.ts';
import { isSecretText } from '#accounts/instance-secret.ts';
import { parseStoreUrl, shownUrl } from '#store/store-url.ts';
import {
  checked,
  choice,
  duration,
  flag,
  group,
  integer,
  list,
  listenAddress,
  numberOf,
  optional,
  rate,
  required,
  size,
  string,
  tables,
  text,
} from './setting-kinds.ts';
import type { AnySetting, ConfigName, Group, Setting } from './setting-kinds.ts';
import { cidr, host, ip, isDomainPattern, isHostName, isHttpUrl, MANY, POSITIVE, resolverAddress, SECONDS } from './setting-values.ts';
import { INBOUND_SETTINGS } from './settings-inbound.ts';
import { REPORT_SETTINGS } from './settings-reports.ts';
import { TLS_SETTINGS } from './settings-tls.ts';

export const SETTINGS = group('', {
  data: string(
    './data',
    'Directory of everything that is kept: the embedded store, the instance secret, certificates made here. Made when it is absent.',
  ),

  secret: optional(
    text(
      '64 hexadecimal digits, such as "openssl rand -hex 32" prints',
      isSecretText,
      undefined,
      'The instance secret, which encrypts DKIM keys in the store: 64 hexadecimal digits, the same for every node of a store and never another. Default: the file secret.key in the data directory, which the first start makes.',
      { isSecret: true },
    ),
  ),
  secret_file: optional(string(undefined, 'File with the instance secret, instead of `secret`.')),

  store: group('Where mail and accounts are kept.', {
    url: optional(
      checked(
        (given) => {
          const parsed = parseStoreUrl(given);
          return 'expected' in parsed ? parsed.expected : undefined;
        },
        shownUrl,
        'The store: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE` for PostgreSQL (14 or later), which many nodes can share. Several hosts are separated by commas; `?sslmode=verify-full` demands TLS. Default: `sqlite:` and the file postrider.db in the data directory.',
      ),
    ),
    password_file: optional(
      string(
        undefined,
        "File with the password of the database, for those who want it in no URL. Default: the URL's, PGPASSWORD or ~/.pgpass.",
      ),
    ),
    connections: integer(5, 200, 10, 'PostgreSQL: connections of this node.'),
    start_timeout: duration(
      ['0s', '1h'],
      '2m',
      'PostgreSQL: how long a start waits for a database that cannot be reached yet, before it gives up.',
    ),
    lease: duration(
      ['1s', '10m'],
      '20s',
      'PostgreSQL: a node that is not heard of for this time is given up, and the others deliver its mail. The same on every node. A shorter time finds a dead node sooner, and takes a slow one for dead.',
    ),
  }),

  node: group('This process among others on the same store.', {
    name: optional(
      string(undefined, 'Its name in lists, which no other node that runs on the store has. Default: the name of the machine.'),
    ),
    services: list(
      choice(['accept', 'deliver', 'webhooks', 'web'], 'accept', ''),
      'services',
      ['accept', 'deliver', 'webhooks', 'web'],
      'What it does. accept: takes mail by SMTP and the API. deliver: delivers it. webhooks: tells others what happened. web: the HTTP API for everything else, and its pages. Health and metrics are served by every node.',
    ),
  }),

  http: group('The HTTP API.', {
    listen: list(listenAddress(undefined, ''), 'addresses', ['127.0.0.1:8080'], 'Addresses that the HTTP API listens on.'),
    tls_listen: list(
      listenAddress(undefined, ''),
      'addresses',
      [],
      'Addresses that it listens on with TLS, usually port 443: for hosts that have a certificate (`tls.acme`), and with `tls.cert` for all others.',
    ),
    public_url: optional(
      text(
        'a URL such as "https://mail.example.org"',
        isHttpUrl,
        undefined,
        'How clients reach the API: the base of every URL in its answers. Default: http and the name and port that the client asked for.',
      ),
    ),
    request_size: size(
      ['64KB', '256MB'],
      '52.4MB',
      'Largest request body, with its encoding overhead (`limits.message_size` bounds the message itself).',
    ),
    request_timeout: duration(SECONDS, '2m', 'Time in which a whole request must have arrived.'),
    idle_timeout: duration(SECONDS, '65s', 'A connection without a request is closed after this time.'),
    connections: integer(1, MANY, 10_000, 'Connections open at once; further ones are closed.'),
    connections_per_address: integer(
      1,
      MANY,
      5_000,
      'The same for one client address (IPv6: for one /64). Those of balancers named in `proxy_from` are not counted.',
    ),
    proxy_from: list(
      cidr(undefined, ''),
      'networks',
      [],
      'Load balancers whose `X-Forwarded-For` says who the client is; behind one that is not named here, every client has its address.',
    ),
    metrics_networks: list(cidr(undefined, ''), 'networks', ['127.0.0.0/8', '::1'], 'Networks that may read /metrics without a key.'),
  }),

  smtp: group('SMTP that this server offers.', {
    submission: list(
      listenAddress(undefined, ''),
      'addresses',
      ['127.0.0.1:2525', '127.0.0.1:587?'],
      'Addresses for submission, with STARTTLS. One with `?` at its end is skipped with a warning when it cannot be opened.',
    ),
    submissions: list(listenAddress(undefined, ''), 'addresses', [], 'Addresses for submission with implicit TLS, usually port 465.'),
    inbound: list(
      listenAddress(undefined, ''),
      'addresses',
      [],
      'Addresses that receive mail from other servers, usually port 25, with STARTTLS. Default: none.',
      { dev: ['127.0.0.1:2526?'] },
    ),
    hostname: optional(
      host(undefined, 'Name of this server in its greeting, in Received fields and in EHLO. Default: the name of the machine.'),
    ),
    trusted: tables(
      {
        cidr: required(cidr(undefined, 'network of the clients')),
        domain: required(host(undefined, 'sender domain that they submit for')),
      },
      'Clients that submit without AUTH, each network for one domain.',
    ),
    proxy_from: list(
      cidr(undefined, ''),
      'networks',
      [],
      'Load balancers that begin each connection with a PROXY protocol header (version 1 or 2).',
    ),
    auth_without_tls: choice(['never', 'loopback'], 'never', 'Whether AUTH is offered on connections without TLS.', { dev: 'loopback' }),
    bare_newline: choice(
      ['refuse', 'normalise'],
      'refuse',
      'What to do with a CR or LF alone in a message: refuse the message, or make it CRLF. Only CRLF.CRLF ends a message in any case.',
    ),
    idle_timeout: duration(POSITIVE, '5m', 'Longest wait for the next command. (RFC 5321 §4.5.3.2.7)'),
    data_timeout: duration(POSITIVE, '5m', 'Longest wait for the next bytes of a message.'),
    message_timeout: duration(POSITIVE, '30m', 'Longest time for one whole message, however steadily it trickles in.'),
    login_timeout: duration(POSITIVE, '2m', 'A submission connection that has not authenticated is closed after this time.'),
    handshake_timeout: duration(POSITIVE, '30s', 'Longest time for a TLS handshake or a PROXY protocol header.'),
  }),

  inbound: INBOUND_SETTINGS,

  tls: TLS_SETTINGS,

  dns: group('Looking up recipient domains.', {
    servers: list(resolverAddress(undefined, ''), 'addresses', [], "Resolvers to ask. Default: the system's."),
    timeout: duration(['10ms', '5m'], '5s', 'Longest wait for one answer.'),
    tries: integer(1, 10, 3, 'How often a question is asked before it counts as unanswered.'),
    cache: integer(0, MANY, 20_000, 'Answers kept in memory, each for its time to live.'),
  }),

  delivery: group('Delivering mail to other servers.', {
    port: integer(1, 65_535, 25, "Port of the recipients' servers."),
    allow_networks: list(
      cidr(undefined, ''),
      'networks',
      [],
      'Loopback, private or otherwise special networks that may be delivered to nevertheless.',
    ),
    retry: list(
      duration(['1s', '30d'], undefined, ''),
      'durations',
      ['5m', '10m', '15m', '30m', '1h', '2h', '4h'],
      'Waits after the first, second, … temporary failure; the last one repeats.',
      { dev: ['5s', '15s', '1m', '5m'] },
    ),
    expire_after: duration(['1s', '365d'], '5d', 'Mail submitted by SMTP is given up after this time.'),
    api_expire_after: duration(
      ['1s', '365d'],
      '8h',
      'Mail submitted by the API is given up after this time, unless `o:deliver-within` says otherwise.',
    ),
    schedule_horizon: duration(['1m', '365d'], '7d', 'How far ahead a message may be scheduled.'),
    time_zone: text(
      'a time zone such as "Europe/Berlin"',
      (given) => timeZoneNamed(given) !== undefined,
      'UTC',
      'Time zone of recipients for whom `o:time-zone-localize` finds none.',
    ),
    sources: tables(
      {
        name: optional(string(undefined, 'name in events and metrics; default: the address')),
        address: optional(ip('local address to send from')),
        ehlo: optional(host(undefined, 'name in EHLO; default: `smtp.hostname`')),
        pool: string('default', 'pool it belongs to'),
        cap_per_day: optional(
          integer(1, 1_000_000_000, undefined, 'recipients that it may send to in any 24 hours, all nodes together, while it is warmed up'),
        ),
      },
      'Local addresses that mail leaves from, in pools. Default: one source, whose address the system chooses.',
    ),
    routes: tables(
      {
        match: required(
          text(
            'a domain, "*.domain" or "*"',
            isDomainPattern,
            undefined,
            'recipient domain; `*.example.org` for those below it, `*` for all',
          ),
        ),
        host: required(
          text('a host name or an IP address', (given) => isHostName(given) || ipaddr.isValid(given), undefined, 'the smart host'),
        ),
        port: integer(1, 65_535, 25, 'its port'),
        tls: choice(['none', 'opportunistic', 'required', 'implicit'], 'opportunistic', 'how TLS is used'),
        username: optional(string(undefined, 'login')),
        password: optional(string(undefined, 'its password', { isSecret: true })),
      },
      'Recipient domains that go to a smart host instead of their MX. The first match counts.',
    ),
    shaping: tables(
      {
        match: required(
          text(
            'a domain, "*.domain" or "*"',
            isDomainPattern,
            undefined,
            'recipient domain or receiving site; `*.example.org` for those below it, `*` for all',
          ),
        ),
        connections: optional(integer(1, 10_000, undefined, 'connections at once')),
        rate: optional(rate(undefined, 'messages in a time, such as "100/s"')),
        messages_per_connection: optional(integer(1, MANY, undefined, 'messages on one connection')),
      },
      'Limits for certain destinations. The first match counts.',
    ),
    ceilings: tables(
      {
        match: required(
          text(
            'a domain, "*.domain" or "*"',
            isDomainPattern,
            undefined,
            'recipient domain, receiving site or one of its hosts; `*.example.org` for those below it, `*` for all',
          ),
        ),
        rate: required(
          rate(undefined, 'recipients in a time, such as "100/s" or "20000/d": no stretch of that time sees more, wherever it begins'),
        ),
        source: optional(string(undefined, 'only what leaves from this source')),
        pool: optional(string(undefined, 'only what leaves from this pool')),
      },
      'What all nodes together may send to certain destinations, over and above the limits of each lane. Every match counts, and all that a rule matches counts together.',
    ),
    connections_per_site: integer(1, 10_000, 20, 'Connections at once to one receiving site, from one source.'),
    connections_total: integer(1, MANY, 1_000, 'Connections at once to all sites.'),
    connection_idle: duration(['0s', '10m'], '5s', 'A connection without work is kept open this long for the next message.'),
    messages_per_connection: integer(1, MANY, 100, 'Messages sent on one connection before it is closed.'),
    rate_per_site: optional(rate(undefined, 'Messages in a time to one receiving site, such as "100/s". Default: no limit.')),
    suspend_after: integer(1, 1_000, 5, 'Connection failures in a row after which a destination is left alone for a while.'),
    suspend_min: duration(['1s', '1d'], '30s', 'First suspension; each further one lasts twice as long.'),
    suspend_max: duration(['1s', '7d'], '30m', 'Longest suspension.'),
    ready_memory: size(['1MB', '64GB'], '64MB', 'Mail held in memory while it waits for a connection; the rest waits on disk.'),
    ready_recipients: integer(10, 10_000_000, 20_000, 'Recipients held in memory while they wait for a connection.'),
    timeouts: group('Time-outs of the client side. (RFC 5321 §4.5.3.2)', {
      connect: duration(POSITIVE, '30s', 'Connecting to one address.'),
      greeting: duration(POSITIVE, '5m', 'The greeting.'),
      command: duration(POSITIVE, '5m', 'The reply to a command.'),
      data: duration(POSITIVE, '3m', 'Any progress while the message is sent, and the reply to DATA.'),
      dot: duration(POSITIVE, '10m', 'The reply to the end of the message. Too short a time makes duplicates.'),
    }),
  }),

  bounces: group('What is told later of mail that other servers took: bounces and complaints.', {
    return_path: choice(
      ['auto', 'off'],
      'auto',
      'Whether mail leaves with a return path of ours, `bounce+TOKEN@`, so that later bounces are told as events. auto: where `smtp.inbound` receives mail and the domain, its `mailfrom_host` or `bounces.domain` leads here. off: they go to the sender that the mail was submitted with.',
    ),
    domain: optional(
      host(
        undefined,
        'Domain of return paths for sender domains that do not lead here themselves. Its MX must be this installation. Default: none.',
      ),
    ),
    feedback_id: flag(
      true,
      'Add a `Feedback-ID`, by which mailbox providers tell complaints apart, to mail that has none: tag, domain, kind of message and a name for this installation.',
    ),
    rate_per_source: rate(
      '600/m',
      'Reports in a time from one client address (IPv6: from one /64), on this node; further ones are put off.',
    ),
  }),

  tracking: group('Opens and clicks that are counted.', {
    human_after: duration(
      ['0s', '10m'],
      '3s',
      'What opens a message or follows a link sooner after it was handed over is taken for a machine (scanners look at links before people do) and marked so.',
    ),
  }),

  unsubscribe: group('How recipients unsubscribe.', {
    header: choice(
      ['tracked', 'batches', 'off'],
      'tracked',
      'Which mail gets `List-Unsubscribe` and `List-Unsubscribe-Post`, by which mailbox providers offer a button. tracked: of domains whose unsubscribe tracking is on, with a variable such as `%unsubscribe_url%`, and to mailing lists. batches: also what is sent with recipient variables. off: none. A field of the sender stays as it is.',
    ),
    scope: choice(
      ['all', 'tags'],
      'all',
      "What that button unsubscribes from. all: every message of the domain. tags: those with one of the message's tags. On mail to a mailing list it leaves the list.",
    ),
  }),

  webhooks: group('Posting to other servers over HTTP: webhooks, and copies for `o:archive-to`.', {
    allow_networks: list(
      cidr(undefined, ''),
      'networks',
      [],
      'Loopback, private or otherwise special networks that may be posted to nevertheless.',
      // On a laptop the application that is told of events runs beside us.
      { dev: ['127.0.0.0/8', '::1/128'] },
    ),
    timeout: duration(['100ms', '10m'], '30s', 'Longest time for one post with all its redirects, until the answer is complete.'),
    connect_timeout: duration(['10ms', '5m'], '10s', 'Connecting to one address, with the TLS handshake.'),
    retry: list(
      duration(['100ms', '30d'], undefined, ''),
      'durations',
      ['5m', '10m', '15m', '1h', '2h', '4h'],
      'Waits after the first, second, … post without success; the last one repeats until it is given up.',
    ),
    give_up_after: duration(['1s', '30d'], '9h', 'A webhook that could not be told of an event in this time is not told of it any more.'),
    log: duration(
      ['1h', '365d'],
      '3d',
      'How long the log of webhooks is kept: each attempt with its answer. What it has can be told again.',
    ),
    copies_give_up_after: duration(['1s', '30d'], '1d', 'A copy for `o:archive-to` that could not be posted in this time is given up.'),
    concurrency: integer(1, 1_000, 20, 'Posts at once to one server, for one account.'),
    connections: integer(1, 10_000, 400, 'Posts at once to all servers.'),
  }),

  sandbox: group('Catching mail instead of delivering it.', {
    capture: flag(false, 'Every delivery goes to a server inside the program, over real SMTP, and can be looked at by the API.', {
      dev: true,
    }),
    keep: integer(1, MANY, 1_000, 'Captured messages that are kept; the oldest go first.'),
  }),

  reports: REPORT_SETTINGS,

  domains: group('Sender domains.', {
    require_verification: flag(true, 'A domain sends only after its DKIM record was seen in DNS (`postrider domain verify`).', {
      dev: false,
    }),
    check_every: duration(
      ['1m', '30d'],
      '6h',
      'How often the DNS records of each domain are looked up. What broke since the last time is told in the log; a domain whose DKIM record is there becomes active.',
    ),
  }),

  dkim: group('Signing.', {
    sign: flag(true, 'Sign what is sent with the keys of its domain, unless `o:dkim` says no.'),
    bits: numberOf([2048, 3072, 4096], 2048, 'Length of new RSA keys.'),
    ed25519: flag(true, 'Make an Ed25519 key too, for a second signature (RFC 8463).'),
  }),

  retention: group('How long things are kept.', {
    bodies: duration(
      ['0s', '3650d'],
      '3d',
      'Message content, after its last recipient is settled. On PostgreSQL contents of a day that has more than 256 MB of them go together, up to 30 hours later.',
    ),
    events: duration(['1h', '3650d'], '30d', 'Events. On PostgreSQL they go a day at a time.'),
    idempotency: duration(['1m', '30d'], '1d', 'Idempotency keys.'),
    reports: duration(
      ['1d', '3650d'],
      '400d',
      'Reports of other servers on your domains (DMARC, TLS), after the time that they are about.',
    ),
  }),

  limits: group('Limits on what clients send.', {
    message_size: size(['1KB', '256MB'], '25MB', 'Largest message.'),
    recipients_per_message: integer(1, 100_000, 1_000, 'Recipients of one message.'),
    connections: integer(1, MANY, 2_000, 'SMTP connections open at once.'),
    connections_per_address: integer(1, MANY, 200, 'SMTP connections open at once from one client address.'),
    messages_per_connection: integer(1, 10_000_000, 10_000, 'Messages on one SMTP connection.'),
    errors_per_connection: integer(
      1,
      1_000,
      20,
      'Refused commands after which an SMTP connection is closed; recipients that are refused are not counted, since a list may have many bad addresses.',
    ),
    login_failures_per_connection: integer(1, 100, 5, 'Failed logins after which an SMTP connection is closed.'),
    commands_without_auth: integer(5, 1_000, 30, 'Commands that a submission client may give before it has authenticated.'),
    header_size: size(['4KB', '16MB'], '512KB', 'Largest header of a message, all fields together.'),
    received_hops: integer(5, 1_000, 50, 'Received fields in a message, more of which are taken for a loop.'),
    recipients_per_hour: optional(
      integer(
        1,
        1_000_000_000,
        undefined,
        'Recipients that an account is accepted for in an hour of the clock (UTC), all nodes together. `postrider account limit` gives one account another. Default: no limit.',
      ),
    ),
    recipients_per_day: optional(integer(1, 10_000_000_000, undefined, 'The same for a day (UTC).')),
    requests_per_second: optional(
      integer(
        1,
        1_000_000,
        undefined,
        'API requests of an account in a second, all nodes together; more are answered 429. Default: no limit, for requests cost little, and what they may send is bounded by recipients.',
      ),
    ),
    tags_per_message: integer(1, 100, 3, 'Tags of one message; further ones are dropped.'),
    memory: size(
      ['16MB', '64GB'],
      '64MB',
      'Messages being received at once, together; further ones are put off with a temporary reply. Those from other servers take half at most.',
    ),
  }),

  log: group('The log, on standard error.', {
    level: choice(['debug', 'info', 'warn', 'error'], 'info', 'Least important level that is written.'),
    format: choice(['json', 'text'], 'json', 'One JSON object for each line, or plain text.', { dev: 'text' }),
  }),
});

export type ConfigOf<K> = {
  readonly [P in keyof K & string as ConfigName<P, K[P]>]: K[P] extends Setting<infer V, string>
    ? V
    : K[P] extends { readonly keys: infer N }
      ? ConfigOf<N>
      : never;
};

export interface NamedSetting {
  /** "delivery.timeouts.connect" */
  readonly key: string;
  /** "POSTRIDER_DELIVERY_TIMEOUTS_CONNECT" */
  readonly environment: string;
  readonly setting: AnySetting;
}

/** Every setting with its full key, in the order of the table. */
export const ALL_SETTINGS: readonly NamedSetting[] = flatten(SETTINGS, '');

function flatten(within: Group, prefix: string): NamedSetting[] {
  return Object.entries(within.keys).flatMap(([name, entry]) => {
    const key = prefix + name;
    if ('isGroup' in entry) return flatten(entry, `${key}.`);
    return [{ key, environment: `POSTRIDER_${key.replaceAll('.', '_').toUpperCase()}`, setting: entry }];
  });
}
