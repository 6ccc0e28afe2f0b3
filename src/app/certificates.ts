/**
 * Joins certificates to the rest: whose host may have one and whether it leads here, what handshakes are answered with, and who looks after them. Every node serves what stands in the
 * store; nodes with the service `web` obtain it, once the operator has agreed to the authority's terms.
 */
import { readFileSync } from 'node:fs';
import type { SecureContext } from 'node:tls';
import type { Accounts } from '#accounts/accounts.ts';
import { hostRecordsOf } from '#accounts/dns-records.ts';
import type { InstanceSecret } from '#accounts/instance-secret.ts';
import type { ApiCertificates } from '#api/deps.ts';
import type { ApiTls } from '#api/tls-server.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { createAcmeHttp } from '#certificates/acme-http.ts';
import { startKeeper } from '#certificates/keeper.ts';
import { ServedCertificates } from '#certificates/served.ts';
import { createResolver, type Resolver } from '#dns/resolver.ts';
import type { Domain, Store } from '#store/store.ts';
import type { Config } from './config.ts';
import { programVersion } from './program-version.ts';
import type { Services } from './services.ts';
import { type OwnPair, TlsError } from './tls.ts';

const STOP_MS = 5000;
/** What failed is not tried sooner than so long after the last time, whoever asks. */
const AGAIN_MS = 300_000;

export interface CertificateParts {
  readonly config: Config;
  readonly store: Pick<Store, 'certificates'>;
  readonly secret: InstanceSecret;
  readonly accounts: Pick<Accounts, 'domainById'>;
  readonly services: Services;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Certificates {
  /** undefined: none are obtained here. */
  readonly ofApi: ApiCertificates | undefined;
  /** The doors are open: what is due is obtained from now on. */
  begin(): void;
  /** The domain was looked up in DNS, or changed. Never rejects. */
  noted(domain: Domain): Promise<void>;
  /** Accounts whose changes of tracking hosts are noted. */
  noting<A extends Pick<Accounts, 'changeDomain'>>(accounts: A): A;
  /** undefined: certificates are not this installation's business. */
  hasCertificate(host: string): boolean | undefined;
  /** For listeners that have one name. */
  forName(name: string, own: () => OwnPair): () => SecureContext;
  forDoor(own: () => OwnPair): ApiTls;
}

export function startCertificates(parts: CertificateParts): Certificates {
  const { config, secret, accounts, services, clock, log } = parts;
  const { acme } = config.tls;
  const store = parts.store.certificates;
  const served = new ServedCertificates({ store, vault: secret, clock, log });
  const names = acme.names.map((name) => name.toLowerCase());
  const email = acme.acceptTerms ? acme.email : undefined;
  let ring = (): void => undefined;

  const resolver = createResolver({
    servers: config.dns.servers,
    timeoutMs: config.dns.timeoutMs,
    tries: config.dns.tries,
    cacheMax: 0,
    clock,
  });
  services.add({ name: 'certificate look-ups', stopMs: STOP_MS, stop: async () => resolver.close() });
  const publicName = URL.parse(config.http.publicUrl ?? '')?.hostname;
  const ours = [...new Set([config.smtp.hostname.toLowerCase(), ...(publicName === undefined ? [] : [publicName]), ...names])];
  const leadsElsewhere = (host: string): Promise<string | undefined> => elsewhere(resolver, host, ours);

  function begin(): void {
    if (email === undefined || !config.node.services.includes('web')) return;
    const keeper = startKeeper({
      store,
      vault: secret,
      http: createAcmeHttp({
        userAgent: `postrider/${programVersion()}`,
        ...(acme.caFile !== undefined && { authorities: read(acme.caFile) }),
      }),
      directory: acme.directory,
      email,
      names,
      isOwned: async ({ name, domainId }) => (domainId === 0 ? names.includes(name) : isThere(await accounts.domainById(domainId))),
      // A name of ours is the operator's word.
      leadsElsewhere: async (name, isOwn) => (isOwn ? undefined : leadsElsewhere(name)),
      obtained: (name) => served.forget(name),
      clock,
      log,
    });
    ring = keeper.ring;
    services.add({ name: 'certificates', stopMs: STOP_MS, stop: () => keeper.stop() });
  }

  async function want(domain: Domain, host: string): Promise<void> {
    await store.wantCertificate(host, domain.id, clock.nowMs());
    ring();
  }

  async function consider(domain: Domain): Promise<void> {
    if (email === undefined || domain.type !== 'custom' || domain.settings?.webScheme !== 'https') return;
    const { tracking } = hostRecordsOf(domain, config.smtp.hostname);
    if ((await leadsElsewhere(tracking.name)) === undefined) await want(domain, tracking.name);
  }

  async function noted(domain: Domain): Promise<void> {
    try {
      await consider(domain);
    } catch (error) {
      log.warn(
        { domain: domain.name, error: String(error) },
        'a certificate for a domain could not be asked for; it is again when its DNS is looked up',
      );
    }
  }

  return {
    ofApi: email === undefined ? undefined : { leadsElsewhere, want, hasten },
    begin,
    noted,
    noting: (given) => ({
      ...given,
      async changeDomain(domain, change) {
        const changed = await given.changeDomain(domain, change);
        if (change.settings?.webScheme !== undefined || change.settings?.webPrefix !== undefined) void noted(changed);
        return changed;
      },
    }),
    hasCertificate: (host) =>
      email === undefined && config.http.tlsListen.length === 0 ? undefined : served.peek(host.toLowerCase()) !== undefined,
    forName: (name, own) => () => served.peek(name.toLowerCase()) ?? own().context,
    forDoor: (own) => ({ own, contextFor: (host) => served.contextFor(host) }),
  };

  async function hasten(host: string): Promise<void> {
    const found = await store.certificateOf(host);
    if (found === undefined) return;
    await store.hastenCertificate(host, Math.max(clock.nowMs(), found.triedMs + AGAIN_MS));
    ring();
  }
}

/** Deleted ones are known as long as they have mail. */
function isThere(domain: Domain | undefined): boolean {
  return domain !== undefined && domain.deletedMs === undefined;
}

/** A CNAME to one of our names, or our addresses. */
async function elsewhere(resolver: Resolver, host: string, ours: readonly string[]): Promise<string | undefined> {
  const cname = await resolver.cname(host);
  if (cname.kind === 'found' && cname.records.some((target) => ours.includes(target))) return undefined;
  const own = `it does not lead to ${ours[0]}`;
  const found = await resolver.addresses(host);
  if (found.kind === 'trouble') return `DNS gave no answer for ${host}`;
  if (found.kind !== 'found') return `${own}: it has no address in DNS`;
  const answers = await Promise.all(ours.map((name) => resolver.addresses(name)));
  const addresses = new Set(answers.flatMap((answer) => (answer.kind === 'found' ? answer.records : [])));
  if (found.records.every((address) => addresses.has(address))) return undefined;
  return `${own}, but to ${(cname.kind === 'found' ? cname.records : found.records).join(', ').slice(0, 200)}`;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new TlsError(`tls.acme.ca_file: ${file} cannot be read (${String((error as NodeJS.ErrnoException).code)})`);
  }
}
