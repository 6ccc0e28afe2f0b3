/**
 * The way of a recipient through this node, steps 4 to 10 of a message's walk (ARCHITECTURE.md): accepted or claimed → settled at once, or routed → lane →
 * composed, signed and tried → settled. Every recipient that enters `memory` leaves it by the settler, with an outcome or with a reason to wait (P3, P6).
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Ceilings } from '#lanes/flow.ts';
import type { LaneItem, LaneReport } from '#lanes/lane.ts';
import { Lanes, type LanesOptions } from '#lanes/lanes.ts';
import type { Expanded, ListExpander } from '#lists/expander.ts';
import type { Connect, DeliveryJob, FindRoute } from '#model/delivery.ts';
import type { EgressSource, Route } from '#model/egress.ts';
import type { Priority, StoredRecipient } from '#model/message.ts';
import type { Outcome } from '#model/outcome.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import { Claimer, type Room } from '#queue/claimer.ts';
import { Memory } from '#queue/memory.ts';
import type { Leases } from '#queue/leases.ts';
import type { RetryPlan } from '#queue/retry.ts';
import { settledAttempt, settledList, settledWithoutAttempt } from '#queue/settlement.ts';
import { Settler } from '#queue/settler.ts';
import { type WorkItem, workItem } from '#queue/work-item.ts';
import type { Claimed, Settlement, Store } from '#store/store.ts';

export interface PipelineOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly findRoute: FindRoute;
  readonly connect: Connect;
  readonly retry: RetryPlan;
  readonly readyRecipients: number;
  readonly readyBytes: number;
  readonly leases: Leases;
  readonly laneLimits: LanesOptions<LaneItem>['limits'];
  /** What a new lane's mail counts against beyond its own limits. */
  ceilings(route: Route, source: EgressSource): Ceilings | undefined;
  /** The source an item leaves from; undefined: none serves it now. */
  sourceFor(item: WorkItem): EgressSource | undefined | Promise<EgressSource | undefined>;
  /** The transaction for items that share one; `content` loads the MIME. */
  job(items: readonly WorkItem[], content: () => Promise<Buffer>): DeliveryJob;
  /** What else follows from a settlement in the same commit: a notification to the submitter. */
  follow(item: WorkItem, settlement: Settlement): Promise<Settlement['notification']>;
  /** What servers outside are told of a settlement, in the same commit. Not at once where the store must be asked first; rejects as it does. */
  outbox(item: WorkItem, settlement: Settlement): Settlement['outbox'] | Promise<Settlement['outbox']>;
  /** The recipient is a mailing list: mail to its members is made instead. Undefined: it is none. */
  readonly expandList?: ListExpander['expand'];
  /** Something stands in the outbox. */
  ringOutbox(): void;
  /** It stands in the store. */
  settled?(settlement: Settlement): void;
}

/** Room for a domain whose lane is not known yet. */
const UNKNOWN_LANE_ROOM = 40;
const POLL_MS = 1000;
/** When a domain whose route is being looked up is looked at again. */
const ROUTE_LOOK_MS = 250;
const DAY_MS = 86_400_000;

