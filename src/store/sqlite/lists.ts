/** Mailing lists and their members on the embedded store. */
import { domainOfList, type ListFacts, type ListMember, listOf, type ListStore, type MailingList, memberOf } from '#store/list-store.ts';
import { one } from '#store/rows-json.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';
import { pageOf } from './suppressions.ts';

const COUNT = 'UPDATE mailing_list SET members_count = members_count + ? WHERE id = ?';
const OF_STATE = (isSubscribed: boolean | undefined): string =>
  isSubscribed === undefined ? '' : ` AND is_subscribed = ${isSubscribed ? 1 : 0}`;

export function listTables(db: Database): Synchronous<ListStore> {
  return { ...lists(db), ...members(db) };
}

function lists(db: Database) {
  const isTaken = (address: string, but: number): boolean =>
    db.get('SELECT 1 FROM mailing_list WHERE address = ? AND id <> ?', address, but) !== undefined;
  return {
    createList(list: ListFacts): MailingList | undefined {
      const { accountId, address, name, description, accessLevel, replyPreference, createdMs } = list;
      if (isTaken(address, 0)) return undefined;
      const id = db.insert(
        'INSERT INTO mailing_list (account_id, address, domain, name, description, access_level, reply_preference, created_ms) VALUES (?,?,?,?,?,?,?,?)',
        accountId,
        address,
        domainOfList(address),
        name,
        description,
        accessLevel,
        replyPreference,
        createdMs,
      );
      return { ...list, id, membersCount: 0 };
    },
    listByAddress: (accountId: number, address: string): MailingList | undefined =>
      one(db.get('SELECT * FROM mailing_list WHERE address = ? AND account_id = ?', address, accountId), listOf),
    changeList(id: number, { address, name, description, accessLevel, replyPreference }: ListFacts): boolean {
      if (isTaken(address, id)) return false;
      db.run(
        'UPDATE mailing_list SET address = ?, domain = ?, name = ?, description = ?, access_level = ?, reply_preference = ? WHERE id = ?',
        address,
        domainOfList(address),
        name,
        description,
        accessLevel,
        replyPreference,
        id,
      );
      return true;
    },
    deleteList(id: number): void {
      db.run('DELETE FROM list_member WHERE list_id = ?', id);
      db.run('DELETE FROM mailing_list WHERE id = ?', id);
    },
    listPage: (accountId: number, ask: Parameters<typeof pageOf>[4]): MailingList[] =>
      pageOf(db, 'SELECT * FROM mailing_list WHERE account_id = ?', 'address', [accountId], ask).map(listOf),
    listsFrom: (accountId: number, skip: number, limit: number): MailingList[] =>
      db.all('SELECT * FROM mailing_list WHERE account_id = ? ORDER BY address LIMIT ? OFFSET ?', accountId, limit, skip).map(listOf),
    countLists: (accountId: number): number =>
      Number(db.get('SELECT count(*) AS n FROM mailing_list WHERE account_id = ?', accountId)?.['n']),
    listDomains: (): string[] => db.all('SELECT DISTINCT domain FROM mailing_list').map((row) => String(row['domain'])),
  };
}

function members(db: Database) {
  const insert = (list: number, { address, name, vars, isSubscribed }: ListMember): void => {
    db.run(
      'INSERT INTO list_member (list_id, address, name, vars, is_subscribed) VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET name = excluded.name, vars = excluded.vars, is_subscribed = excluded.is_subscribed',
      list,
      address,
      name,
      JSON.stringify(vars),
      isSubscribed ? 1 : 0,
    );
  };
  const has = (list: number, address: string): boolean =>
    db.get('SELECT 1 FROM list_member WHERE list_id = ? AND address = ?', list, address) !== undefined;
  return {
    putMembers(list: number, given: readonly ListMember[], isUpsert: boolean): string | undefined {
      const fresh = new Set(given.map(({ address }) => address).filter((address) => !has(list, address)));
      const existing = given.find(({ address }) => !fresh.has(address));
      if (!isUpsert && existing !== undefined) return existing.address;
      for (const member of given) insert(list, member);
      db.run(COUNT, fresh.size, list);
      return undefined;
    },
    memberOf: (list: number, address: string): ListMember | undefined =>
      one(db.get('SELECT * FROM list_member WHERE list_id = ? AND address = ?', list, address), memberOf),
    changeMember(list: number, address: string, member: ListMember): boolean {
      if (!has(list, address) || (member.address !== address && has(list, member.address))) return false;
      db.run('DELETE FROM list_member WHERE list_id = ? AND address = ?', list, address);
      insert(list, member);
      return true;
    },
    setSubscribed: (list: number, address: string, isSubscribed: boolean): boolean => setSubscribed(db, list, address, isSubscribed),
    deleteMember(list: number, address: string): boolean {
      const deleted = db.run('DELETE FROM list_member WHERE list_id = ? AND address = ?', list, address);
      db.run(COUNT, -deleted, list);
      return deleted > 0;
    },
    clearMembers(list: number, limit: number): number {
      const deleted = db.run(
        'DELETE FROM list_member WHERE (list_id, address) IN (SELECT list_id, address FROM list_member WHERE list_id = ? LIMIT ?)',
        list,
        limit,
      );
      db.run(COUNT, -deleted, list);
      return deleted;
    },
    memberPage: (list: number, ask: Parameters<ListStore['memberPage']>[1]): ListMember[] =>
      pageOf(db, `SELECT * FROM list_member WHERE list_id = ?${OF_STATE(ask.isSubscribed)}`, 'address', [list], ask).map(memberOf),
    membersFrom: (list: number, isSubscribed: boolean | undefined, skip: number, limit: number): ListMember[] =>
      db
        .all(`SELECT * FROM list_member WHERE list_id = ?${OF_STATE(isSubscribed)} ORDER BY address LIMIT ? OFFSET ?`, list, limit, skip)
        .map(memberOf),
    countMembers: (list: number, isSubscribed: boolean | undefined): number =>
      Number(db.get(`SELECT count(*) AS n FROM list_member WHERE list_id = ?${OF_STATE(isSubscribed)}`, list)?.['n']),
  };
}

export function setSubscribed(db: Database, list: number, address: string, isSubscribed: boolean): boolean {
  return db.run('UPDATE list_member SET is_subscribed = ? WHERE list_id = ? AND address = ?', isSubscribed ? 1 : 0, list, address) > 0;
}
