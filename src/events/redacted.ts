/**
 * An event as webhooks are told of it where an account wants no personal data told (`webhooks_redact_pii`). Of persons nothing is left: local parts and display names of addresses, subjects, names of files,
 * network addresses, browsers, places below the country, what follows the path of a link, texts of servers (which quote addresses). What is the sender's own stays, so that a receiver can still say which of its
 * messages it is: ids, tags, variables, domains, codes. What is not named here as staying is not told: a field that is new is left out until somebody has thought about it.
 */

type Shown = Readonly<Record<string, unknown>>;

export const REDACTED = 'redacted';

const KEPT = [
  'event',
  'id',
  'timestamp',
  'log-level',
  'severity',
  'reason',
  'method',
  'api-key-id',
  'flags',
  'storage',
  'recipient-domain',
  'recipient-provider',
  'tags',
  'campaigns',
  'user-variables',
  'batch',
  'mailing-list',
  'template',
];
const KEPT_OF_STATUS = [
  'code',
  'enhanced-code',
  'attempt-no',
  'session-seconds',
  'retry-seconds',
  'bounce-type',
  'possible-duplicate',
  'mx-host',
  'tls',
];
const KEPT_OF_CLIENT = ['client-type', 'client-os', 'device-type', 'client-name', 'bot'];

type Treatment = (value: unknown) => unknown;

const TREATMENTS: Readonly<Record<string, Treatment>> = {
  ...kept(KEPT),
  recipient: addresses,
  envelope: within({ ...kept(['transport', 'sending-ip']), sender: addresses, targets }),
  message: within({
    ...kept(['size', 'scheduled-for']),
    headers: within({ ...kept(['message-id']), from: addresses, to: addresses, subject: () => REDACTED }),
    attachments: each(within({ ...kept(['content-type', 'size']), filename: () => REDACTED })),
    recipients: each(addresses),
  }),
  'delivery-status': within({
    ...kept([...KEPT_OF_STATUS, 'certificate-verified', 'utf8']),
    message: () => '',
    description: () => '',
  }),
  // An expression is the owner's own, and names whom it is about.
  routes: each(within({ ...kept(['id']), expression: () => REDACTED, match: within({ recipient: addresses }) })),
  url: withoutQuery,
  geolocation: within({ ...kept(['country']), region: () => 'Unknown', city: () => 'Unknown' }),
  'client-info': within({ ...kept(KEPT_OF_CLIENT), 'user-agent': () => REDACTED }),
};

/** Of what `mailgunEvent` makes. */
export const redacted = within(TREATMENTS) as (event: Shown) => Record<string, unknown>;

function kept(names: readonly string[]): Record<string, Treatment> {
  return Object.fromEntries(names.map((name) => [name, (value: unknown) => value]));
}

function within(treatments: Readonly<Record<string, Treatment>>): Treatment {
  const known = new Map(Object.entries(treatments));
  return (value) =>
    typeof value !== 'object' || value === null
      ? {}
      : Object.fromEntries(
          Object.entries(value).flatMap(([name, one]): [string, unknown][] => {
            const treatment = known.get(name);
            return treatment === undefined ? [] : [[name, treatment(one)]];
          }),
        );
}

function each(treatment: Treatment): Treatment {
  return (value) => (Array.isArray(value) ? value.map(treatment) : []);
}

/** Quotes around names and local parts may hold anything. One that is not closed goes on to the end, or each of many would be looked for to there. */
const QUOTED = /"(?:[^"\\]|\\.)*"?/gs;
const BARE = /^[^\s@<>]+@([^\s@<>]+)$/;
const NAMED = /<[^\s@<>]+@([^\s@<>]+)>$/;

/** One address or several, bare or with names: their domains are told, in their order. Text that is no address is not. */
function addresses(value: unknown): string {
  const text = String(value);
  if (text === '') return '';
  const domains = text
    .replace(QUOTED, 'q')
    .split(',')
    .map((part) => (BARE.exec(part.trim()) ?? NAMED.exec(part.trim()))?.[1]);
  return domains.map((domain) => (domain === undefined ? REDACTED : `${REDACTED}@${domain}`)).join(', ');
}

/** Who it went to: a recipient, or a URL, which may have been made of one. */
function targets(value: unknown): string {
  const text = String(value);
  return /^https?:/i.test(text) ? (URL.parse(text)?.origin ?? REDACTED) : addresses(text);
}

function withoutQuery(value: unknown): string {
  const url = URL.parse(String(value));
  return url === null || url.origin === 'null' ? REDACTED : `${url.origin}${url.pathname}`;
}
