/**
 * This process as a node among others: it beats, keeps the time that all nodes share, stops and goes on as an operator wants, and knows whether it may take mail.
 *
 * States: running → draining (an operator asked for it: no mail is taken, what waits is given back, what is being sent is finished) → drained (nothing is left) → running
 * (asked for again). Stopping is draining too, and ends with the store, which then counts the node as stopped.
 */
import { systemClock, type Clock } from '#base/clock.ts';
import { FollowedClock } from '#base/followed-clock.ts';
import type { Log } from '#base/log.ts';
import { AppError } from '#model/errors.ts';
import { Heartbeat } from '#queue/beat.ts';
import type { Leases } from '#queue/leases.ts';
import type { NodeFacts, NodeService, NodeState, Store } from '#store/store.ts';
import type { Config } from './config.ts';
import type { Pipeline } from './pipeline.ts';
import { programVersion } from './program-version.ts';

export interface NodeParts {
  readonly config: Config;
  readonly log: Log;
  readonly store: Pick<Store, 'nodes' | 'health' | 'onBell'>;
  /** Other nodes may use the store too: leases run out, and the store's clock is everybody's. */
  readonly isShared: boolean;
}

/** Beats in the time of a lease: three may go missing. */
const BEATS_PER_LEASE = 4;
/** How often a node that drains looks whether anything is left. */
const DRAIN_LOOK_MS = 200;

export class ThisNode {
  readonly clock: Clock;
  readonly #parts: NodeParts;
  readonly #heartbeat: Heartbeat;
  #pipeline: Pipeline | undefined;
  #state: Extract<NodeState, 'running' | 'draining' | 'drained'> = 'running';
  #isStopping = false;
  #drainTimer: NodeJS.Timeout | undefined;

  private constructor(parts: NodeParts) {
    const { config, log, store, isShared } = parts;
    this.#parts = parts;
    const followed = isShared ? new FollowedClock(() => systemClock.monotonicMs()) : undefined;
    this.clock = followed ?? systemClock;
    this.#heartbeat = new Heartbeat({
      nodes: store.nodes,
      log,
      leaseMs: config.store.leaseMs,
      everyMs: config.store.leaseMs / BEATS_PER_LEASE,
      isAlone: !isShared,
      monotonicMs: () => systemClock.monotonicMs(),
      wallMs: () => systemClock.nowMs(),
      state: () => this.#state,
      follow: (theirMs, sentMs, receivedMs) => followed?.follow(theirMs, sentMs, receivedMs) ?? 0,
      wanted: (wanted) => this.#wanted(wanted),
      lost: () => this.#later(this.#pipeline?.letGo()),
      held: () => this.#pipeline?.again(),
      tookOver: () => this.#pipeline?.claimer.ring(),
    });
  }

  /** With the first beat: its clock goes, and it is known to the others. */
  static async start(parts: NodeParts): Promise<ThisNode> {
    const node = new ThisNode(parts);
    await node.#heartbeat.start();
    return node;
  }

  get leases(): Leases {
    return this.#heartbeat;
  }

  does(service: NodeService): boolean {
    return this.#parts.config.node.services.includes(service);
  }

  /** Asked neither to drain nor to stop. */
  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /** Begins to deliver, if this node does. */
  deliverWith(pipeline: Pipeline): void {
    this.#pipeline = pipeline;
    this.#parts.store.onBell(() => pipeline.claimer.ring());
    if (this.does('deliver') && this.#state === 'running') pipeline.begin();
  }

  /** Why no mail is taken now; undefined: it is. */
  refusal(): AppError | undefined {
    const { store, isShared } = this.#parts;
    // The doors finish what they are receiving, and close.
    if (this.#isStopping) return undefined;
    if (this.#state !== 'running') return new AppError('not-accepting');
    // The embedded store tells with each write what is the matter with it.
    if (isShared && !(store.health().isWritable && this.#heartbeat.isHeard)) return new AppError('store-unavailable');
    return undefined;
  }

  /** The process is being stopped: its doors close by themselves, the others are told. */
  goes(): void {
    this.#isStopping = true;
    this.#state = 'draining';
    this.#heartbeat.now();
  }

  /** The last beat. What it had leased is given back, or stays for the others to find. */
  async stop(): Promise<void> {
    clearInterval(this.#drainTimer);
    await this.#heartbeat.stop();
  }

  #wanted(wanted: 'run' | 'drain'): void {
    if (this.#isStopping) return;
    if (wanted === 'drain' && this.#state === 'running') this.#drain();
    else if (wanted === 'run' && this.#state !== 'running') this.#resume();
  }

  #drain(): void {
    this.#parts.log.info({}, 'asked to drain: no mail is taken, what waits is given back, what is being sent is finished');
    this.#state = 'draining';
    this.#later(this.#pipeline?.pause());
    this.#heartbeat.now();
    this.#drainTimer = setInterval(() => {
      if (this.#pipeline?.isIdle() === false) return;
      clearInterval(this.#drainTimer);
      this.#state = 'drained';
      this.#parts.log.info({}, 'drained: nothing is leased by this node');
      this.#heartbeat.now();
    }, DRAIN_LOOK_MS);
  }

  #resume(): void {
    clearInterval(this.#drainTimer);
    this.#parts.log.info({}, 'asked to go on: mail is taken and delivered again');
    this.#state = 'running';
    if (this.does('deliver')) this.#pipeline?.begin();
    this.#heartbeat.now();
  }

  #later(work: Promise<void> | undefined): void {
    work?.catch((error: unknown) => this.#parts.log.error({ error: String(error) }, 'what waits in lanes could not be given back'));
  }
}

/** What this process tells the others of itself. */
export function nodeFacts(config: Config, sources: readonly string[]): NodeFacts {
  return { name: config.node.name, version: programVersion(), services: config.node.services, sources };
}
