/**
 * `store.url`: which store, and where. `sqlite:PATH` is the embedded one; `postgres://USER:PASSWORD@HOST:PORT/DATABASE` (or postgresql://) is PostgreSQL, with the meanings
 * that libpq gives to its parts: several hosts, separated by commas, are tried in turn; `host=/run/postgresql` is a socket's directory; sslmode says what is asked of TLS.
 * A part that is not understood is a mistake and not passed over. No sentence of this file tells a password.
 */
import { StoreError } from './store.ts';

export interface HostPort {
  /** A name, an address, or the directory of a socket (with "/" first). */
  readonly host: string;
  readonly port: number;
}

/** disable: none. require: encrypted, by whoever answers. verify-ca: by a server of that authority. verify-full: and of that name. */
export type TlsMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

export interface PostgresPlace {
  readonly kind: 'postgres';
  readonly hosts: readonly HostPort[];
  readonly database: string;
  readonly user: string;
  /** Absent: as libpq finds it (PGPASSWORD, ~/.pgpass), or none is needed. */
  readonly password?: string;
  /** `isChosen`: the URL says it. Files: PEM. */
  readonly tls: {
    readonly mode: TlsMode;
    readonly isChosen: boolean;
    readonly rootCert?: string;
    readonly cert?: string;
    readonly key?: string;
  };
}

export interface SqlitePlace {
  readonly kind: 'sqlite';
  readonly path: string;
}

export type StorePlace = SqlitePlace | PostgresPlace;

const HOSTS_MAX = 16;
const PORT = 5432;
const TLS_MODES: readonly string[] = ['disable', 'require', 'verify-ca', 'verify-full'];
const PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'host', 'port', 'user', 'password', 'dbname', 'target_session_attrs'];

/** `expected`: the end of a sentence that begins "expected". */
export type ParsedUrl = { readonly place: StorePlace } | { readonly expected: string };

