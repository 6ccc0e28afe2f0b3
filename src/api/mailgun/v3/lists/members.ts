/** /v3/lists/{list}/members: who is on a mailing list, one by one, many at once as JSON or CSV. */
import { randomHex } from '#base/random.ts';
import { CsvReader } from '#base/csv.ts';
import { plainAddress } from '#lists/entries.ts';
import { rowFields } from '#lists/import-files.ts';
import { memberEntry, type MemberFields } from '#lists/members.ts';
import { badParameter } from '#model/errors.ts';
import type { ListMember, MailingList } from '#store/list-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { readBoolean } from '#api/conventions/booleans.ts';
import { entryFields } from '#api/conventions/entry-fields.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { parseJson } from '#api/conventions/json.ts';
import { requiredList, shownList, shownMember, skipOf } from '#api/conventions/mailing-lists.ts';
import { pageAsk, pageLimit, pagingOf } from '#api/conventions/pivot-pages.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  counted,
  memberAnswer,
  memberChange,
  memberForm,
  memberPagesQuery,
  memberShape,
  membersFile,
  membersForm,
  membersQuery,
  paged,
  uploadAnswer,
} from '#api/shapes/lists.ts';

const AT = '/v3/lists/:list/members';
const LIMIT_MAX = 100;
const BATCH_MAX = 1000;
/** Of more the hosted service says that it works on them in the background. */
const TOLD_AT_ONCE_MAX = 100;
const CSV_MAX_MEGABYTES = 5;
const MEGABYTE = 1024 * 1024;
const MEMBERS_MAX = 2_500_000;

export function listMembers(door: Door): Endpoint[] {
  const to = (work: (door: Door, call: Call, list: MailingList) => Promise<Answer>) => async (call: Call) =>
    work(door, call, await requiredList(door, call));
  const read = { method: 'GET', right: 'read' } as const;
  const add = { method: 'POST', right: 'write' } as const;
  return [
    { ...read, url: AT, summary: 'Members', query: membersQuery, answer: counted(memberShape), handle: to(listed) },
    { ...read, url: `${AT}/pages`, summary: 'Members by pages', query: memberPagesQuery, answer: paged(memberShape), handle: to(pages) },
    { ...add, url: AT, summary: 'Add a member', form: memberForm, answer: memberAnswer, handle: to(addOne) },
    { ...add, url: `${AT}.json`, summary: 'Add members as JSON', form: membersForm, answer: uploadAnswer, handle: to(addJson) },
    { ...add, url: `${AT}.csv`, summary: 'Add members out of a CSV file', form: membersFile, answer: uploadAnswer, handle: to(addCsv) },
    { ...read, url: `${AT}/:member`, summary: 'One member', answer: memberAnswer, handle: to(one) },
    {
      method: 'PUT',
      url: `${AT}/:member`,
      summary: 'Change a member',
      right: 'write',
      form: memberChange,
      answer: memberAnswer,
      handle: to(change),
    },
    { method: 'DELETE', url: `${AT}/:member`, summary: 'Remove a member', right: 'write', handle: to(remove) },
  ];
}

async function listed(door: Door, call: Call, list: MailingList): Promise<Answer> {
  const { lists } = door.deps.store;
  const address = call.query.get('address');
  const isSubscribed = readBoolean(call.query.get('subscribed'));
  if (address !== undefined) {
    const found = await lists.memberOf(list.id, plainAddress(address) ?? '');
    return json({ total_count: found === undefined ? 0 : 1, items: found === undefined ? [] : [shownMember(found)] });
  }
  const items = await lists.membersFrom(list.id, isSubscribed, skipOf(call), pageLimit(call, LIMIT_MAX));
  const total = isSubscribed === undefined ? list.membersCount : await lists.countMembers(list.id, isSubscribed);
  return json({ total_count: total, items: items.map(shownMember) });
}

async function pages(door: Door, call: Call, list: MailingList): Promise<Answer> {
  const text = call.query.get('subscribed');
  const isSubscribed = readBoolean(text);
  const ask = { ...pageAsk(call), limit: pageLimit(call, LIMIT_MAX), ...(isSubscribed !== undefined && { isSubscribed }) };
  const items = await door.deps.store.lists.memberPage(list.id, ask);
  const keys = items.map(({ address }) => address);
  const more = isSubscribed === undefined ? '' : `&subscribed=${isSubscribed ? 'yes' : 'no'}`;
  return json({ items: items.map(shownMember), paging: pagingOf(call, `/v3/lists/${list.address}/members/pages`, ask, keys, more) });
}

async function addOne(door: Door, call: Call, list: MailingList): Promise<Answer> {
  const member = memberEntry(fieldsOf(call.body.json ?? call.body.form));
  await put(door, list, [member], isUpsert(call));
  return json({ member: shownMember(member), message: 'Mailing list member has been created' });
}

async function put(door: Door, list: MailingList, members: readonly ListMember[], mayReplace: boolean): Promise<void> {
  if (list.membersCount + members.length > MEMBERS_MAX) throw badParameter(`too many members, max is ${MEMBERS_MAX}`);
  const clash = await door.deps.store.lists.putMembers(list.id, members, mayReplace);
  if (clash !== undefined) throw badParameter(`Address already exists '${clash}'`);
}

