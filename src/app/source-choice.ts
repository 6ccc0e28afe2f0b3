/**
 * Which source a recipient leaves from: the address or the pool that its message names, else the addresses or the pool of its domain, else the pool that was lent to its account,
 * else the pool "default" of the configuration. A domain may leave the choice of its pool to how its mail fares (accounts/dynamic-pools). Among several they take turns. An address or a pool that is gone, or has nothing of this node, leaves the choice to us rather
 * than the mail waiting for ever.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { EgressSource } from '#model/egress.ts';
import type { WorkItem } from '#queue/work-item.ts';
import type { DomainStore, IpPool } from '#store/domain-store.ts';
import { DYNAMIC_POOL } from '#store/egress-store.ts';
import type { Domain } from '#store/store.ts';

const ACCOUNTS_MAX = 10_000;
/** A changed pool takes effect within this. */
const CACHE_MS = 2000;

interface Pools {
  readonly own: readonly IpPool[];
  readonly lent: IpPool | undefined;
}

export interface SourceChoiceParts {
  readonly sources: readonly EgressSource[];
  readonly domains: Pick<DomainStore, 'listPools' | 'poolLentTo'>;
  readonly domainById: (id: number) => Promise<Domain | undefined>;
  /** Of a domain whose pool is chosen by how its mail fares; undefined: there is none for it. */
  readonly dynamicAddresses?: (domain: Domain) => Promise<readonly string[] | undefined>;
  /** Nothing more may leave from it today. */
  readonly isUsedUp?: (source: EgressSource) => boolean;
  readonly clock: Clock;
}

export interface SourceChoice {
  sourceFor(item: WorkItem): EgressSource | undefined | Promise<EgressSource | undefined>;
  /** o:sending-ip-pool: by its name or its id. */
  mayUsePool(accountId: number, pool: string): Promise<boolean>;
}

export function createSourceChoice({
  sources,
  domains,
  domainById,
  dynamicAddresses,
  isUsedUp = () => false,
  clock,
}: SourceChoiceParts): SourceChoice {
  const known = new BoundedCache<number, Pools>({ max: ACCOUNTS_MAX, ttlMs: CACHE_MS });
  const bands = new BoundedCache<number, readonly string[]>({ max: ACCOUNTS_MAX, ttlMs: CACHE_MS });
  const [only] = sources;

  async function poolsOf(accountId: number): Promise<Pools> {
    const cached = known.get(accountId, clock.monotonicMs());
    if (cached !== undefined) return cached;
    const [own, lent] = await Promise.all([domains.listPools(accountId), domains.poolLentTo(accountId)]);
    const pools = { own, lent };
    known.set(accountId, pools, clock.monotonicMs());
    return pools;
  }

  const configured = (pool: string): readonly EgressSource[] => sources.filter((source) => source.pool === pool);
  const at = (ips: readonly string[]): readonly EgressSource[] =>
    sources.filter(({ address }) => address !== undefined && ips.includes(address));

  async function poolNamed(accountId: number, name: string): Promise<IpPool | undefined> {
    const { own, lent } = await poolsOf(accountId);
    return [...own, ...(lent === undefined ? [] : [lent])].find((pool) => pool.id === name || pool.name === name);
  }

  async function dynamicOf(domain: Domain): Promise<readonly string[]> {
    const cached = bands.get(domain.id, clock.monotonicMs());
    if (cached !== undefined) return cached;
    const ips = (await dynamicAddresses?.(domain)) ?? [];
    bands.set(domain.id, ips, clock.monotonicMs());
    return ips;
  }

  async function wanted({ message }: WorkItem): Promise<readonly EgressSource[]> {
    const { sendingIp, sendingIpPool } = message.info.options;
    if (sendingIp !== undefined) return at([sendingIp]);
    if (sendingIpPool !== undefined) {
      const named = configured(sendingIpPool);
      return named.length > 0 ? named : at((await poolNamed(message.accountId, sendingIpPool))?.ips ?? []);
    }
    const domain = await domainById(message.domainId);
    const { ips = [], poolId = '' } = domain?.settings ?? {};
    if (ips.length > 0) return at(ips);
    if (domain !== undefined && poolId === DYNAMIC_POOL) return at(await dynamicOf(domain));
    const { lent } = await poolsOf(message.accountId);
    const pool = poolId === '' ? lent : await poolNamed(message.accountId, poolId);
    return pool === undefined ? configured('default') : at(pool.ips);
  }

  return {
    sourceFor(item) {
      if (sources.length < 2) return only;
      return wanted(item).then((found) => {
        const named = found.length > 0 ? found : sources;
        // What an address that is being warmed up may not send today leaves from the others, where there are any.
        const free = named.filter((source) => !isUsedUp(source));
        const choice = free.length > 0 ? free : named;
        return choice[item.recipient.id % choice.length];
      });
    },
    mayUsePool: async (accountId, pool) => configured(pool).length > 0 || (await poolNamed(accountId, pool)) !== undefined,
  };
}