export function parseStoreUrl(url: string): ParsedUrl {
  if (url.startsWith('sqlite:')) {
    const path = url.slice('sqlite:'.length);
    if (path === '') return { expected: 'the path of a file after "sqlite:"' };
    return { place: { kind: 'sqlite', path } };
  }
  if (/^postgres(ql)?:\/\//.test(url)) return parsePostgres(url);
  return { expected: '"sqlite:PATH" or "postgres://USER:PASSWORD@HOST:PORT/DATABASE"' };
}

/** For what has passed the check of the settings. */
export function storePlace(url: string): StorePlace {
  const parsed = parseStoreUrl(url);
  if ('place' in parsed) return parsed.place;
  throw new StoreError('io', `store.url is ${shownUrl(url)}; expected ${parsed.expected}`);
}

function parsePostgres(url: string): ParsedUrl {
  // Not by the class URL: it knows neither lists of hosts nor sockets, and quotes what it refuses, password and all.
  const [, login, hosts = '', path, query = ''] = /^\w+:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(url) ?? [url];
  if (/[\s#]/.test(url) || login?.includes('@') === true)
    return { expected: 'no space, "#" or second "@" in it (write %20, %23, %40 in a password)' };
  const given = new Map<string, string>();
  const unread = [query, login ?? '', path ?? '', hosts].some((part) => decode(part) === undefined);
  if (unread) return { expected: 'only percent signs that begin an escape, such as %40 (write %25 for one alone)' };
  for (const pair of query.split('&').filter((part) => part !== '')) {
    const name = pair.split('=', 1)[0] as string;
    if (!PARAMETERS.includes(name)) return { expected: `no parameter but ${PARAMETERS.join(', ')} (given ${JSON.stringify(name)})` };
    given.set(name, decode(pair.slice(name.length + 1)) as string);
  }
  const colon = login?.indexOf(':') ?? -1;
  const user = given.get('user') ?? decode(colon < 0 ? (login ?? '') : (login as string).slice(0, colon));
  const password = given.get('password') ?? (colon < 0 ? undefined : decode((login as string).slice(colon + 1)));
  const database = given.get('dbname') ?? decode(path ?? '');
  if (user === undefined || user === '') return { expected: 'a user: "postgres://USER@HOST/DATABASE"' };
  if (database === undefined || database === '') return { expected: 'the name of a database: "postgres://USER@HOST/DATABASE"' };
  const places = readHosts(hosts, given);
  if (places === undefined) return { expected: `1 to ${HOSTS_MAX} hosts, each with a port from 1 to 65535 or none: "HOST:PORT,HOST:PORT"` };
  const tls = readTls(given, places);
  if ('expected' in tls) return tls;
  if (!['read-write', 'primary', 'any', undefined].includes(given.get('target_session_attrs')))
    return { expected: 'target_session_attrs=read-write, which is what this program looks for in any case' };
  return {
    place: { kind: 'postgres', hosts: places, database, user, ...(password === undefined || password === '' ? {} : { password }), tls },
  };
}

function readHosts(inUrl: string, given: ReadonlyMap<string, string>): HostPort[] | undefined {
  const named = given.get('host') ?? inUrl;
  const ports = given.get('port')?.split(',') ?? [];
  const hosts = (named === '' ? 'localhost' : named).split(',').map((text, position) => {
    const port = ports[position] ?? ports[0];
    if (given.has('host') && !text.includes(']')) return hostPort(text.replace(/^\[(.*)\]$/, '$1'), port);
    const [, ip6, name, own] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(text) ?? [];
    return hostPort(ip6 ?? decode(name ?? '') ?? '', own ?? port);
  });
  return hosts.length > HOSTS_MAX || hosts.includes(undefined) ? undefined : (hosts as HostPort[]);
}

function hostPort(host: string, port: string | undefined): HostPort | undefined {
  const number = port === undefined || port === '' ? PORT : Number(port);
  return host !== '' && Number.isInteger(number) && number >= 1 && number <= 65_535 ? { host, port: number } : undefined;
}

function readTls(given: ReadonlyMap<string, string>, hosts: readonly HostPort[]): PostgresPlace['tls'] | { readonly expected: string } {
  const asked = given.get('sslmode');
  const [rootCert, cert, key] = [given.get('sslrootcert'), given.get('sslcert'), given.get('sslkey')];
  const files = { ...(rootCert !== undefined && { rootCert }), ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
  if (asked === undefined) {
    if (Object.keys(files).length > 0) return { expected: `sslmode=verify-full beside a file for TLS` };
    return { mode: 'disable', isChosen: hosts.every(isHere) };
  }
  // libpq's "prefer" and "allow" go on without encryption when somebody on the way says that there is none.
  if (!TLS_MODES.includes(asked)) return { expected: `sslmode=${TLS_MODES.join(' or ')}` };
  if ((cert === undefined) !== (key === undefined)) return { expected: 'both sslcert and sslkey, or neither' };
  // As in libpq: who names an authority wants it to be looked at.
  const mode = asked === 'require' && rootCert !== undefined ? 'verify-ca' : (asked as TlsMode);
  if (asked === 'verify-ca' && rootCert === undefined)
    return {
      expected: 'sslrootcert beside sslmode=verify-ca (any server of any public authority would do otherwise); or sslmode=verify-full',
    };
  return { mode, isChosen: true, ...files };
}

/** What is said there does not leave this machine. */
function isHere({ host }: HostPort): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** For logs and sentences: without what is secret. */
export function shownUrl(url: string): string {
  return url.replace(/^(\w+:\/\/[^:/?#]*:).*@/s, '$1***@').replace(/([?&](?:password|sslkey)=)[^&]*/gi, '$1***');
}

/** "postrider on db1:5432,db2:5432", for sentences. */
export function shownPlace(place: StorePlace): string {
  if (place.kind === 'sqlite') return place.path;
  return `${place.database} on ${place.hosts.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)).join(', ')}`;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // a percent sign that begins no escape
  }
}