function isUpsert(call: Call): boolean {
  const { json: body, form } = call.body;
  const inBody = body === undefined || Array.isArray(body) ? undefined : given(body, 'upsert');
  return readBoolean(inBody ?? form.get('upsert') ?? call.query.get('upsert')) === true;
}

/** A value of a JSON object as the text that a form would have. */
function given(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  const found = (value as Readonly<Record<string, unknown>>)[name];
  if (found === null || found === undefined) return undefined;
  return typeof found === 'string' ? found : JSON.stringify(found);
}

function fieldsOf(value: unknown, otherwise?: boolean): MemberFields {
  if (typeof value === 'string') return { address: value, isSubscribed: otherwise };
  const { one: field } = entryFields(value);
  const text = (name: string): string | undefined => field(name) ?? given(value, name);
  return { address: text('address'), name: text('name'), vars: text('vars'), isSubscribed: readBoolean(text('subscribed')) ?? otherwise };
}

async function addJson(door: Door, call: Call, list: MailingList): Promise<Answer> {
  const { json: body, form } = call.body;
  const text = form.text('members') ?? call.query.get('members') ?? given(body, 'members');
  const members = Array.isArray(body) ? (body as unknown[]) : text === undefined ? undefined : parseJson(text, door.limits);
  if (!Array.isArray(members)) throw badParameter("'members' parameter is not a valid JSON array");
  if (members.length > BATCH_MAX) throw badParameter(`Batch size should be less than ${BATCH_MAX}`);
  await put(
    door,
    list,
    members.map((member) => memberEntry(fieldsOf(member))),
    isUpsert(call),
  );
  return uploaded(door, call, members.length);
}

async function addCsv(door: Door, call: Call, list: MailingList): Promise<Answer> {
  const { form } = call.body;
  const bytes = form.filesNamed('members')[0]?.bytes ?? Buffer.from(form.get('members') ?? '');
  if (bytes.length === 0) throw badParameter('Missing mandatory parameter: members');
  if (bytes.length > CSV_MAX_MEGABYTES * MEGABYTE) throw badParameter(`CSV file is too big, max allowed size is ${CSV_MAX_MEGABYTES} MB`);
  const members = readCsv(bytes, readBoolean(form.get('subscribed') ?? call.query.get('subscribed')));
  for (let start = 0; start < members.length; start += BATCH_MAX) {
    await put(door, list, members.slice(start, start + BATCH_MAX), isUpsert(call));
  }
  return uploaded(door, call, members.length);
}

/** Every row is looked at before the first is written. */
function readCsv(bytes: Buffer, subscribed: boolean | undefined): ListMember[] {
  const reader = new CsvReader(bytes);
  const columns = (reader.next() ?? []).map((name) => name.trim().toLowerCase());
  if (!columns.includes('address')) throw badParameter('while reading csv header');
  const members: ListMember[] = [];
  for (let row = reader.next(); row !== undefined; row = reader.next()) {
    const { one: field } = rowFields(columns, row);
    const isSubscribed = readBoolean(field('subscribed')) ?? subscribed;
    members.push(memberEntry({ address: field('address') ?? '', name: field('name'), vars: field('vars'), isSubscribed }));
  }
  return members;
}

async function uploaded(door: Door, call: Call, count: number): Promise<Answer> {
  const message = count > TOLD_AT_ONCE_MAX ? 'Mailing list upload started in background' : 'Mailing list has been updated';
  return json({ list: shownList(await requiredList(door, call)), 'task-id': randomHex(8), message });
}

function missing(call: Call, list: MailingList): NotFound {
  return new NotFound(`Member ${call.param('member').slice(0, 320)} of mailing list ${list.address} not found`);
}

async function requiredMember(door: Door, call: Call, list: MailingList): Promise<ListMember> {
  const address = plainAddress(call.param('member'));
  const member = address === undefined ? undefined : await door.deps.store.lists.memberOf(list.id, address);
  if (member === undefined) throw missing(call, list);
  return member;
}

async function one(door: Door, call: Call, list: MailingList): Promise<Answer> {
  return json({ member: shownMember(await requiredMember(door, call, list)) });
}

async function change(door: Door, call: Call, list: MailingList): Promise<Answer> {
  const before = await requiredMember(door, call, list);
  const member = memberEntry(fieldsOf(call.body.json ?? call.body.form), before);
  if (!(await door.deps.store.lists.changeMember(list.id, before.address, member)))
    throw badParameter(`Address already exists '${member.address}'`);
  return json({ member: shownMember(member), message: 'Mailing list member has been updated' });
}

async function remove(door: Door, call: Call, list: MailingList): Promise<Answer> {
  const { address } = await requiredMember(door, call, list);
  if (!(await door.deps.store.lists.deleteMember(list.id, address))) throw missing(call, list);
  return json({ member: { address }, message: 'Mailing list member has been deleted' });
}