export function createPipeline(options: PipelineOptions) {
  const { store, clock, log, leases } = options;
  const memory = new Memory({
    recipientsMax: options.readyRecipients,
    contentBytesMax: options.readyBytes,
    load: (contentId) => store.mail.content(contentId),
  });
  const stop = new AbortController();
  /** Since the start, for /metrics. */
  const counts = { accepted: 0, delivered: 0, deferred: 0, failed: 0 };
  const settler = new Settler({
    mail: store.mail,
    log,
    settled(settlement) {
      if (settlement.outbox !== undefined) options.ringOutbox();
      options.settled?.(settlement);
    },
  });
  const claimer = new Claimer({
    mail: store.mail,
    clock,
    log,
    pollMs: POLL_MS,
    // Outcomes that the store has not taken yet are in memory too.
    memoryRoom: () => Math.max(0, memory.room - settler.pending),
    roomFor,
    take: (claimed, tenure) => claimed.forEach((each) => takeClaimed(each, tenure)),
    leases,
  });
  const lanes = new Lanes<WorkItem>({
    clock,
    lanesMax: options.readyRecipients,
    domainsMax: options.readyRecipients,
    limits: options.laneLimits,
    deps: ({ route, source }) => ({
      clock,
      connect: (demand, signal) => options.connect(route, sources.get(source) as EgressSource, demand, signal),
      job: (items) => ({
        ...options.job(items, () => contentOf(items[0] as WorkItem)),
        mayBegin: () => leases.isHeld && items.every(({ tenure }) => tenure === leases.tenure),
      }),
      mayBegin: () => leases.isHeld,
      ceilings: options.ceilings(route, sources.get(source) as EgressSource),
      settled: (items, outcomes) => items.forEach((item, position) => settleAttempt(item, outcomes[position] as Outcome)),
      returned: (items, wait, dueAtMs) => items.forEach((item) => giveBack(item, wait, dueAtMs)),
      hasRoom: () => claimer.roomAgain(),
    }),
  });
  const sources = new Map<string, EgressSource>();
  /** Recipients of each domain whose route is being looked up. */
  const routing = new Map<string, number>();
  /** Nothing is claimed or taken in: not begun yet, or a drain was asked for. */
  let isPaused = true;
  let pausing = 0;

  const later = (wait: WaitReason, ms: number): { wait: WaitReason; untilMs: number } => ({ wait, untilMs: clock.nowMs() + ms });

  function roomFor(domain: string, accountId: number, priority: Priority, planned = 0): Room {
    if (isPaused) return { room: 0, ...later('draining', POLL_MS) };
    if (!leases.isHeld) return { room: 0, ...later('lease-lapsed', POLL_MS) };
    const lookedUp = routing.get(domain) ?? 0;
    const lane = lanes.ofDomain(domain);
    if (lane === undefined) {
      const room = Math.min(UNKNOWN_LANE_ROOM - lookedUp, memory.shareOf(lookedUp, priority, planned));
      // While its route is looked up it is still due: the next look will know its lane.
      return { room: Math.max(0, room), ...(lookedUp > 0 ? later('due', ROUTE_LOOK_MS) : later('memory-limit', POLL_MS)) };
    }
    const room = Math.max(0, Math.min(lane.room - lookedUp, memory.shareOf(lane.waiting + lookedUp, priority, planned)));
    const own = Math.max(0, Math.min(lane.ownRoom(accountId, priority) - lookedUp, memory.shareOf(0, priority, planned)));
    const { reason, untilMs } = lane.wait;
    if (lane.room > 0) return { room: Math.max(room, own), own, ...later('memory-limit', POLL_MS) };
    return { room: Math.max(room, own), own, wait: reason, untilMs };
  }

  /** Why a leased recipient is not being tried at this moment; undefined: it is, or it is not here. */
  function waitOf({ id, domain }: StoredRecipient): { reason: WaitReason; untilMs: number } | undefined {
    return lanes.ofDomain(domain)?.waitOf(({ recipient }) => recipient.id === id);
  }

  function enter(item: WorkItem): void {
    memory.enter(item.message.contentId);
    dispatch(item).catch((error: unknown) => {
      log.error(
        { recipient: item.recipient.id, error: error instanceof Error ? error.stack : String(error) },
        'an attempt met a bug of ours',
      );
      giveBack(item, 'our-fault', clock.nowMs() + 60_000);
    });
  }

  async function dispatch(item: WorkItem): Promise<void> {
    const settlement = settledWithoutAttempt(item, clock.nowMs(), lanes.ofDomain(item.recipient.domain)?.siteTrouble);
    if (settlement !== undefined) return settle(item, settlement);
    if (!memory.admits(item.message.contentId, item.message.info.sizeBytes)) return giveBack(item, 'memory-limit', clock.nowMs() + POLL_MS);
    if (isPaused) return giveBack(item, 'draining', clock.nowMs());
    const expanding = options.expandList?.(item.message, item.recipient, () => mayGoOn(item));
    const expanded = expanding === undefined ? undefined : await expanding;
    if (expanded !== undefined) return afterExpansion(item, expanded);
    const choice = options.sourceFor(item);
    const source = choice instanceof Promise ? await choice : choice;
    if (source === undefined) return giveBack(item, 'no-source', clock.nowMs() + DAY_MS / 24);
    const found = await routeOf(item.recipient.domain);
    if (stop.signal.aborted || isPaused) return giveBack(item, 'draining', clock.nowMs());
    if (item.tenure !== leases.tenure) return giveBack(item, 'lease-lapsed', clock.nowMs());
    if (found.kind === 'failed') return settleAttempt(item, found.outcome);
    sources.set(source.name, source);
    const lane = lanes.of(item.recipient.domain, found.route, source.name);
    item.wait = lane.wait.reason;
    lane.put(item);
  }

  function mayGoOn({ tenure }: WorkItem): boolean {
    return !isPaused && leases.isHeld && tenure === leases.tenure;
  }

  function afterExpansion(item: WorkItem, expanded: Expanded): void {
    if (expanded.kind === 'later') return giveBack(item, expanded.wait, expanded.untilMs);
    const outcome = expanded.kind === 'expanded' ? { members: expanded.members } : { refused: expanded.text };
    settle(item, settledList(item, outcome, clock.nowMs()));
  }

  async function routeOf(domain: string): Promise<Awaited<ReturnType<FindRoute>>> {
    routing.set(domain, (routing.get(domain) ?? 0) + 1);
    try {
      return await options.findRoute(domain, stop.signal);
    } finally {
      const left = (routing.get(domain) ?? 1) - 1;
      if (left > 0) routing.set(domain, left);
      else routing.delete(domain);
    }
  }

  async function contentOf(item: WorkItem): Promise<Buffer> {
    const content = await memory.content(item.message.contentId);
    if (content === undefined) throw new Error(`message ${item.message.id} has no content`);
    return content;
  }

  function settleAttempt(item: WorkItem, outcome: Outcome): void {
    settle(item, settledAttempt(item, outcome, options.retry, clock.nowMs()));
  }

  function settle(item: WorkItem, settlement: Settlement): void {
    if (settlement.event.kind in counts) counts[settlement.event.kind as 'delivered' | 'deferred' | 'failed']++;
    if (settlement.event.kind === 'delivered' && item.recipient.notify === undefined) return write(item, settlement);
    options.follow(item, settlement).then(
      (notification) => write(item, notification === undefined ? settlement : { ...settlement, notification }),
      (error: unknown) => {
        log.error({ recipient: item.recipient.id, error: String(error) }, 'a notification could not be written');
        write(item, settlement);
      },
    );
  }

  function write(item: WorkItem, settlement: Settlement): void {
    const outbox = options.outbox(item, settlement);
    leave(item, () => {
      if (!(outbox instanceof Promise)) return settler.settle(outbox === undefined ? settlement : { ...settlement, outbox });
      // It is asked for again with each try.
      let asked: typeof outbox | undefined = outbox;
      settler.settle(settlement, async () => {
        const answer = asked ?? options.outbox(item, settlement);
        asked = undefined;
        return answer;
      });
    });
  }

  function giveBack(item: WorkItem, wait: WaitReason, dueAtMs: number): void {
    leave(item, () => settler.release({ recipient: item.recipient.id, epoch: item.recipient.epoch, dueAtMs, wait }));
  }

  function leave({ message }: WorkItem, write: () => void): void {
    const wasFull = memory.room === 0;
    memory.leave(message.contentId);
    write();
    if (wasFull) claimer.ring();
  }

  function takeClaimed({ message, recipients }: Claimed, tenure: number): void {
    for (const { suppressed, parkedFor, ...recipient } of recipients) {
      enter(workItem(message, recipient, suppressed, clock.nowMs(), tenure, parkedFor));
    }
  }

  /** Claims and takes in what has room; also after a pause. */
  function begin(): void {
    isPaused = false;
    claimer.start();
    lanes.again();
  }

  /** Takes in no more and gives back what waits; what is being sent goes on. */
  async function pause(): Promise<void> {
    isPaused = true;
    pausing++;
    try {
      await Promise.all([claimer.stop(), lanes.returnWaiting('draining')]);
    } finally {
      pausing--;
    }
  }

  /** Attempts may begin again: the leases are held. */
  function again(): void {
    if (isPaused) return;
    claimer.ring();
    lanes.again();
  }

  /** The leases were lost: what waits is with others, or goes back. */
  async function letGo(): Promise<void> {
    await lanes.returnWaiting('lease-lapsed');
  }

  /** Nothing is leased or about to be, and every outcome is written. */
  const isIdle = (): boolean => pausing === 0 && memory.isEmpty && settler.pending === 0;

  return {
    begin,
    pause,
    again,
    letGo,
    isIdle,
    memory,
    lanes,
    claimer,
    settler,
    stop,
    counts,
    roomFor,
    waitOf,
    enter,
    report: (): LaneReport[] => lanes.report(),
  };
}

export type Pipeline = ReturnType<typeof createPipeline>;
