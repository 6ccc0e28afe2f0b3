/** Mailing lists and their members on PostgreSQL. Who changes members holds the list's row, so that its count is right. */
import { domainOfList, type ListFacts, type ListMember, listOf, type ListStore, type MailingList, memberOf } from '#store/list-store.ts';
import { one } from '#store/rows-json.ts';
import { int2Array, textArray } from './arrays.ts';
import type { Database, Queries } from './database.ts';
import { pageOf } from './suppressions.ts';
import { isUniqueViolation } from './trouble.ts';

const COUNT = 'UPDATE mailing_list SET members_count = members_count + $1 WHERE id = $2';
const HOLD = 'SELECT 1 FROM mailing_list WHERE id = $1 FOR UPDATE';
const OF_STATE = (isSubscribed: boolean | undefined): string =>
  isSubscribed === undefined ? '' : ` AND is_subscribed = ${isSubscribed ? 1 : 0}`;

export function listTables(db: Database): ListStore {
  return { ...lists(db), ...members(db) };
}

function lists(db: Database) {
  return {
    async createList(list: ListFacts): Promise<MailingList | undefined> {
      const { accountId, address, name, description, accessLevel, replyPreference, createdMs } = list;
      const row = await db.get(
        `INSERT INTO mailing_list (account_id, address, domain, name, description, access_level, reply_preference, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (address) DO NOTHING RETURNING *`,
        accountId,
        address,
        domainOfList(address),
        name,
        description,
        accessLevel,
        replyPreference,
        createdMs,
      );
      return one(row, listOf);
    },
    listByAddress: async (accountId: number, address: string): Promise<MailingList | undefined> =>
      one(await db.get('SELECT * FROM mailing_list WHERE address = $1 AND account_id = $2', address, accountId), listOf),
    async changeList(id: number, { address, name, description, accessLevel, replyPreference }: ListFacts): Promise<boolean> {
      try {
        await db.run(
          'UPDATE mailing_list SET address = $2, domain = $3, name = $4, description = $5, access_level = $6, reply_preference = $7 WHERE id = $1',
          id,
          address,
          domainOfList(address),
          name,
          description,
          accessLevel,
          replyPreference,
        );
        return true;
      } catch (error) {
        if (isUniqueViolation(error)) return false;
        throw error;
      }
    },
    deleteList: (id: number): Promise<void> =>
      db.transaction(async (queries) => {
        await queries.get(HOLD, id);
        await queries.run('DELETE FROM list_member WHERE list_id = $1', id);
        await queries.run('DELETE FROM mailing_list WHERE id = $1', id);
      }),
    listPage: async (accountId: number, ask: Parameters<ListStore['listPage']>[1]): Promise<MailingList[]> =>
      (await pageOf(db, 'SELECT * FROM mailing_list WHERE account_id = $1', 'address', [accountId], ask)).map(listOf),
    listsFrom: async (accountId: number, skip: number, limit: number): Promise<MailingList[]> =>
      (await db.all('SELECT * FROM mailing_list WHERE account_id = $1 ORDER BY address LIMIT $2 OFFSET $3', accountId, limit, skip)).map(
        listOf,
      ),
    countLists: async (accountId: number): Promise<number> =>
      Number((await db.get('SELECT count(*)::integer AS n FROM mailing_list WHERE account_id = $1', accountId))?.['n']),
    listDomains: async (): Promise<string[]> =>
      (await db.all('SELECT DISTINCT domain FROM mailing_list')).map((row) => String(row['domain'])),
  };
}

async function write(queries: Queries, list: number, given: readonly ListMember[]): Promise<void> {
  const rows = [...new Map(given.map((member) => [member.address, member])).values()].sort((a, b) => (a.address < b.address ? -1 : 1));
  await queries.run(
    `INSERT INTO list_member (list_id, address, name, vars, is_subscribed)
     SELECT $1::bigint, g.address, g.name, g.vars, g.is_subscribed FROM unnest($2::text[], $3::text[], $4::text[], $5::smallint[]) AS g (address, name, vars, is_subscribed)
     ON CONFLICT (list_id, address) DO UPDATE SET name = excluded.name, vars = excluded.vars, is_subscribed = excluded.is_subscribed`,
    list,
    textArray(rows.map(({ address }) => address)),
    textArray(rows.map(({ name }) => name)),
    textArray(rows.map(({ vars }) => JSON.stringify(vars))),
    int2Array(rows.map(({ isSubscribed }) => (isSubscribed ? 1 : 0))),
  );
}

