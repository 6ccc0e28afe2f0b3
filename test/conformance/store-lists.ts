/** Mailing lists and their members. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ListMember, MailingList } from '#store/list-store.ts';
import type { Store } from '#store/store.ts';
import { type Open, T0, tenant, unique } from './tenant.ts';

const member = (name: string, change: Partial<ListMember> = {}): ListMember => ({
  address: `${name}@x.example`,
  name,
  vars: { n: { is: name } },
  isSubscribed: true,
  ...change,
});

export function listsConformance(open: Open): void {
  describe('mailing lists', () => {
    let store: Store;
    before(async () => {
      ({ store } = await open());
    });
    after(() => store.close());

    async function make(accountId: number, domain: string, name = unique('list')): Promise<MailingList> {
      const facts = { name: '', description: '', accessLevel: 'readonly', replyPreference: 'list', createdMs: T0 } as const;
      const list = await store.lists.createList({ ...facts, accountId, address: `${name}@${domain}` });
      assert.ok(list);
      return list;
    }
    const countOf = async ({ accountId, address }: MailingList): Promise<number | undefined> =>
      (await store.lists.listByAddress(accountId, address))?.membersCount;

    it('keeps a list of one account, whose address is nobody else’s', async () => {
      const [mine, theirs] = [await tenant(store), await tenant(store)];
      const list = await make(mine.accountId, mine.domain);
      const other = await make(mine.accountId, mine.domain);
      const { id: _, membersCount: __, ...facts } = list;
      assert.equal(await store.lists.createList({ ...facts, accountId: theirs.accountId }), undefined);
      assert.deepEqual(await store.lists.listByAddress(mine.accountId, list.address), list);
      assert.equal(await store.lists.listByAddress(theirs.accountId, list.address), undefined);
      assert.equal(await store.lists.changeList(list.id, { ...facts, address: other.address }), false);
      const changed = {
        ...facts,
        address: `renamed@${mine.domain}`,
        name: 'N',
        accessLevel: 'everyone',
        replyPreference: 'sender',
      } as const;
      assert.equal(await store.lists.changeList(list.id, changed), true);
      assert.deepEqual(await store.lists.listByAddress(mine.accountId, changed.address), { ...changed, id: list.id, membersCount: 0 });
      assert.ok((await store.lists.listDomains()).includes(mine.domain));
      await store.lists.deleteList(list.id);
      await store.lists.deleteList(other.id);
      assert.equal(await store.lists.countLists(mine.accountId), 0);
      assert.ok(!(await store.lists.listDomains()).includes(mine.domain));
    });

    it('pages through the lists of one account', async () => {
      const [mine, theirs] = [await tenant(store), await tenant(store)];
      const lists = [];
      for (const name of ['a', 'b', 'c']) lists.push(await make(mine.accountId, mine.domain, name));
      await make(theirs.accountId, theirs.domain);
      assert.equal(await store.lists.countLists(mine.accountId), 3);
      assert.deepEqual(await store.lists.listsFrom(mine.accountId, 1, 5), lists.slice(1));
      const after = (lists[0] as MailingList).address;
      assert.deepEqual(await store.lists.listPage(mine.accountId, { prefix: '', limit: 1, after }), lists.slice(1, 2));
      assert.deepEqual(await store.lists.listPage(mine.accountId, { prefix: '', limit: 1, isLast: true }), lists.slice(2));
    });

    it('adds members all or none, replaces them when asked to, and keeps their count', async () => {
      const { accountId, domain } = await tenant(store);
      const list = await make(accountId, domain);
      assert.equal(await store.lists.putMembers(list.id, [member('a'), member('b')], false), undefined);
      assert.equal(await store.lists.putMembers(list.id, [member('c'), member('b', { name: 'other' })], false), 'b@x.example');
      assert.equal(await countOf(list), 2);
      assert.equal(await store.lists.memberOf(list.id, 'c@x.example'), undefined);
      assert.equal(await store.lists.putMembers(list.id, [member('c'), member('b', { name: 'other' }), member('c')], true), undefined);
      assert.equal(await countOf(list), 3);
      assert.deepEqual(await store.lists.memberOf(list.id, 'b@x.example'), member('b', { name: 'other' }));
      assert.equal(await store.lists.deleteMember(list.id, 'b@x.example'), true);
      assert.equal(await store.lists.deleteMember(list.id, 'b@x.example'), false);
      assert.equal(await countOf(list), 2);
      assert.equal(await store.lists.clearMembers(list.id, 1), 1);
      assert.equal(await countOf(list), 1);
    });

    it('changes a member, also its address when that is free', async () => {
      const { accountId, domain } = await tenant(store);
      const list = await make(accountId, domain);
      await store.lists.putMembers(list.id, [member('a'), member('b')], false);
      assert.equal(await store.lists.changeMember(list.id, 'x@x.example', member('x')), false);
      assert.equal(await store.lists.changeMember(list.id, 'a@x.example', member('b')), false);
      assert.equal(await store.lists.changeMember(list.id, 'a@x.example', member('z', { isSubscribed: false, vars: {} })), true);
      const all = await store.lists.membersFrom(list.id, undefined, 0, 10);
      assert.deepEqual(all, [member('b'), member('z', { isSubscribed: false, vars: {} })]);
      assert.equal(await countOf(list), 2);
    });

    it('shows the members of one list, those that are subscribed or are not', async () => {
      const { accountId, domain } = await tenant(store);
      const [list, other] = [await make(accountId, domain), await make(accountId, domain)];
      const given = ['a', 'b', 'c', 'd'].map((name, i) => member(name, { isSubscribed: i % 2 === 0 }));
      await store.lists.putMembers(list.id, given, false);
      await store.lists.putMembers(other.id, [member('other')], false);
      const names = (found: readonly ListMember[]): string => found.map(({ name }) => name).join('');
      assert.equal(names(await store.lists.memberPage(list.id, { prefix: '', limit: 10, isSubscribed: true })), 'ac');
      assert.equal(names(await store.lists.memberPage(list.id, { prefix: '', limit: 10, isSubscribed: true, after: 'a@x.example' })), 'c');
      assert.equal(names(await store.lists.memberPage(list.id, { prefix: '', limit: 1, isLast: true })), 'd');
      assert.equal(names(await store.lists.membersFrom(list.id, false, 1, 10)), 'd');
      assert.deepEqual([await store.lists.countMembers(list.id, undefined), await store.lists.countMembers(list.id, true)], [4, 2]);
    });
  });
}
