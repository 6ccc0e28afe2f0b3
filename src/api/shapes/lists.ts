/** Shapes of the endpoints of mailing lists, for openapi.json. */
import { z } from 'zod';
import { suppressionList } from './suppressions.ts';

export const listShape = z.object({
  access_level: z.enum(['readonly', 'members', 'everyone']),
  address: z.string(),
  created_at: z.string(),
  description: z.string(),
  members_count: z.number(),
  name: z.string(),
  reply_preference: z.enum(['list', 'sender']),
});

export const memberShape = z.object({
  address: z.string(),
  name: z.string(),
  subscribed: z.boolean(),
  vars: z.record(z.string(), z.unknown()),
});

export const listForm = z.object({
  address: z.string().describe('At a domain of the account'),
  name: z.string().optional(),
  description: z.string().optional(),
  access_level: z.string().optional().describe('readonly (the default), members or everyone: who may send to it'),
  reply_preference: z.string().optional().describe('list (the default) or sender: whom replies go to'),
});
export const listChange = listForm.partial();

export const memberForm = z.object({
  address: z.string(),
  name: z.string().optional(),
  vars: z.string().optional().describe('JSON of an object: values for %recipient.KEY%'),
  subscribed: z.string().optional(),
  upsert: z.string().optional().describe('yes: replace a member that exists'),
});
export const memberChange = memberForm.omit({ upsert: true }).partial();

export const membersForm = z.object({
  members: z.string().describe('JSON of an array of up to 1000 addresses or members'),
  upsert: z.string().optional(),
});
export const membersFile = z.object({
  members: z.string().describe('A CSV file of up to 5 MB with the columns address, name, vars and subscribed'),
  subscribed: z.string().optional().describe('Of rows that do not say so'),
  upsert: z.string().optional(),
});

export const skipQuery = z.object({ limit: z.string().optional(), skip: z.string().optional(), address: z.string().optional() });
export const membersQuery = skipQuery.extend({ subscribed: z.string().optional() });
export const listPagesQuery = z.object({ limit: z.string().optional(), page: z.string().optional(), address: z.string().optional() });
export const memberPagesQuery = listPagesQuery.extend({ subscribed: z.string().optional() });

export const listAnswer = z.object({ message: z.string().optional(), list: listShape });
export const listRemoved = z.object({ address: z.string(), message: z.string() });
export const memberAnswer = z.object({ member: memberShape, message: z.string().optional() });
export const uploadAnswer = z.object({ list: listShape, 'task-id': z.string(), message: z.string() });
export const counted = <T extends z.ZodType>(item: T) => z.object({ total_count: z.number(), items: z.array(item) });
export const paged = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), paging: suppressionList.shape.paging });