async function existing(queries: Queries, list: number, addresses: readonly string[]): Promise<Set<string>> {
  const rows = await queries.all(
    'SELECT address FROM list_member WHERE list_id = $1 AND address = ANY ($2::text[])',
    list,
    textArray(addresses),
  );
  return new Set(rows.map((row) => String(row['address'])));
}

function members(db: Database) {
  return {
    putMembers: (list: number, given: readonly ListMember[], isUpsert: boolean): Promise<string | undefined> =>
      db.transaction(async (queries) => {
        await queries.get(HOLD, list);
        const addresses = [...new Set(given.map(({ address }) => address))];
        const known = await existing(queries, list, addresses);
        const clash = given.find(({ address }) => known.has(address));
        if (!isUpsert && clash !== undefined) return clash.address;
        await write(queries, list, given);
        await queries.run(COUNT, addresses.length - known.size, list);
        return undefined;
      }),
    memberOf: async (list: number, address: string): Promise<ListMember | undefined> =>
      one(await db.get('SELECT * FROM list_member WHERE list_id = $1 AND address = $2', list, address), memberOf),
    changeMember: (list: number, address: string, member: ListMember): Promise<boolean> =>
      db.transaction(async (queries) => {
        await queries.get(HOLD, list);
        const known = await existing(queries, list, [address, member.address]);
        if (!known.has(address) || (member.address !== address && known.has(member.address))) return false;
        await queries.run('DELETE FROM list_member WHERE list_id = $1 AND address = $2', list, address);
        await write(queries, list, [member]);
        return true;
      }),
    setSubscribed: (list: number, address: string, isSubscribed: boolean): Promise<boolean> =>
      db.transaction((queries) => setSubscribed(queries, list, address, isSubscribed)),
    deleteMember: (list: number, address: string): Promise<boolean> =>
      db.transaction(async (queries) => {
        await queries.get(HOLD, list);
        const deleted = await queries.run('DELETE FROM list_member WHERE list_id = $1 AND address = $2', list, address);
        await queries.run(COUNT, -deleted, list);
        return deleted > 0;
      }),
    clearMembers: (list: number, limit: number): Promise<number> =>
      db.transaction(async (queries) => {
        await queries.get(HOLD, list);
        const deleted = await queries.run(
          'DELETE FROM list_member WHERE ctid = ANY (ARRAY(SELECT ctid FROM list_member WHERE list_id = $1 LIMIT $2))',
          list,
          limit,
        );
        await queries.run(COUNT, -deleted, list);
        return deleted;
      }),
    memberPage: async (list: number, ask: Parameters<ListStore['memberPage']>[1]): Promise<ListMember[]> =>
      (await pageOf(db, `SELECT * FROM list_member WHERE list_id = $1${OF_STATE(ask.isSubscribed)}`, 'address', [list], ask)).map(memberOf),
    membersFrom: async (list: number, isSubscribed: boolean | undefined, skip: number, limit: number): Promise<ListMember[]> =>
      (
        await db.all(
          `SELECT * FROM list_member WHERE list_id = $1${OF_STATE(isSubscribed)} ORDER BY address LIMIT $2 OFFSET $3`,
          list,
          limit,
          skip,
        )
      ).map(memberOf),
    countMembers: async (list: number, isSubscribed: boolean | undefined): Promise<number> =>
      Number((await db.get(`SELECT count(*)::integer AS n FROM list_member WHERE list_id = $1${OF_STATE(isSubscribed)}`, list))?.['n']),
  };
}

export async function setSubscribed(queries: Queries, list: number, address: string, isSubscribed: boolean): Promise<boolean> {
  // What replaces a member takes its row away for a moment.
  await queries.get(HOLD, list);
  const sql = 'UPDATE list_member SET is_subscribed = $3 WHERE list_id = $1 AND address = $2';
  return (await queries.run(sql, list, address, isSubscribed ? 1 : 0)) > 0;
}
