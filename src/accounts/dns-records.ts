/**
 * The records that a domain's owner publishes, exactly as they must stand in DNS, and whether what stands there will do. Pure: the
 * look-up is the caller's.
 */
import { dkimName, dkimRecord } from '#mail/dkim.ts';
import type { DkimKey, Domain } from '#store/store.ts';

export interface DnsRecord {
  readonly purpose: 'dkim' | 'spf' | 'dmarc' | 'mx' | 'tracking';
  readonly type: 'TXT' | 'MX' | 'CNAME';
  /** Full name, without a dot at the end. */
  readonly name: string;
  readonly value: string;
  /** Of an MX: its preference. */
  readonly priority?: number;
  /** The value in strings of at most 255 octets, as the DNS carries it (RFC 1035 §3.3.14). */
  readonly strings: readonly string[];
  /** A line for a zone file. */
  readonly zoneLine: string;
  /** A domain is verified only with it. */
  readonly isRequired: boolean;
  /** Of a DKIM key: mail is signed with it. */
  readonly isSigning?: boolean;
  readonly advice: string;
}

/** Where mail leaves from, for SPF. */
export interface Sending {
  readonly hostname: string;
  readonly addresses: readonly string[];
  /** Where DMARC reports are taken, at each domain whose mail comes here; absent: nowhere. */
  readonly dmarcMailbox?: string;
}

export type RecordState = 'ok' | 'missing' | 'different' | 'unknown';

export interface RecordCheck {
  readonly record: DnsRecord;
  readonly state: RecordState;
  readonly found: readonly string[];
  /** In words, what is wrong. */
  readonly trouble?: string;
}

/** `authority`: whose keys they are. */
export function recordsOf(domain: Domain, keys: readonly DkimKey[], sending: Sending, authority = domain): DnsRecord[] {
  return [
    ...keys.map((key) => keyRecord(authority, key)),
    record(
      'spf',
      domain.name,
      spfValue(sending),
      false,
      'If the domain has an SPF record already, add the part between v=spf1 and ~all to it: there may be only one.',
    ),
    record(
      'dmarc',
      `_dmarc.${domain.name}`,
      `v=DMARC1; p=none${reportsTo(domain, sending)}`,
      false,
      'Asks receivers to compare From with the signature. Begin with p=none; go on to quarantine or reject when all mail of the domain is signed. Reports come to the address in rua=.',
    ),
  ];
}

/** Where the domain's mail was seen to come here. */
function reportsTo({ name, dnsAnswers }: Domain, { dmarcMailbox }: Sending): string {
  const isHere = dnsAnswers?.[`mx ${name}`]?.state === 'ok';
  return dmarcMailbox === undefined || !isHere ? '' : `; rua=mailto:${dmarcMailbox}@${name}`;
}

/** For receiving mail, and for links and pixels of a host under the domain: both point to us. */
export function hostRecordsOf(domain: Domain, hostname: string): { readonly mx: DnsRecord; readonly tracking: DnsRecord } {
  const tracking = `${webPrefixOf(domain)}.${domain.name}`;
  const host = { value: hostname, strings: [hostname], isRequired: false };
  return {
    mx: {
      ...host,
      purpose: 'mx',
      type: 'MX',
      name: domain.name,
      priority: MX_PREFERENCE,
      zoneLine: `${domain.name}. IN MX ${MX_PREFERENCE} ${hostname}.`,
      advice: 'Only where this server is to receive the mail of the domain.',
    },
    tracking: {
      ...host,
      purpose: 'tracking',
      type: 'CNAME',
      name: tracking,
      zoneLine: `${tracking}. IN CNAME ${hostname}.`,
      advice: 'For links and opens that are counted, and for unsubscribe links.',
    },
  };
}

/** For notifications of mail that others took: the host under the domain that they go to (`mailfrom_host`), where its owner chose one. */
export function returnRecordsOf(domain: Domain, sending: Sending): { readonly mx: DnsRecord; readonly spf: DnsRecord } | undefined {
  const name = mailFromName(domain);
  if (name === undefined) return undefined;
  const { mx } = hostRecordsOf({ ...domain, name }, sending.hostname);
  return {
    mx: {
      ...mx,
      advice: 'Bounces that come later arrive here. Until this record is seen, they go to the address that the mail was sent with.',
    },
    spf: record('spf', name, spfValue(sending), false, 'The envelope of the mail bears this name, and SPF is asked about it.'),
  };
}

function mailFromName({ name, settings }: Domain): string | undefined {
  const host = settings?.mailfromHost ?? '';
  return host === '' ? undefined : `${host}.${name}`;
}

/** The domain that notifications of this one's mail can go to: one whose MX was found to be us. */
export function returnDomainOf(domain: Domain): string | undefined {
  return [mailFromName(domain), domain.name].find((name) => name !== undefined && domain.dnsAnswers?.[`mx ${name}`]?.state === 'ok');
}

