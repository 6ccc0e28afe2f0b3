/**
 * The addresses that are being warmed up, as this process knows them: what each may send today, and whether that is used up. Plans are read every few seconds, so that one that is
 * made or given up takes effect on all nodes; stages are looked at once a minute, and whichever node comes first moves one on.
 */
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import type { EgressStore, WarmUp } from '#store/egress-store.ts';
import type { GateLimit } from './gate.ts';
import type { Purse } from './purse.ts';
import { afterLook, ceilingName, STAGE_MS, warmUpCeiling } from './warm-up.ts';

const READ_EVERY_MS = 2000;
const LOOK_EVERY_MS = 60_000;
/** A plan may be given up at any time: what waits for it is looked at again so soon. */
const LOOK_AGAIN_MS = 12_000;

export interface WarmUpsOptions {
  readonly store: Pick<EgressStore, 'listWarmUps' | 'putWarmUp' | 'endWarmUp' | 'givenSince'>;
  readonly purse: Pick<Purse, 'deniedUntilMs'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Default: two seconds. */
  readonly readEveryMs?: number;
}

interface Known {
  readonly warmUp: WarmUp;
  readonly limit: GateLimit;
}

export class WarmUps {
  readonly #options: WarmUpsOptions;
  #known: ReadonlyMap<string, Known> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #isTroubled = false;

  constructor(options: WarmUpsOptions) {
    this.#options = options;
  }

  /** Resolves when the plans are known: mail that would exceed one must not leave before. */
  async start(): Promise<void> {
    await this.#run();
    this.#timer = setInterval(() => void this.#run(), this.#options.readEveryMs ?? READ_EVERY_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#reading;
  }

  /** What mail from this address counts against; undefined: it is not being warmed up. The same object as long as it is the same limit. */
  limitOf(address: string | undefined): GateLimit | undefined {
    return address === undefined ? undefined : this.#known.get(address)?.limit;
  }

  /** Nothing more may leave from it for now, as far as is known here. */
  isUsedUp(address: string | undefined): boolean {
    const limit = this.limitOf(address);
    return limit !== undefined && this.#options.purse.deniedUntilMs(limit.ceiling) !== undefined;
  }

  /** Never rejects. */
  #run(): Promise<void> {
    return (this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    }));
  }

  async #read(): Promise<void> {
    const { store, clock, log } = this.#options;
    try {
      const all = await store.listWarmUps();
      this.#known = new Map(all.map((warmUp) => [warmUp.address, this.#knownOf(warmUp)]));
      if (clock.monotonicMs() - this.#lookedMs >= LOOK_EVERY_MS) {
        this.#lookedMs = clock.monotonicMs();
        for (const warmUp of all) await this.#look(warmUp);
      }
      this.#isTroubled = false;
    } catch (error) {
      // What was known goes on to hold.
      if (!this.#isTroubled) log.warn({ error: errorText(error) }, 'warm-ups cannot be read for now');
      this.#isTroubled = true;
    }
  }

  #knownOf(warmUp: WarmUp): Known {
    const ceiling = warmUpCeiling(warmUp);
    const before = this.#known.get(warmUp.address);
    if (before?.limit.ceiling.count === ceiling.count) return { warmUp, limit: before.limit };
    return { warmUp, limit: { ceiling, reason: 'warm-up', lookAgainMs: LOOK_AGAIN_MS } };
  }

  async #look(warmUp: WarmUp): Promise<void> {
    const { store, clock, log } = this.#options;
    const nowMs = clock.nowMs();
    const { address, stage, plan } = warmUp;
    const next = afterLook(warmUp, await store.givenSince(ceilingName(address), nowMs - STAGE_MS), nowMs);
    if (next === undefined) return;
    if (next === 'completed') {
      if (await store.endWarmUp(address)) log.info({ address, stages: plan.length }, 'an address is warmed up');
    } else if (await store.putWarmUp(next, stage)) {
      log.info({ address, stage: next.stage, perDay: plan[next.stage - 1] }, 'an address that is warmed up may send more from now on');
    }
  }
}
