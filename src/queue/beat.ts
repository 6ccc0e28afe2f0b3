/**
 * The heartbeat of this node, and what follows from it: how long its leases are its own, what an operator wants of it, and whose leases it takes over.
 *
 * A lease is held from the moment that the last beat which was answered had been sent, by monotonic time, for the lease less a margin; the store counts from when it
 * heard of it, which is later. So the node knows that it may have been given up before any other may take its mail, also when it was stopped and woken, or cannot reach the
 * store. `tenure` counts how often it lost its leases: what was leased under an earlier one is not its own any more, whatever has not been settled.
 *
 * Others are declared lost only by a node whose own beats have been regular for a lease: when it has just started, after the store was away, or its clock was set, everybody first gets the time to be heard.
 */
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import type { Beat, NodeStore } from '#store/store.ts';

export interface BeatOptions {
  readonly nodes: NodeStore;
  readonly log: Log;
  readonly leaseMs: number;
  readonly everyMs: number;
  /** Nobody else can take this node's leases: they are held whatever the beats do. */
  readonly isAlone: boolean;
  monotonicMs(): number;
  /** The machine's own clock: one that has gone further than monotonic time may tell of a machine that slept. */
  wallMs(): number;
  /** What is told with the next beat. */
  state(): 'running' | 'draining' | 'drained';
  /** The answer's time, with when it was asked and received (monotonic); gives by how much the clock was moved. */
  follow(theirMs: number, sentMs: number, receivedMs: number): number;
  /** What an operator wants, with each beat. */
  wanted(wanted: Beat['wanted']): void;
  /** The leases were lost: what is in memory is not this node's own any more. */
  lost(): void;
  /** Attempts may begin again. */
  held(): void;
  /** Other nodes' recipients were put back and are due. */
  tookOver(recipients: number): void;
}

/** Of the lease: what clocks that run unevenly, and the way from the decision to the wire, may take. */
const MARGIN = 0.1;
/** Beats that may be under way, so that one that hangs does not stop all. */
const UNDERWAY_MAX = 2;
/** Whether a beat is due, and whether the machine may have slept, is looked at so often. */
const LOOK_MS = 1000;
/** The store's clock, or the machine's, has been set. */
const STEP_MS = 1000;

export class Heartbeat {
  readonly #options: BeatOptions;
  #timer: NodeJS.Timeout | undefined;
  #underway = 0;
  #ended: (() => void) | undefined;
  #isStopped = false;
  /** Monotonic, and by the machine's clock: when the last answered beat was sent. */
  #sentMs = Number.NEGATIVE_INFINITY;
  #sentWallMs = 0;
  /** Monotonic: when the last beat was sent. */
  #beganMs = 0;
  /** Monotonic: since when beats have been regular. */
  #regularSinceMs = Number.NEGATIVE_INFINITY;
  #hasFailed = false;
  #isTakingOver = false;
  #wasHeld = false;
  #tenure = 1;

  constructor(options: BeatOptions) {
    this.#options = options;
  }

  /** Counts up when leases are lost. */
  get tenure(): number {
    return this.#tenure;
  }

  /** Attempts may begin: nobody else can have been given what this node has leased. */
  get isHeld(): boolean {
    const { isAlone, monotonicMs } = this.#options;
    return isAlone || (this.isHeard && !this.#mayHaveSlept(monotonicMs() - this.#sentMs));
  }

  /** The store was heard of within the time of a lease; otherwise what it is asked is likely to hang. */
  get isHeard(): boolean {
    const { isAlone, leaseMs, monotonicMs } = this.#options;
    return isAlone || monotonicMs() - this.#sentMs < leaseMs * (1 - MARGIN);
  }

  /** Monotonic time stands still while a machine sleeps. Somebody may as well have set the clock: the next beat tells. */
  #mayHaveSlept(sinceMs: number): boolean {
    return this.#options.wallMs() - this.#sentWallMs - sinceMs > STEP_MS;
  }

  /** The first beat; rejects when it is not answered. */
  async start(): Promise<void> {
    await this.#beat();
    this.#timer = setInterval(() => this.#look(), Math.min(LOOK_MS, this.#options.everyMs));
  }

  /** No more beats; the last ones have been answered or given up. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    if (this.#underway > 0) await new Promise<void>((resolve) => (this.#ended = resolve));
  }

  /** There is something to tell, or to learn. */
  now(): void {
    if (this.#isStopped || this.#timer === undefined || this.#underway >= UNDERWAY_MAX) return;
    this.#beat().catch((error: unknown) => this.#failed(error));
  }

  #look(): void {
    this.#tellWhenLapsed();
    const nowMs = this.#options.monotonicMs();
    if (nowMs - this.#beganMs >= this.#options.everyMs || this.#mayHaveSlept(nowMs - this.#sentMs)) this.now();
  }

  #tellWhenLapsed(): void {
    const { log, leaseMs } = this.#options;
    if (this.#wasHeld && !this.isHeld)
      log.warn({ leaseMs }, 'the lease of this node has run out: nothing new is tried until the store answers');
    this.#wasHeld = this.isHeld;
  }

  #failed(error: unknown): void {
    if (!this.#hasFailed) {
      this.#options.log.warn({ error: errorText(error) }, 'the store does not answer the beat of this node');
    }
    this.#hasFailed = true;
    this.#tellWhenLapsed();
  }

  async #beat(): Promise<void> {
    const { nodes, monotonicMs, wallMs, state } = this.#options;
    const sentMs = monotonicMs();
    this.#beganMs = sentMs;
    const sentWallMs = wallMs();
    this.#underway++;
    try {
      this.#answered(await nodes.beat(state()), sentMs, sentWallMs);
    } finally {
      this.#underway--;
      if (this.#underway === 0) this.#ended?.();
    }
    if (!this.#isStopped) await this.#takeOver();
  }

  #answered(beat: Beat, sentMs: number, sentWallMs: number): void {
    const { monotonicMs, follow, lost, held, wanted, log, everyMs } = this.#options;
    const movedMs = follow(beat.nowMs, sentMs, monotonicMs());
    // The first one is late too: who has just come knows nothing of the others yet.
    const isLate = sentMs - this.#sentMs > 2 * everyMs;
    if (this.#hasFailed || isLate || Math.abs(movedMs) > STEP_MS) this.#regularSinceMs = sentMs;
    this.#hasFailed = false;
    const wasHeld = this.isHeld;
    if (sentMs > this.#sentMs) {
      this.#sentMs = sentMs;
      this.#sentWallMs = sentWallMs;
    }
    if (beat.wasLost) {
      this.#tenure++;
      log.warn(
        { node: this.#options.nodes.id },
        'this node had been given up as lost; what it had leased is with others, and it goes on under a new id',
      );
      lost();
    }
    this.#wasHeld = this.isHeld;
    if (this.#wasHeld && (beat.wasLost || !wasHeld)) held();
    wanted(beat.wanted);
  }

  async #takeOver(): Promise<void> {
    const { nodes, leaseMs, log, monotonicMs, tookOver } = this.#options;
    if (this.#isTakingOver || monotonicMs() - this.#regularSinceMs < leaseMs) return;
    this.#isTakingOver = true;
    try {
      const recipients = await nodes.takeOver(leaseMs);
      if (recipients === 0) return;
      log.warn({ recipients }, 'another node was not heard of for a lease; what it had leased is due again and may be repeated');
      tookOver(recipients);
    } catch (error) {
      log.warn({ error: errorText(error) }, 'lost nodes cannot be looked for at the moment');
    } finally {
      this.#isTakingOver = false;
    }
  }
}