const MX_PREFERENCE = 10;

export function webPrefixOf({ settings }: Domain): string {
  return settings?.webPrefix ?? 'email';
}

/** Under which its answer is kept. */
export function answerKey({ purpose, name }: DnsRecord): string {
  return `${purpose} ${name}`;
}

export function keyRecord(domain: Domain, key: DkimKey): DnsRecord {
  const advice =
    key.state === 'signing' ? 'Signs the mail of this domain.' : 'Part of a rotation: keep it in DNS until it is no longer listed here.';
  // An Ed25519 signature is the second one: without its record a receiver uses the other (RFC 8463 §3).
  const made = record(
    'dkim',
    dkimName(key.selector, domain.name),
    dkimRecord(key.algorithm, key.publicKey),
    key.algorithm === 'rsa' && key.state === 'signing',
    advice,
  );
  return { ...made, isSigning: key.state === 'signing' };
}

function spfValue({ hostname, addresses }: Sending): string {
  const terms =
    addresses.length > 0 ? addresses.map((address) => `${address.includes(':') ? 'ip6' : 'ip4'}:${address}`) : [`a:${hostname}`];
  return `v=spf1 ${terms.join(' ')} ~all`;
}

function record(purpose: DnsRecord['purpose'], name: string, value: string, isRequired: boolean, advice: string): DnsRecord {
  const strings = value.match(/.{1,255}/gs) ?? [];
  const quoted = strings.map((part) => `"${part.replace(/["\\]/g, '\\$&')}"`).join(' ');
  return {
    purpose,
    type: 'TXT',
    name,
    value,
    strings,
    zoneLine: `${name}. IN TXT ${strings.length > 1 ? `( ${quoted} )` : quoted}`,
    isRequired,
    advice,
  };
}

/** `found`: the TXT values, or the hosts, under the record's name; undefined: the look-up gave no answer. */
export function checkRecord(wanted: DnsRecord, found: readonly string[] | undefined): RecordCheck {
  if (found === undefined) return { record: wanted, state: 'unknown', found: [], trouble: 'DNS gave no answer; try again' };
  if (wanted.purpose === 'dkim') return checkDkim(wanted, found);
  if (wanted.type !== 'TXT') return checkHost(wanted, found);
  const mark = wanted.purpose === 'spf' ? /^v=spf1(?: |$)/i : /^v=DMARC1(?: *;|$)/i;
  const marked = found.filter((value) => mark.test(value));
  const [only] = marked;
  if (only === undefined) return { record: wanted, state: 'missing', found: [], trouble: 'no such record' };
  if (marked.length > 1)
    return { record: wanted, state: 'different', found: marked, trouble: 'there is more than one; receivers then ignore them all' };
  if (wanted.purpose === 'dmarc') return { record: wanted, state: 'ok', found: marked };
  const terms = new Set(only.toLowerCase().split(/ +/));
  const absent = wanted.value
    .split(' ')
    .slice(1, -1)
    .filter((term) => !terms.has(term) && !terms.has(`+${term}`));
  if (absent.length === 0) return { record: wanted, state: 'ok', found: marked };
  return { record: wanted, state: 'different', found: marked, trouble: `it does not name ${absent.join(' ')} (an include: may do so)` };
}

function checkHost(wanted: DnsRecord, found: readonly string[]): RecordCheck {
  if (found.length === 0) return { record: wanted, state: 'missing', found, trouble: 'no such record' };
  if (found.includes(wanted.value)) return { record: wanted, state: 'ok', found };
  return { record: wanted, state: 'different', found, trouble: `it points to ${found.join(', ').slice(0, 200)}` };
}

function checkDkim(wanted: DnsRecord, found: readonly string[]): RecordCheck {
  const records = found.filter((value) => /(?:^|;)\s*p\s*=/i.test(value));
  const [only] = records;
  if (only === undefined) return { record: wanted, state: 'missing', found, trouble: 'no such record' };
  if (records.length > 1)
    return { record: wanted, state: 'different', found: records, trouble: 'there is more than one; receivers may take either' };
  const [have, want] = [tags(only), tags(wanted.value)];
  if (have.get('p') !== want.get('p')) return { record: wanted, state: 'different', found: records, trouble: 'it holds another key' };
  if ((have.get('k') ?? 'rsa') !== want.get('k'))
    return { record: wanted, state: 'different', found: records, trouble: 'its k= names another kind of key' };
  return { record: wanted, state: 'ok', found: records };
}

/** RFC 6376 §3.2: tag=value pairs; white space inside a value of p= is of no meaning. */
function tags(value: string): ReadonlyMap<string, string> {
  const pairs = value.slice(0, 4096).split(';');
  return new Map(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, Math.max(at, 0)).trim(), pair.slice(at + 1).replace(/\s+/g, '')] as const;
    }),
  );
}
