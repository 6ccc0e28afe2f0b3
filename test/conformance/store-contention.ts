/**
 * Two nodes at once on one store: what only shows when two connections are in each other's way. Nothing may be given away twice, and nothing may be left
 * where no look finds it.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Bucket, Claimed, Store } from '#store/store.ts';
import { accept, addresses, bucketsOf, claim, DAY_MS, deferral, mail, type Open, settlement, tenant, T0, unique } from './tenant.ts';

export function contentionConformance(open: Open): void {
  describe('two nodes at once', () => {
    let one: Store;
    let two: Store | undefined;
    before(async () => {
      const opened = await open();
      one = opened.store;
      two = (await opened.another?.({ name: 'two', version: '1', services: ['accept', 'deliver'], sources: [] }))?.store;
    });
    after(async () => {
      await two?.close();
      await one.close();
    });

    const both = (name: string, body: (one: Store, two: Store) => Promise<void>): void => {
      it(name, async (t) => {
        if (two === undefined) t.skip('this store has one server at a time');
        else await body(one, two);
      });
    };
    claims(both);
    sameThings(both);
    looks(both);
    parking(both);
  });
}

type Both = (name: string, body: (one: Store, two: Store) => Promise<void>) => void;

const many = (count: number, domain: string): string[] => Array.from({ length: count }, (_, n) => `user${n}@${domain}`);

async function onlyBucket(store: Store, domain: string): Promise<number> {
  const buckets = await bucketsOf(store, domain);
  assert.equal(buckets.length, 1);
  return (buckets[0] as Bucket).id;
}

function claims(both: Both): void {
  both('give each recipient to one of two claimers', async (one, two) => {
    const from = await tenant(one);
    const to = `${unique('disjoint')}.example`;
    await accept(one, mail(from, { to: many(300, to) }));
    const bucket = await onlyBucket(one, to);
    const claimer = async (store: Store): Promise<string[]> => {
      const taken: string[] = [];
      for (;;) {
        const claimed = addresses(await store.mail.claim([{ bucket, room: 7 }], T0));
        if (claimed.length === 0) return taken;
        taken.push(...claimed);
      }
    };
    const taken = await Promise.all([claimer(one), claimer(two), claimer(one), claimer(two)]);
    assert.deepEqual(taken.flat().toSorted(), many(300, to).toSorted());
    assert.deepEqual(await bucketsOf(two, to, T0 + DAY_MS), []);
  });

  both('refuse what one settles or releases after the other has claimed it', async (one, two) => {
    const from = await tenant(one);
    const to = `${unique('fence')}.example`;
    const accepted = await accept(one, mail(from, { to: [`a@${to}`], isLeased: true }));
    assert.equal(await one.mail.release({ recipient: accepted.firstRecipient, epoch: 1, dueAtMs: T0, wait: 'due' }), true);
    const [claimed] = await claim(two, to);
    const epoch = claimed?.recipients[0]?.epoch as number;
    assert.equal(await one.mail.settle(settlement(from, accepted)), false);
    assert.equal(await one.mail.release({ recipient: accepted.firstRecipient, epoch: 1, dueAtMs: T0, wait: 'due' }), false);
    assert.equal(await two.mail.settle(settlement(from, accepted, { epoch })), true);
    const view = await one.events.messageById(from.accountId, accepted.id);
    assert.deepEqual(
      view?.events.map(({ kind }) => kind),
      ['accepted', 'delivered'],
    );
  });

  both('cancel a recipient or claim it, never both', async (one, two) => {
    const from = await tenant(one);
    const to = `${unique('cancelled')}.example`;
    const accepted = await accept(one, mail(from, { to: many(200, to) }));
    const bucket = await onlyBucket(one, to);
    const taken: string[] = [];
    const claimer = async (): Promise<void> => {
      for (;;) {
        const claimed = addresses(await two.mail.claim([{ bucket, room: 3 }], T0));
        if (claimed.length === 0) return;
        taken.push(...claimed);
      }
    };
    const [cancelled] = await Promise.all([one.mail.cancel(from.accountId, from.domainId, accepted.id, T0), claimer()]);
    const view = await one.events.messageById(from.accountId, accepted.id);
    const states = view?.recipients.map(({ state }) => state) ?? [];
    assert.equal(states.filter((state) => state === 'leased').length, taken.length);
    assert.equal(states.filter((state) => state === 'done').length, cancelled);
    assert.equal(taken.length + cancelled, 200);
    assert.equal(view?.events.filter(({ kind }) => kind === 'cancelled').length, cancelled);
  });
}

function sameThings(both: Both): void {
  both('accept one of two messages that come at once under one Idempotency-Key (P12)', async (one, two) => {
    const from = await tenant(one);
    for (let round = 0; round < 20; round++) {
      const idempotency = { key: `key ${round}`, fingerprint: 'same', untilMs: T0 + DAY_MS };
      const answers = await Promise.all([one, two, two, one].map((store) => store.mail.accept(mail(from, { idempotency }))));
      assert.deepEqual(answers.map(({ kind }) => kind).toSorted(), ['accepted', 'repeat', 'repeat', 'repeat']);
      assert.equal(new Set(answers.map((answer) => ('id' in answer ? answer.id : 0))).size, 1);
    }
    const events = await one.events.list({ accountId: from.accountId, domainId: from.domainId }, 'ascending', undefined, 100);
    assert.equal(events.length, 20);
  });

  both('give no id to two messages, recipients or events', async (one, two) => {
    const from = await tenant(one);
    const accepted = await Promise.all(
      Array.from({ length: 100 }, (_, n) => accept(n % 2 === 0 ? one : two, mail(from, { to: many(3, `${unique('ids')}.example`) }))),
    );
    assert.equal(new Set(accepted.map(({ id }) => id)).size, 100);
    assert.equal(new Set(accepted.flatMap(({ firstRecipient }) => [0, 1, 2].map((n) => firstRecipient + n))).size, 300);
    const events = await one.events.list({ accountId: from.accountId, domainId: from.domainId }, 'ascending', undefined, 1000);
    assert.equal(new Set(events.map(({ event }) => event.id)).size, 300);
  });

  both('make one name theirs, one version active, one setting stand', async (one, two) => {
    const from = await tenant(one);
    for (let round = 0; round < 10; round++) {
      const version = (tag: string) =>
        ({ name: `t${round}`, tag, source: tag, engine: 'handlebars', comment: '', headers: {}, isActive: false, createdMs: T0 }) as const;
      const stores = [one, two, one, two];
      const added = await Promise.all(stores.map((store, n) => store.templates.putVersion(from.domainId, '', version(`v${n % 2}`))));
      assert.equal(added.filter(Boolean).length, 2, 'each version once');
      assert.match((await one.templates.version(from.domainId, `t${round}`))?.tag ?? '', /^v[01]$/);
      const name = `${unique('contended')}.example`;
      const rest = { type: 'custom', state: 'active', createdMs: T0, retentionMs: 1, requireTls: false, skipVerification: false } as const;
      const domains = await Promise.all(stores.map((store) => store.accounts.createDomain({ accountId: from.accountId, name, ...rest })));
      assert.equal(domains.filter((domain) => domain !== undefined).length, 1);
      const setting = unique('setting ');
      const values = await Promise.all(stores.map((store, n) => store.accounts.settingOnce(setting, `value ${n}`)));
      assert.equal(new Set(values).size, 1);
    }
  });
}

/** Messages in one round, and rounds: enough that a look which comes too late is seen every time. */
const SENT = 40;
const ROUNDS = 8;
/** Recipients of a message that takes its time. */
const LARGE = 500;

