/**
 * A lane: one egress source and one receiving site, with the connections and the pace that the site accepts. It has one owner at a time (P11): this object.
 *
 * States, and how each is entered and left:
 *   starting   at creation and after a suspension; one connection is allowed, one more for each of the first few that open and for each transaction that succeeds → running when the limit is
 *              reached (a limit of one is reached at once)
 *   running    all connections are allowed → starting when a connection is refused while others work
 *   suspended  after `suspendAfter` connection failures in a row; nothing is tried and what waits is returned → starting when the time is over
 *   draining   the node stops: what waits is returned, running transactions end → (gone)
 *
 * The lane decides when and how many; how a connection is made and a message handed over is `delivery`'s, given as functions.
 */
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import { jitter } from '#base/random.ts';
import type { ConnectFailure, ConnectResult, DeliveryJob, DeliverySession } from '#model/delivery.ts';
import type { Route, TlsDemand } from '#model/egress.ts';
import type { Priority } from '#model/message.ts';
import type { Outcome } from '#model/outcome.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import { type Ceilings, Flow } from './flow.ts';
import { LaneQueue, type Queued } from './lane-queue.ts';

export interface LaneItem extends Queued {
  readonly tls: TlsDemand;
}

export interface LaneLimits {
  readonly connectionsMax: number;
  /** Connections that a new lane opens, one after another, without waiting for a transaction to succeed. Default 1. */
  readonly openedFirst?: number;
  readonly messagesPerConnection: number;
  /** Messages per minute, a transaction of several recipients being one; absent: no limit. */
  readonly ratePerMinute?: number;
  /** The time that the rate is counted in: none of that length sees more than its share. Default a minute. */
  readonly rateWindowMs?: number;
  readonly recipientsPerTransaction: number;
  /** Items that may wait in memory for each connection of the lane. */
  readonly readyPerConnection: number;
  readonly idleMs: number;
  /** Connection failures in a row until the lane is suspended. */
  readonly suspendAfter: number;
  readonly suspendMinMs: number;
  readonly suspendMaxMs: number;
}

export interface LaneDeps<T extends LaneItem> {
  readonly clock: Clock;
  connect(demand: TlsDemand, signal: AbortSignal): Promise<ConnectResult>;
  job(items: readonly T[]): DeliveryJob;
  /** Attempts may begin; when they may again, `Lane.again` is called. Absent: always. */
  mayBegin?(): boolean;
  /** Ceilings that its mail counts against and that others share. Its own: they are told to this lane alone. */
  readonly ceilings?: Ceilings;
  /** What came of items that were tried. Never rejects. */
  settled(items: readonly T[], outcomes: readonly Outcome[]): void;
  /** Items that are not tried now and leave memory. Never rejects. */
  returned(items: readonly T[], wait: WaitReason, dueAtMs: number): void;
  /** There is room again. */
  hasRoom(): void;
}

export type LaneState = 'starting' | 'running' | 'suspended' | 'draining';

export interface LaneReport {
  readonly lane: string;
  readonly site: string;
  readonly source: string;
  readonly state: LaneState;
  readonly connections: number;
  readonly connectionsAllowed: number;
  readonly connectionsMax: number;
  readonly waitingInMemory: number;
  readonly ratePerMinute?: number;
  readonly suspendedUntilMs?: number;
  readonly lastTrouble?: string;
  readonly delivered: number;
  readonly deferred: number;
  readonly failed: number;
  /** Why what waits here waits. */
  readonly wait: WaitReason;
}

const MINUTE_MS = 60_000;
/** Places that each account has in a lane for each priority, however full it is. */
const OWN_TURNS = 8;
/** What running transactions are given to end after they were cut. */
const CUT_MS = 3000;
/** Growth pauses this long after a connection was refused while others worked. */
const GROWTH_PAUSE_MS = 30_000;

export class Lane<T extends LaneItem> {
  readonly key: string;
  readonly route: Route;
  readonly source: string;
  readonly #limits: LaneLimits;
  readonly #deps: LaneDeps<T>;
  readonly #queue = new LaneQueue<T>();
  readonly #idle: { session: DeliverySession; timer: NodeJS.Timeout }[] = [];
  /** In use by a worker. */
  readonly #active = new Set<DeliverySession>();
  readonly #stop = new AbortController();
  readonly #flow: Flow;
  #state: LaneState = 'starting';
  /** Each has one connection, or is making it. */
  #workers = 0;
  /** Connections that are being closed: the receiving server counts them until they are gone, and so do we (P11). */
  #closing = 0;
  #allowed = 1;
  #onQuiet: (() => void) | undefined;
  #growAfterMs = 0;
  #failuresInRow = 0;
  #suspensions = 0;
  /** Monotonic: an operator who sets the clock back does not prolong it. */
  #suspendedUntilMs = 0;
  #isPumpDue = false;
  #lastTrouble: string | undefined;
  #siteTrouble: string | undefined;
  #counts = { delivered: 0, deferred: 0, failed: 0 };
  /** Monotonic; when it last had anything to do. */
  lastUsedMs: number;

