/** A lane against a scripted site, with a held clock and held timers. */
import type { TestContext } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import type { TlsDemand } from '#model/egress.ts';
import type { Outcome } from '#model/outcome.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import { jobFor, ScriptedSite } from './scripted-site.ts';
import { Lane, type LaneItem, type LaneLimits } from '#lanes/lane.ts';

export interface Item extends LaneItem {
  readonly name: string;
}

export const LIMITS: LaneLimits = {
  connectionsMax: 4,
  messagesPerConnection: 100,
  recipientsPerTransaction: 10,
  readyPerConnection: 50,
  idleMs: 5000,
  suspendAfter: 3,
  suspendMinMs: 60_000,
  suspendMaxMs: 600_000,
};
export const T0 = 1_700_000_000_000;
export const ROUTE = { site: 'site.example', hosts: [{ host: 'mx.site.example', preference: 10 }], port: 25 };

export interface Returned {
  readonly name: string;
  readonly wait: WaitReason;
  readonly dueAtMs: number;
}

/** A lane with all that surrounds it. Timers stand still until `pass`. */
export function laneFor(
  t: TestContext,
  limits: Partial<LaneLimits> = {},
  faults: { job?: () => never } = {},
  leases: { isHeld: boolean } = { isHeld: true },
) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = new HeldClock(T0);
  const site = new ScriptedSite();
  const settled: { name: string; outcome: Outcome }[] = [];
  const returned: Returned[] = [];
  let rooms = 0;
  const lane = new Lane<Item>(
    'source>site.example',
    ROUTE,
    'source',
    { ...LIMITS, ...limits },
    {
      clock,
      connect: site.connect,
      job: (items) =>
        (faults.job ?? jobFor)(
          items.map(({ name }) => name),
          (items[0] as Item).tls,
        ),
      settled: (items, outcomes) => items.forEach(({ name }, position) => settled.push({ name, outcome: outcomes[position] as Outcome })),
      returned: (items, wait, dueAtMs) => items.forEach(({ name }) => returned.push({ name, wait, dueAtMs })),
      mayBegin: () => leases.isHeld,
      hasRoom: () => rooms++,
    },
  );
  return {
    lane,
    clock,
    site,
    settled,
    returned,
    names: () => settled.map(({ name }) => name),
    rooms: () => rooms,
    put: (...names: string[]) => names.forEach((name) => lane.put(item(name))),
    pass: async (ms: number) => {
      clock.advance(ms);
      t.mock.timers.tick(ms);
      await quiet();
    },
  };
}

export const item = (name: string, change: Partial<Item> = {}): Item => ({
  name,
  accountId: 1,
  priority: 0,
  groupKey: 0,
  tls: 'opportunistic' as TlsDemand,
  ...change,
});
export const many = (count: number, prefix = 'm'): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

/** Lets everything happen that does not wait for a timer or for the test. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
}