function looks(both: Both): void {
  both('lose no recipient from sight, however acceptances, deferrals, releases and claims of one bucket meet', async (one, two) => {
    const from = await tenant(one);
    for (let round = 0; round < ROUNDS; round++) {
      const to = `${unique('look')}.example`;
      await accept(one, mail(from, { to: [`first@${to}`] }));
      const bucket = await onlyBucket(one, to);
      let isSending = true;
      const ended = new Set<number>();
      /** Delivers what it gets at the second try; at the first it comes back at once. */
      const work = async (store: Store, { message, recipients }: Claimed): Promise<void> => {
        for (const { id, epoch } of recipients) {
          const known = { id: message.id, firstRecipient: id, contentId: 0, kind: 'accepted', suppressed: [] } as const;
          const given = epoch === 1 ? (id % 2 === 0 ? deferral(T0) : undefined) : {};
          const isDone =
            given === undefined
              ? store.mail.release({ recipient: id, epoch, dueAtMs: T0, wait: 'due' })
              : store.mail.settle(settlement(from, known, { ...given, epoch }));
          assert.equal(await isDone, true);
          if (epoch > 1) ended.add(id);
        }
      };
      const claimer = async (store: Store): Promise<void> => {
        for (;;) {
          // The last look comes after the last acceptance, and finds all there is by what `dueBuckets` tells.
          const isLast = !isSending;
          const claimed = await store.mail.claim([{ bucket, room: 5 }], T0);
          for (const entry of claimed) await work(store, entry);
          if (isLast && claimed.length === 0) return;
        }
      };
      const sender = async (store: Store): Promise<void> => {
        for (let n = 0; n < SENT; n++) await accept(store, mail(from, { to: [`${unique('user')}@${to}`] }));
      };
      const sending = Promise.all([sender(one), sender(two)]).then(() => {
        isSending = false;
      });
      await Promise.all([sending, claimer(one), claimer(two)]);
      for (;;) {
        const claimed = await claim(one, to);
        if (claimed.length === 0) break;
        for (const entry of claimed) await work(one, entry);
      }
      assert.equal(ended.size, 2 * SENT + 1, 'what is queued is found by the buckets that are due');
    }
  });

  both('look at a bucket when its earliest recipient is due, whoever queued it and whoever claimed', async (one, two) => {
    const from = await tenant(one);
    for (let round = 0; round < ROUNDS; round++) {
      const to = `${unique('later')}.example`;
      await accept(one, mail(from, { to: [`now@${to}`] }));
      const bucket = await onlyBucket(one, to);
      const times = Array.from({ length: 20 }, (_, n) => T0 + (20 - n) * 1000);
      const [claimed] = await Promise.all([
        Promise.all([one, two, one].map((store) => store.mail.claim([{ bucket, room: 5 }], T0))),
        ...times.map((dueAtMs, n) =>
          accept(n % 2 === 0 ? one : two, mail(from, { to: [`${unique('user')}@${to}`], dueAtMs, wait: 'scheduled' })),
        ),
      ]);
      assert.deepEqual(addresses(claimed.flat()), [`now@${to}`]);
      for (const dueAtMs of times.toReversed()) {
        assert.equal(addresses(await claim(two, to, dueAtMs)).length, 1, 'exactly what is due by then');
      }
    }
  });

  both('look at a bucket again for a large message whose acceptance took longer than the claim of all that was there', async (one, two) => {
    const from = await tenant(one);
    for (let round = 0; round < ROUNDS; round++) {
      const to = `${unique('large')}.example`;
      await accept(one, mail(from, { to: [`now@${to}`] }));
      const bucket = await onlyBucket(one, to);
      const [claimed] = await Promise.all([
        one.mail.claim([{ bucket, room: 10 }], T0),
        accept(two, mail(from, { to: many(LARGE, to), dueAtMs: T0 + 1000, wait: 'scheduled' })),
      ]);
      assert.deepEqual(addresses(claimed), [`now@${to}`]);
      assert.equal((await bucketsOf(one, to, T0 + 1000)).length, 1);
    }
  });
}

function parking(both: Both): void {
  both('claim from a bucket for which the other has no room, and wait both for a destination that is suspended', async (one, two) => {
    const from = await tenant(one);
    const [busy, suspended] = [`${unique('busy')}.example`, `${unique('suspended')}.example`];
    for (const to of [busy, suspended]) await accept(one, mail(from, { to: [`a@${to}`] }));
    await one.mail.parkBucket(await onlyBucket(one, busy), T0 + 60_000, 'lane-connections');
    await one.mail.parkBucket(await onlyBucket(one, suspended), T0 + 20_000, 'lane-suspended');
    assert.deepEqual(await bucketsOf(one, busy), []);
    assert.deepEqual(addresses(await claim(two, busy)), [`a@${busy}`]);
    assert.deepEqual(await bucketsOf(two, suspended, T0 + 19_999), []);
    assert.equal((await bucketsOf(two, suspended, T0 + 20_000)).length, 1);
  });
}
