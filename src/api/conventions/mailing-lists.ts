/** What the endpoints of mailing lists share: finding a list for its account (P10), and how lists and members are shown. */
import { plainAddress } from '#lists/entries.ts';
import type { ListMember, MailingList } from '#store/list-store.ts';
import { countOf } from './fields.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { listDate } from './dates.ts';
import { NotFound } from './errors.ts';

export async function requiredList(door: Door, call: Call): Promise<MailingList> {
  const text = call.param('list');
  const address = plainAddress(text);
  const list = address === undefined ? undefined : await door.deps.store.lists.listByAddress(call.principal.accountId, address);
  if (list === undefined) throw new NotFound(`Mailing list ${text.slice(0, 320)} not found`);
  return list;
}

export function shownList(list: MailingList): Record<string, unknown> {
  return {
    access_level: list.accessLevel,
    address: list.address,
    created_at: listDate(list.createdMs),
    description: list.description,
    members_count: list.membersCount,
    name: list.name,
    reply_preference: list.replyPreference,
  };
}

export function shownMember({ address, name, vars, isSubscribed }: ListMember): Record<string, unknown> {
  return { address, name, subscribed: isSubscribed, vars };
}

const SKIP_MAX = 1_000_000_000;

export function skipOf(call: Call): number {
  return countOf(call, 'skip', 0, SKIP_MAX);
}