  constructor(key: string, route: Route, source: string, limits: LaneLimits, deps: LaneDeps<T>) {
    this.key = key;
    this.route = route;
    this.source = source;
    this.#limits = limits;
    this.#deps = deps;
    this.lastUsedMs = deps.clock.monotonicMs();
    this.#startSlowly();
    this.#flow = new Flow(limits, deps.ceilings, deps.clock, () => this.#flowChanged());
  }

  /** Items that may still be put in; 0 while suspended or draining. */
  get room(): number {
    if (this.#state === 'draining' || this.isSuspended) return 0;
    const ready = Math.max(this.#limits.connectionsMax, this.#workers) * this.#limits.readyPerConnection;
    return Math.max(0, Math.min(ready, this.#flow.room) - this.#queue.size);
  }

  /** What one account may put in however full the lane is: nobody's backlog stands before another's receipt. */
  ownRoom(accountId: number, priority: Priority): number {
    if (this.#state === 'draining' || this.isSuspended || this.#flow.room === 0) return 0;
    return Math.max(0, OWN_TURNS - this.#queue.waitingOf(accountId, priority));
  }

  /** Why such an item waits here, and when to look again; undefined: none does. */
  waitOf(isWanted: (item: T) => boolean): { readonly reason: WaitReason; readonly untilMs: number } | undefined {
    return this.#queue.has(isWanted) ? this.wait : undefined;
  }

  /** Why it is suspended: what connecting met, which tells nothing of anybody's mail. */
  get siteTrouble(): string | undefined {
    return this.isSuspended ? this.#siteTrouble : undefined;
  }

  /** Items that wait in memory. */
  get waiting(): number {
    return this.#queue.size;
  }

  get isSuspended(): boolean {
    if (this.#state !== 'suspended') return false;
    if (this.#deps.clock.monotonicMs() < this.#suspendedUntilMs) return true;
    this.#startSlowly();
    return false;
  }

  /** Epoch ms. */
  #suspensionEndMs(): number {
    return this.#deps.clock.nowMs() + Math.ceil(this.#suspendedUntilMs - this.#deps.clock.monotonicMs());
  }

  #startSlowly(): void {
    this.#allowed = 1;
    this.#state = this.#limits.connectionsMax <= 1 ? 'running' : 'starting';
  }

  /** Nothing waits, runs or is kept open. */
  get isUnused(): boolean {
    return this.#workers === 0 && this.#closing === 0 && this.#queue.size === 0 && this.#idle.length === 0 && !this.isSuspended;
  }

  /** Why an item would wait here, and when to look again (epoch ms). */
  get wait(): { readonly reason: WaitReason; readonly untilMs: number } {
    const nowMs = this.#deps.clock.nowMs();
    if (this.#state === 'draining') return { reason: 'draining', untilMs: nowMs };
    if (this.isSuspended) return { reason: 'lane-suspended', untilMs: this.#suspensionEndMs() };
    if (this.#deps.mayBegin?.() === false) return { reason: 'lease-lapsed', untilMs: nowMs + 1000 };
    const reason = this.#state === 'starting' ? 'lane-starting' : 'lane-connections';
    return this.#flow.wait ?? { reason, untilMs: nowMs + 1000 };
  }

  put(item: T): void {
    this.lastUsedMs = this.#deps.clock.monotonicMs();
    if (this.#state === 'draining' || this.isSuspended || this.#flow.room === 0) {
      const { reason, untilMs } = this.wait;
      this.#deps.returned([item], reason, untilMs);
      return;
    }
    this.#queue.push(item);
    if (item.groupKey === 0) this.#pump();
    else this.#pumpTogether();
  }

  /** The recipients of one message come one after another in one turn of the event loop: they are to share a transaction, so it is begun after them. */
  #pumpTogether(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    setImmediate(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  report(): LaneReport {
    const suspended = this.isSuspended;
    return {
      lane: this.key,
      site: this.route.site,
      source: this.source,
      state: this.#state,
      connections: this.#workers + this.#idle.length + this.#closing,
      connectionsAllowed: this.#allowed,
      connectionsMax: this.#limits.connectionsMax,
      waitingInMemory: this.#queue.size,
      ratePerMinute: this.#limits.ratePerMinute,
      suspendedUntilMs: suspended ? this.#suspensionEndMs() : undefined,
      lastTrouble: this.#lastTrouble,
      ...this.#counts,
      wait: this.wait.reason,
    };
  }

  /** Returns what waits, lets transactions end within `deadlineMs`, then cuts what is left. */
  async drain(deadlineMs: number): Promise<void> {
    this.#state = 'draining';
    this.#flow.close();
    this.returnWaiting('draining');
    await Promise.all([this.closeIdle(), this.#quiet(deadlineMs)]);
    this.#stop.abort();
    await Promise.all([...this.#active].map((session) => session.close()));
    await this.#quiet(CUT_MS);
  }

  /** Attempts may begin again. */
  again(): void {
    this.#pump();
  }

  /** Returns what waits; transactions that run go on. */
  returnWaiting(wait: WaitReason, dueAtMs = this.#deps.clock.nowMs()): void {
    const items = this.#queue.drain();
    if (items.length > 0) this.#deps.returned(items, wait, dueAtMs);
  }

  /** Resolves when no worker is left, or when the time is over. */
  async #quiet(withinMs: number): Promise<void> {
    if (this.#workers === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#onQuiet = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Closes connections that stand idle. */
  async closeIdle(): Promise<void> {
    await Promise.all(
      this.#idle.splice(0).map(({ session, timer }) => {
        clearTimeout(timer);
        return this.#close(session);
      }),
    );
  }

  /** Never rejects. */
  async #close(session: DeliverySession): Promise<void> {
    this.#closing++;
    try {
      await session.close();
    } catch (error) {
      this.#troubledBy(error);
    } finally {
      this.#closing--;
      this.#pump();
    }
  }

  #troubledBy(error: unknown): void {
    this.#lastTrouble = errorText(error);
  }

  /** Starts workers while something waits and connections are allowed. */
  #pump(): void {
    while (this.#queue.size > 0 && this.#workers < this.#allowed && this.#state !== 'draining' && !this.isSuspended) {
      if (this.#idle.length === 0 && this.#workers + this.#closing >= this.#allowed) return;
      const items = this.#take();
      if (items === undefined) return;
      this.#workers++;
      this.#work(items, this.#takeIdle((items[0] as T).tls))
        .catch((error: unknown) => {
          // A bug of ours must not stop the lane: the worker's items are returned by #work itself.
          this.#troubledBy(error);
        })
        .finally(() => {
          if (--this.#workers === 0) this.#onQuiet?.();
          this.#pump();
          if (this.room > 0) this.#deps.hasRoom();
        });
    }
  }

  /** A connection that stands idle, if there is any: one that serves the demand, else one that gives way to one that does. */
  #takeIdle(demand: TlsDemand): DeliverySession | undefined {
    const position = this.#idle.findLastIndex(({ session }) => this.#mayReuse(session, demand));
    const [idle] = this.#idle.splice(position, 1);
    clearTimeout(idle?.timer);
    return idle?.session;
  }

  /** The next transaction's items, if the rate allows it now. */
  #take(): T[] | undefined {
    if (this.#queue.size === 0 || this.#deps.mayBegin?.() === false) return undefined;
    return this.#flow.pass(Math.min(this.#queue.size, this.#limits.recipientsPerTransaction), (max) => this.#queue.take(max));
  }

  /** What was held back may go on; or nothing will for so long that what waits is better off on disk. */
  #flowChanged(): void {
    const { reason, untilMs } = this.wait;
    if (this.#flow.room === 0) this.returnWaiting(reason, untilMs);
    this.#pump();
    if (this.#deps.ceilings !== undefined && this.room > 0) this.#deps.hasRoom();
  }

  /** One connection's life: transactions as long as there are any and it may be used. */
  async #work(first: T[], kept: DeliverySession | undefined): Promise<void> {
    let session = kept;
    let items: T[] | undefined = first;
    try {
      while (items !== undefined) {
        const demand = (items[0] as T).tls;
        if (session !== undefined && !this.#mayReuse(session, demand)) {
          await session.close();
          session = undefined;
        }
        if (session === undefined) {
          const result = await this.#deps.connect(demand, this.#stop.signal);
          if (result.kind === 'failed') {
            const failed = items;
            items = undefined;
            this.#connectFailed(failed, result);
            return;
          }
          session = result.session;
          this.#opened();
        }
        const outcomes = await this.#deliver(session, items);
        if (outcomes.every((outcome) => outcome.stale === true)) {
          // The server had closed the kept connection; nothing was tried. The next one is new.
          await session.close();
          session = undefined;
          continue;
        }
        const tried: T[] = items;
        items = undefined;
        if (outcomes.every((outcome) => outcome.withdrawn === true)) {
          this.#flow.untried(tried);
          this.#deps.returned(tried, 'lease-lapsed', this.#deps.clock.nowMs());
          return;
        }
        this.#tried(tried, outcomes);
        if (this.room > 0) this.#deps.hasRoom();
        if (this.#state !== 'draining') items = this.#take();
      }
    } catch (error) {
      if (items !== undefined) this.#deps.returned(items, 'our-fault', this.#deps.clock.nowMs() + MINUTE_MS);
      const broken = session;
      session = undefined;
      await broken?.close();
      throw error;
    } finally {
      if (session !== undefined) this.#keep(session);
    }
  }

  async #deliver(session: DeliverySession, items: readonly T[]): Promise<readonly Outcome[]> {
    this.#active.add(session);
    try {
      return await session.deliver(this.#deps.job(items));
    } finally {
      this.#active.delete(session);
    }
  }

  #mayReuse(session: DeliverySession, demand: TlsDemand): boolean {
    return session.isUsable && session.uses < this.#limits.messagesPerConnection && session.satisfies(demand);
  }

  #keep(session: DeliverySession): void {
    if (
      !session.isUsable ||
      session.uses >= this.#limits.messagesPerConnection ||
      this.#state === 'draining' ||
      this.#stop.signal.aborted
    ) {
      void this.#close(session);
      return;
    }
    const timer = setTimeout(() => {
      const position = this.#idle.findIndex((idle) => idle.session === session);
      if (position >= 0) this.#idle.splice(position, 1);
      void this.#close(session);
    }, this.#limits.idleMs);
    this.#idle.push({ session, timer });
  }

  #tried(items: readonly T[], outcomes: readonly Outcome[]): void {
    this.lastUsedMs = this.#deps.clock.monotonicMs();
    for (const outcome of outcomes) {
      this.#counts[outcome.disposition]++;
      if (outcome.disposition !== 'delivered') this.#lastTrouble = `${outcome.code} ${outcome.text}`.slice(0, 200);
    }
    if (outcomes.some((outcome) => outcome.disposition === 'delivered')) this.#succeeded();
    this.#deps.settled(items, outcomes);
  }

  /** So that one message which takes minutes does not hold up all others while the lane is new: the first few need no success. */
  #opened(): void {
    this.#failuresInRow = 0;
    if (this.#allowed < (this.#limits.openedFirst ?? 1)) this.#grow();
  }

  /** Slow start: each transaction that succeeds allows one connection more. */
  #succeeded(): void {
    this.#failuresInRow = 0;
    this.#suspensions = 0;
    this.#grow();
  }

  #grow(): void {
    if (this.#allowed >= this.#limits.connectionsMax || this.lastUsedMs < this.#growAfterMs) return;
    this.#allowed++;
    if (this.#allowed >= this.#limits.connectionsMax) this.#state = this.#state === 'starting' ? 'running' : this.#state;
    this.#pump();
  }

  #connectFailed(items: readonly T[], failure: ConnectFailure): void {
    const { outcome } = failure;
    this.#flow.untried(items);
    this.#lastTrouble = `${outcome.code} ${outcome.text}`.slice(0, 200);
    if (outcome.disposition === 'deferred' && (this.#state === 'draining' || this.isSuspended)) {
      // It was cut, or what others met meanwhile goes for it too: nothing was tried.
      const { reason, untilMs } = this.wait;
      this.#deps.returned(items, reason, untilMs);
      return;
    }
    // One message's demand says nothing about the site: others must not be held up by it.
    const isSiteAtFault = outcome.disposition === 'deferred' && failure.isDemandUnmet !== true;
    const othersWork = this.#workers > 1;
    if (isSiteAtFault && othersWork && !failure.isSiteDown) {
      // "Too many connections" and the like: the mail is not at fault. Be content with what works.
      this.#queue.putBack([...items]);
      this.#allowed = Math.max(1, this.#workers - 1);
      this.#growAfterMs = this.#deps.clock.monotonicMs() + GROWTH_PAUSE_MS;
      this.#state = this.#state === 'running' ? 'starting' : this.#state;
      return;
    }
    this.#counts[outcome.disposition] += items.length;
    this.#deps.settled(
      items,
      items.map(() => outcome),
    );
    if (!isSiteAtFault) return;
    this.#allowed = 1;
    if (++this.#failuresInRow >= this.#limits.suspendAfter) this.#suspend();
  }

  #suspend(): void {
    const { suspendMinMs, suspendMaxMs } = this.#limits;
    const forMs = Math.min(suspendMaxMs, suspendMinMs * 2 ** Math.min(this.#suspensions++, 20)) * jitter(0.1);
    this.#state = 'suspended';
    this.#siteTrouble = this.#lastTrouble;
    this.#suspendedUntilMs = this.#deps.clock.monotonicMs() + Math.round(forMs);
    // The first failure after the suspension suspends again.
    this.#failuresInRow = this.#limits.suspendAfter - 1;
    this.returnWaiting('lane-suspended', this.#suspensionEndMs());
  }
}
