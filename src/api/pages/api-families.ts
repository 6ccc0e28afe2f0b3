/** The API's endpoints by what they are about, as /docs shows them. An endpoint belongs to the first family whose pattern its path has; one that nobody claims stands under "More". */

export interface Family {
  /** In the page's path. */
  readonly name: string;
  readonly title: string;
  readonly about: string;
}

const FAMILIES: readonly (Family & { readonly pattern: RegExp })[] = [
  {
    name: 'messages',
    title: 'Messages',
    about: 'Sending, what was stored, what is scheduled, and where a message is.',
    pattern: /^\/v3\/(?:domains\/)?\{domain\}\/(?:messages|envelopes|sending_queues)|^\/v1\/(?:messages|scheduled|queue)/,
  },
  { name: 'captured', title: 'Captured mail', about: 'What was sent while nothing leaves the machine.', pattern: /^\/v1\/sandbox\// },
  {
    name: 'events',
    title: 'Events and logs',
    about: 'What happened to mail, event by event.',
    pattern: /^\/v3\/\{domain\}\/events|\/analytics\/logs/,
  },
  {
    name: 'statistics',
    title: 'Statistics and tags',
    about: 'What happened to mail, counted.',
    pattern: /\/stats|\/analytics|\/aggregates|\/tags?(?:\/|$)|bounce-classification|\/limits\/tag/,
  },
  {
    name: 'suppressions',
    title: 'Suppressions',
    about: 'Addresses that get no mail, and why; files that are read into lists.',
    pattern: /\/(?:bounces|unsubscribes|complaints|whitelists|imports)(?:\/|$)/,
  },
  { name: 'lists', title: 'Mailing lists', about: 'Lists and their members.', pattern: /^\/v3\/lists/ },
  { name: 'templates', title: 'Templates', about: 'Templates and their versions.', pattern: /\/templates/ },
  {
    name: 'webhooks',
    title: 'Webhooks',
    about: 'Who is told of events over HTTP, and what was told.',
    pattern: /^(?!\/v1\/alerts\/).*webhook/,
  },
  { name: 'inbound', title: 'Mail that comes in', about: 'Routes and forwards.', pattern: /\/routes|\/forwards/ },
  {
    name: 'keys',
    title: 'Keys, people and logins',
    about: 'Who may do what, and from where.',
    pattern: /^\/v1\/keys|\/users|\/credentials|\/ip[_/]whitelist|http[_/]signing[_/]key|auth[_/]recipients/,
  },
  { name: 'accounts', title: 'Accounts', about: 'The account, its subaccounts and their limits.', pattern: /\/v5\/accounts/ },
  {
    name: 'addresses',
    title: 'IP addresses and pools',
    about: 'Where mail leaves from.',
    pattern: /\/ips?(?:\/|$)|ip_pools|ip_warmups|dynamic_pools|\/pool/,
  },
  {
    name: 'domains',
    title: 'Domains',
    about: 'Domains with their DNS records, DKIM keys, tracking and settings.',
    pattern: /\/domains|\/dkim|x509|dmarc|tls-reports/,
  },
  { name: 'validation', title: 'Validation of addresses', about: 'Whether an address is likely to take mail.', pattern: /\/address/ },
  { name: 'alerts', title: 'Alerts and thresholds', about: 'Limits that you set yourself, and who is told.', pattern: /thresholds|alerts/ },
  { name: 'nodes', title: 'Nodes', about: 'The servers of the installation.', pattern: /\/nodes/ },
];
const MORE: Family = { name: 'more', title: 'More', about: 'What belongs nowhere else.' };

/** In the order of the page. */
export function families(): readonly Family[] {
  return [...FAMILIES, MORE];
}

export function familyOf(path: string): Family {
  return FAMILIES.find(({ pattern }) => pattern.test(path)) ?? MORE;
}
