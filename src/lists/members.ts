/** A member of a mailing list as a form, a JSON value or a row of a CSV file says it. Throws AppError for what is none. */
import { isWithin, JSON_BOUNDS } from '#base/json-shape.ts';
import { parseMailbox } from '#mail/address.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { ListMember } from '#store/list-store.ts';

/** What is given; what is not stays as it was, or is empty. */
export interface MemberFields {
  readonly address?: string | undefined;
  readonly name?: string | undefined;
  /** JSON of an object. */
  readonly vars?: string | undefined;
  readonly isSubscribed?: boolean | undefined;
}

const NAME_MAX = 500;
const VARS_MAX = 16 * 1024;
const VARS_DEPTH_MAX = 10;

const NEW_MEMBER: Omit<ListMember, 'address'> = { name: '', vars: {}, isSubscribed: true };

export function memberEntry(given: MemberFields, before?: ListMember): ListMember {
  const mailbox = given.address === undefined ? undefined : parseMailbox(given.address.trim());
  if (given.address !== undefined && mailbox === undefined) throw new AppError('bad-address', { field: 'address' });
  const address = mailbox?.address.toLowerCase() ?? before?.address;
  if (address === undefined) throw badParameter('Missing mandatory parameter: address');
  const { name, vars, isSubscribed } = before ?? NEW_MEMBER;
  const named = given.name ?? (mailbox?.name === '' ? undefined : mailbox?.name);
  return {
    address,
    name: named === undefined ? name : named.slice(0, NAME_MAX),
    // A client whose variables are a map that was not set writes null, and means none given.
    vars: given.vars === undefined || given.vars.trim() === 'null' ? vars : parseVars(given.vars),
    isSubscribed: given.isSubscribed ?? isSubscribed,
  };
}

function parseVars(text: string): Readonly<Record<string, unknown>> {
  if (text.length > VARS_MAX || !isWithin(text, { ...JSON_BOUNDS, depth: VARS_DEPTH_MAX })) throw notVars();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notVars();
  }
  // What PHP makes of an array without entries, whatever it was to be.
  if (Array.isArray(value) && value.length === 0) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw notVars();
  return value as Readonly<Record<string, unknown>>;
}

function notVars(): AppError {
  return badParameter(`'vars' parameter is not a JSON object of at most ${VARS_MAX} characters`);
}
