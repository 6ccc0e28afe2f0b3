/** Suppressions as lists, tags of unsubscribes, the allowlist, and imports. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Store, Suppression } from '#store/store.ts';
import type { ImportRows, PageAsk } from '#store/suppression-store.ts';
import { suiteStore } from './suite-store.ts';
import { accept, claim, DAY_MS, mail, type Open, settlement, T0, tenant, unique } from './tenant.ts';

export function suppressionsConformance(open: Open): void {
  describe('suppressions, allowlists and imports', () => {
    const store = suiteStore(open);
    lists(store);
    tags(store);
    allowlist(store);
    imports(store);
  });
}

const suppression = (address: string, change: Partial<Suppression> = {}): Suppression => ({
  kind: 'bounce',
  address,
  code: 550,
  error: 'no such user',
  createdMs: T0,
  ...change,
});

function lists(store: () => Store): void {
  it('tells what the domains of an account have of an address, and of no other account', async () => {
    const mine = await tenant(store());
    const theirs = await tenant(store());
    await store().suppressions.putSuppressions(mine.domainId, [
      suppression('Gone@x.example'),
      suppression('gone@x.example', { kind: 'complaint' }),
    ]);
    await store().suppressions.putSuppressions(theirs.domainId, [suppression('gone@x.example', { error: 'theirs' })]);
    const found = await store().suppressions.suppressionsOfAddress(mine.accountId, 'GONE@x.example', 10);
    assert.deepEqual(found.map(({ kind, error }) => [kind, error]).sort(), [
      ['bounce', 'no such user'],
      ['complaint', 'no such user'],
    ]);
    assert.equal((await store().suppressions.suppressionsOfAddress(mine.accountId, 'gone@x.example', 1)).length, 1);
    assert.deepEqual(await store().suppressions.suppressionsOfAddress(mine.accountId, 'other@x.example', 10), []);
  });

  it('pages through a list from any entry, both ways, whatever is added or removed meanwhile', async () => {
    const { domainId } = await tenant(store());
    const addresses = ['a@x.example', 'B@x.example', 'c@x.example', 'd@x.example', 'e@x.example'];
    await store().suppressions.putSuppressions(
      domainId,
      addresses.toReversed().map((address) => suppression(address)),
    );
    await store().suppressions.putSuppressions(domainId, [suppression('b2@x.example', { kind: 'complaint' })]);
    const page = async (ask: Partial<PageAsk>): Promise<string[]> =>
      (await store().suppressions.suppressionPage(domainId, 'bounce', { prefix: '', limit: 2, ...ask })).map(({ address }) => address);
    assert.deepEqual(await page({}), ['a@x.example', 'B@x.example']);
    assert.equal(await store().accounts.deleteSuppression(domainId, 'bounce', 'b@x.example'), true);
    await store().accounts.putSuppression(domainId, suppression('a0@x.example'));
    assert.deepEqual(await page({ after: 'b@x.example' }), ['c@x.example', 'd@x.example']);
    assert.deepEqual(await page({ before: 'C@x.example' }), ['a0@x.example', 'a@x.example'].sort());
    assert.deepEqual(await page({ isLast: true }), ['d@x.example', 'e@x.example']);
    assert.deepEqual(await page({ prefix: 'A' }), ['a0@x.example', 'a@x.example'].sort());
    assert.deepEqual(await page({ prefix: 'd', isLast: true }), ['d@x.example']);
  });

  it('writes many at once, one of which is named twice', async () => {
    const { domainId } = await tenant(store());
    await store().suppressions.putSuppressions(domainId, [
      suppression('twice@x.example'),
      suppression('once@x.example'),
      suppression('Twice@x.example', { error: 'later' }),
    ]);
    const all = await store().suppressions.suppressionPage(domainId, 'bounce', { prefix: '', limit: 10 });
    assert.deepEqual(
      all.map(({ address, error }) => [address, error]),
      [
        ['once@x.example', 'no such user'],
        ['twice@x.example', 'later'],
      ],
    );
  });

  it('clears one kind of one domain in steps', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    for (const { domainId } of [mine, theirs]) {
      await store().suppressions.putSuppressions(domainId, [
        ...['a@x.example', 'b@x.example', 'c@x.example'].map((address) => suppression(address)),
        suppression('a@x.example', { kind: 'complaint', code: 0, error: '' }),
      ]);
    }
    assert.equal(await store().suppressions.clearSuppressions(mine.domainId, 'bounce', 2), 2);
    assert.equal(await store().suppressions.clearSuppressions(mine.domainId, 'bounce', 2), 1);
    assert.equal(await store().suppressions.clearSuppressions(mine.domainId, 'bounce', 2), 0);
    assert.ok(await store().accounts.suppressionOf(mine.domainId, 'complaint', 'a@x.example'));
    assert.ok(await store().accounts.suppressionOf(theirs.domainId, 'bounce', 'a@x.example'));
  });
}

function tags(store: () => Store): void {
  const unsubscribe = (address: string, ...scope: string[]): Suppression =>
    suppression(address, { kind: 'unsubscribe', code: 0, error: '', ...(scope.length > 0 && { tags: scope }) });

  it('stops a message by an unsubscribe for one of its tags, and no other, when it is accepted and when it is claimed', async () => {
    const from = await tenant(store());
    const to = `${unique('receiver')}.example`;
    await store().suppressions.putSuppressions(from.domainId, [
      unsubscribe(`news@${to}`, 'News'),
      unsubscribe(`all@${to}`),
      suppression(`spam@${to}`, { kind: 'complaint' }),
      unsubscribe(`spam@${to}`, 'other'),
    ]);
    const tagged = (...given: string[]) =>
      mail(from, {
        to: [`news@${to}`, `all@${to}`, `spam@${to}`],
        info: { ...mail(from).info, options: { tags: given, variables: {}, testMode: false } },
      });
    assert.deepEqual((await accept(store(), tagged('news'))).suppressed, [
      [0, 'unsubscribe'],
      [1, 'unsubscribe'],
      [2, 'complaint'],
    ]);
    assert.deepEqual((await accept(store(), tagged('receipts'))).suppressed, [
      [1, 'unsubscribe'],
      [2, 'complaint'],
    ]);
    const claimed = (await claim(store(), to)).flatMap(({ message, recipients }) =>
      recipients.map(({ address, suppressed }) => `${message.info.options.tags} ${address.split('@')[0]} ${suppressed}`),
    );
    assert.deepEqual(claimed.sort(), [
      'news all unsubscribe',
      'news news unsubscribe',
      'news spam complaint',
      'receipts all unsubscribe',
      'receipts news undefined',
      'receipts spam complaint',
    ]);
  });

  it('joins the tags of an address, and gives them up one by one', async () => {
    const { domainId } = await tenant(store());
    const tagsOf = async () => (await store().accounts.suppressionOf(domainId, 'unsubscribe', 'a@x.example'))?.tags;
    await store().accounts.putSuppression(domainId, unsubscribe('a@x.example', 'one'));
    await store().suppressions.putSuppressions(domainId, [unsubscribe('A@x.example', 'two'), unsubscribe('a@x.example', 'three', 'one')]);
    assert.deepEqual(await tagsOf(), ['one', 'three', 'two']);
    assert.equal(await store().suppressions.removeUnsubscribeTag(domainId, 'a@X.example', 'Two'), true);
    assert.equal(await store().suppressions.removeUnsubscribeTag(domainId, 'a@x.example', 'two'), false);
    assert.deepEqual(await tagsOf(), ['one', 'three']);
    await store().suppressions.removeUnsubscribeTag(domainId, 'a@x.example', 'one');
    await store().suppressions.removeUnsubscribeTag(domainId, 'a@x.example', 'three');
    assert.equal(await store().accounts.suppressionOf(domainId, 'unsubscribe', 'a@x.example'), undefined);
  });

  it('holds for everything once it was asked to, whatever tags come before or after', async () => {
    const { domainId } = await tenant(store());
    for (const entry of [unsubscribe('a@x.example', 'one'), unsubscribe('a@x.example'), unsubscribe('a@x.example', 'two')]) {
      await store().accounts.putSuppression(domainId, entry);
    }
    assert.deepEqual(await store().accounts.suppressionOf(domainId, 'unsubscribe', 'a@x.example'), unsubscribe('a@x.example'));
  });
}

function allowlist(store: () => Store): void {
  it('keeps a bounce that was found from the list of an address or receiving domain that is allowed, in that domain only', async () => {
    const [from, other] = [await tenant(store()), await tenant(store())];
    const to = `${unique('receiver')}.example`;
    const entry = { type: 'address', value: `kept@${to}`, reason: 'ours', createdMs: T0 } as const;
    await store().suppressions.putAllowed(from.domainId, [entry, { ...entry, type: 'domain', value: `whole.${to}` }]);
    const found = async (who: typeof from, address: string): Promise<boolean> => {
      const accepted = await accept(store(), mail(who, { to: [address], isLeased: true }));
      const ending = { ending: 'failed', event: { kind: 'failed', detail: {} }, suppression: suppression(address) } as const;
      assert.equal(await store().mail.settle(settlement(who, accepted, ending)), true);
      return (await store().accounts.suppressionOf(who.domainId, 'bounce', address)) !== undefined;
    };
    assert.equal(await found(from, `Kept@${to}`), false);
    assert.equal(await found(from, `anybody@whole.${to}`), false);
    assert.equal(await found(from, `else@${to}`), true);
    assert.equal(await found(other, `kept@${to}`), true);
  });

  it('lists, finds, removes and clears entries of one domain', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const entries = ['a@x.example', 'b.example', 'c@x.example'].map((value) => ({
      type: value.includes('@') ? ('address' as const) : ('domain' as const),
      value,
      reason: '',
      createdMs: T0,
    }));
    for (const { domainId } of [mine, theirs]) await store().suppressions.putAllowed(domainId, [...entries, ...entries]);
    const { suppressions } = store();
    assert.deepEqual(await suppressions.allowedPage(mine.domainId, { prefix: '', limit: 2 }), entries.slice(0, 2));
    assert.deepEqual(await suppressions.allowedPage(mine.domainId, { prefix: '', limit: 2, isLast: true }), entries.slice(1));
    assert.deepEqual(await suppressions.allowedOf(mine.domainId, 'b.example'), entries[1]);
    assert.equal(await suppressions.deleteAllowed(mine.domainId, 'b.example'), true);
    assert.equal(await suppressions.deleteAllowed(mine.domainId, 'b.example'), false);
    assert.equal(await suppressions.clearAllowed(mine.domainId, 10), 2);
    assert.equal((await suppressions.allowedPage(theirs.domainId, { prefix: '', limit: 10 })).length, 3);
  });
}

function imports(store: () => Store): void {
  const rows: ImportRows = { kind: 'suppressions', entries: [suppression('read@x.example')] };

  it('hands a file to one reader at a time, keeps rows and position together, and refuses a reader whose turn is over', async () => {
    const { accountId, domainId } = await tenant(store());
    const { imports: files } = store();
    const job = { accountId, kind: 'bounce', target: domainId, options: { a: 1 }, createdMs: T0 } as const;
    const id = (await files.createImport(job, 5, T0 - DAY_MS, Buffer.from('address\nread@x.example\n'))) as number;
    const first = await files.claimImport(T0, T0 + 1000);
    assert.deepEqual({ ...first, epoch: 1 }, { ...job, id, sizeBytes: 23, position: 0, added: 0, failed: 0, epoch: 1 });
    assert.equal(await files.claimImport(T0, T0 + 1000), undefined);
    assert.equal(Buffer.from((await files.importBytes(id)) as Uint8Array).toString(), 'address\nread@x.example\n');
    const second = await files.claimImport(T0 + 2000, T0 + 3000);
    assert.equal(second?.id, id);
    const step = { id, target: domainId, position: 23, added: 1, failed: 2, trouble: 'why', nowMs: T0, heldUntilMs: T0 + 9000, rows };
    assert.equal(await files.advanceImport({ ...step, epoch: first?.epoch as number, isDone: false }), false);
    assert.equal(await store().accounts.suppressionOf(domainId, 'bounce', 'read@x.example'), undefined);
    assert.equal(await files.advanceImport({ ...step, epoch: second?.epoch as number, isDone: false }), true);
    assert.ok(await store().accounts.suppressionOf(domainId, 'bounce', 'read@x.example'));
    await files.advanceImport({ ...step, trouble: 'another', added: 0, epoch: second?.epoch as number, isDone: true });
    assert.deepEqual(await files.importOf(accountId, id), {
      ...job,
      id,
      sizeBytes: 23,
      position: 23,
      added: 1,
      failed: 4,
      trouble: 'why',
      finishedMs: T0,
    });
    assert.equal((await files.importBytes(id))?.byteLength, 0);
    assert.equal(await files.claimImport(T0 + DAY_MS, T0 + 2 * DAY_MS), undefined);
  });

  it('bounds what an account has open, shows it to nobody else, and forgets what was finished long ago', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    const { imports: files } = store();
    const make = (accountId: number, keepFromMs = T0): Promise<number | undefined> =>
      files.createImport({ accountId, kind: 'bounce', target: mine.domainId, options: {}, createdMs: T0 }, 2, keepFromMs, Buffer.from('x'));
    const ids = [await make(mine.accountId), await make(mine.accountId)];
    assert.equal(await make(mine.accountId), undefined);
    assert.equal(await files.importOf(theirs.accountId, ids[0] as number), undefined);
    assert.deepEqual(await files.listImports(theirs.accountId, 10), []);
    assert.deepEqual(
      (await files.listImports(mine.accountId, 10)).map(({ id }) => id),
      ids.toReversed(),
    );
    for (let left = 2; left > 0; left--) {
      const claimed = await files.claimImport(T0, T0 + 1000);
      const step = { position: 1, added: 0, failed: 0, isDone: true, nowMs: T0, heldUntilMs: T0, rows } as const;
      await files.advanceImport({ ...step, id: claimed?.id as number, epoch: claimed?.epoch as number, target: mine.domainId });
    }
    await make(mine.accountId, T0 + 1);
    assert.equal((await files.listImports(mine.accountId, 10)).length, 1);
  });
}
