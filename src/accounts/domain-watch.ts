/**
 * What is done for domains without anybody asking: their records are looked up again from time to time, and what broke since is told in the log; DKIM keys are changed
 * where the owner wants that; what a deleted domain leaves is taken away once its mail is settled. Any number of nodes may do it: each domain is checked by one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { repeat } from '#base/repeat.ts';
import { dkimName } from '#mail/dkim.ts';
import type { DomainStore } from '#store/domain-store.ts';
import type { Domain } from '#store/store.ts';
import type { Accounts } from './accounts.ts';
import type { Verification } from './domains.ts';

const LOOK_MS = 30_000;
const CHECKS_AT_ONCE = 20;
const DELETED_AT_ONCE = 20;
const PURGE_ROWS = 1000;
const PURGE_PAUSE_MS = 50;
/** Whether a deleted domain has mail left costs as much as the queue is long. */
const QUEUE_LOOK_MS = 300_000;
const DAY_MS = 86_400_000;

export interface DomainWatchOptions {
  readonly domains: DomainStore;
  readonly accounts: Pick<Accounts, 'domainKeys' | 'rotateDkim'>;
  readonly verify: (domain: Domain) => Promise<Verification>;
  /** Records broke, or are right again; either may be empty. Never rejects. */
  readonly changed?: (domain: Domain, broken: Verification['broken'], mended: Verification['mended']) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  /** How often a domain is looked up; undefined: never. */
  readonly checkMs: number | undefined;
  /** How often is looked for what there is to do; default 30 s. */
  readonly lookMs?: number;
}

export function startDomainWatch(options: DomainWatchOptions): { stop(): Promise<void> } {
  const watch = new Watch(options);
  return repeat({
    async round(stopped) {
      const isMore = await watch.check(stopped);
      await watch.purge(stopped);
      return isMore;
    },
    pauseMs: options.lookMs ?? LOOK_MS,
    log: options.log,
    trouble: 'domains cannot be looked after at the moment',
  });
}

class Watch {
  readonly #options: DomainWatchOptions;
  /** Deleted domains that had mail left, and when that is looked at again. */
  readonly #waiting = new Map<number, number>();

  constructor(options: DomainWatchOptions) {
    this.#options = options;
  }

  /** True: there may be more that are due. */
  async check(signal: AbortSignal): Promise<boolean> {
    const { domains, clock, checkMs } = this.#options;
    if (checkMs === undefined) return false;
    const due = await domains.claimDnsChecks(clock.nowMs() - checkMs, clock.nowMs(), CHECKS_AT_ONCE);
    for (const domain of due) {
      if (signal.aborted) return false;
      // Nothing of a sandbox is in DNS.
      if (domain.type === 'sandbox') continue;
      await this.#checkOne(domain);
    }
    return due.length === CHECKS_AT_ONCE;
  }

  async #checkOne(domain: Domain): Promise<void> {
    const { log, verify } = this.#options;
    await this.#rotateIfDue(domain);
    const { broken, mended, isRotated, domain: now } = await verify(domain);
    for (const { record, trouble } of broken) {
      log.warn(
        { domain: domain.name, record: record.name, type: record.type, purpose: record.purpose, trouble },
        'a DNS record of a domain broke',
      );
    }
    for (const { record } of mended)
      log.info({ domain: domain.name, record: record.name, type: record.type }, 'a DNS record of a domain is right again');
    if (broken.length + mended.length > 0) await this.#options.changed?.(domain, broken, mended);
    if (now.state !== domain.state) log.info({ domain: domain.name, state: now.state }, 'a domain was found verified');
    if (isRotated) log.info({ domain: domain.name }, 'the new DKIM keys of a domain were seen in DNS and sign from now on');
  }

  async #rotateIfDue(domain: Domain): Promise<void> {
    const { accounts, clock, log } = this.#options;
    const days = domain.settings?.rotationDays ?? 0;
    if (days === 0 || domain.state !== 'active') return;
    const keys = await accounts.domainKeys(domain);
    const youngestMs = Math.max(0, ...keys.filter(({ state }) => state !== 'inactive').map(({ createdMs }) => createdMs));
    if (youngestMs + days * DAY_MS > clock.nowMs()) return;
    const made = await accounts.rotateDkim(domain);
    log.warn(
      { domain: domain.name, records: made.map(({ selector }) => dkimName(selector, domain.name)) },
      'new DKIM keys were made, as the domain wishes from time to time: publish their records, then they sign',
    );
  }

  async purge(signal: AbortSignal): Promise<void> {
    const { domains, clock, log } = this.#options;
    const deleted = await domains.deletedDomains(DELETED_AT_ONCE);
    const isListed = new Set(deleted.map(({ id }) => id));
    for (const id of this.#waiting.keys()) if (!isListed.has(id)) this.#waiting.delete(id);
    for (const { id, accountId, name } of deleted) {
      if ((this.#waiting.get(id) ?? 0) > clock.monotonicMs()) continue;
      if (await domains.hasQueued(accountId, id)) {
        this.#waiting.set(id, clock.monotonicMs() + QUEUE_LOOK_MS);
        continue;
      }
      while (!signal.aborted && !(await domains.purgeDomain(id, PURGE_ROWS))) await sleep(PURGE_PAUSE_MS);
      if (!signal.aborted) log.info({ domain: name }, 'what a deleted domain left is gone; its events stay as long as others');
    }
  }
}
