/** /v3/domains/{domain}/credentials: SMTP logins of a domain. A password made here is shown once. Ours: `disabled`, which switches a login off and on. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { offsetDate } from '#api/conventions/dates.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { checkedLogin, checkPassword } from '#accounts/logins.ts';
import { badParameter } from '#model/errors.ts';
import type { Domain } from '#store/store.ts';
import { credentialsGone } from '#api/shapes/access.ts';
import { fieldOf, fieldsOf, flagOf } from '#api/conventions/fields.ts';
import { readBoolean } from '#api/conventions/booleans.ts';
import { credentialChange, credentialForm, credentialList, credentialMade } from '#api/shapes/domains.ts';

const LIMIT_MAX = 1000;
const AT_ONCE_MAX = 20;
const NOTE = "Please store your new password(s) now. You won't be able to see it anymore.";

export function credentials(door: Door): Endpoint[] {
  const url = '/v3/domains/:domain/credentials';
  return [
    { method: 'GET', url, summary: 'List SMTP logins', right: 'read', answer: credentialList, handle: (call) => list(door, call) },
    {
      method: 'POST',
      url,
      summary: 'Make an SMTP login',
      right: 'write',
      form: credentialForm,
      answer: credentialMade,
      handle: (call) => create(door, call),
    },
    {
      method: 'DELETE',
      url,
      summary: 'Delete all SMTP logins of the domain, but for those of the system',
      right: 'write',
      answer: credentialsGone,
      handle: (call) => removeAll(door, call),
    },
    {
      method: 'PUT',
      url: `${url}/:login`,
      summary: 'Change the password of a login, or switch it off and on',
      right: 'write',
      form: credentialChange,
      answer: credentialMade,
      handle: (call) => change(door, call),
    },
    { method: 'DELETE', url: `${url}/:login`, summary: 'Delete an SMTP login', right: 'write', handle: (call) => remove(door, call) },
  ];
}

async function list(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const limit = numberOf(call, 'limit', 100);
  const skip = numberOf(call, 'skip', 0);
  if (limit > LIMIT_MAX) throw badParameter("Limit parameter can't be larger than 1000");
  const all = await door.deps.accounts.listCredentials(domain.id);
  const items = all.slice(skip, skip + limit).map((credential) => ({
    created_at: offsetDate(credential.createdMs),
    login: credential.login,
    mailbox: credential.login,
    size_bytes: null,
    ...(credential.isDisabled === true && { disabled: true }),
  }));
  return json({ items, total_count: all.length });
}

function numberOf(call: Call, name: string, absent: number): number {
  const text = call.query.get(name);
  if (text === undefined) return absent;
  if (!/^\d{1,9}$/.test(text)) throw badParameter(`'${name}' parameter is not a number`);
  return Number(text);
}

async function create(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const fields = fieldsOf(call);
  const given = [fields.all('login'), fields.all('mailbox')].find((names) => names.length > 0) ?? [];
  if (given.length === 0) throw badParameter("Parameter 'login' is missing");
  if (given.length > AT_ONCE_MAX) throw badParameter(`'login' parameter has ${AT_ONCE_MAX} values at most`);
  const passwords = fields.all('password').map((text) => passwordOf(text));
  if (passwords.length > 0 && passwords.length !== given.length) throw badParameter('there are not as many passwords as logins');
  const isSystem = readBoolean(fieldOf(call, 'system')) ?? false;
  // All are looked at before the first is made: who is refused finds the logins that were there as they were.
  const logins = given.map((login) => checkedLogin(domain, login));
  if (new Set(logins).size < logins.length) throw badParameter("'login' parameter has a value twice");
  for (const password of passwords) checkPassword(password);
  const made: [string, string][] = [];
  for (const [n, login] of logins.entries())
    made.push([login, await door.deps.accounts.putCredential(domain, login, passwords[n], isSystem)]);
  const message = `Created ${made.length} credentials pair(s)`;
  return json(passwords.length === 0 ? { message, note: NOTE, credentials: Object.fromEntries(made) } : { message });
}

async function change(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const login = fullLogin(call.param('login'), domain);
  const known = await door.deps.accounts.listCredentials(domain.id);
  if (!known.some((credential) => credential.login === login)) throw new NotFound('Credentials not found');
  const isDisabled = flagOf(fieldsOf(call), 'disabled');
  const password = passwordOf(fieldOf(call, 'password'));
  if (isDisabled !== undefined) await door.deps.accounts.setCredentialDisabled(domain, login, isDisabled);
  // Who switches alone keeps the password.
  if (isDisabled !== undefined && password === undefined) return json({ message: isDisabled ? 'Login disabled' : 'Login enabled' });
  const stands = await door.deps.accounts.putCredential(domain, login, password);
  const message = 'Password changed';
  return json(password === undefined ? { message, note: NOTE, credentials: { [login]: stands } } : { message });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const login = fullLogin(call.param('login'), domain);
  const known = await door.deps.accounts.listCredentials(domain.id);
  if (known.some((credential) => credential.login === login && credential.isSystem === true))
    throw badParameter(`Cannot delete system mailbox: ${login}`);
  if (!(await door.deps.accounts.deleteCredential(domain, login))) throw new NotFound('Credentials not found');
  return json({ message: 'Credentials have been deleted', spec: login });
}

async function removeAll(door: Door, call: Call): Promise<Answer> {
  const count = await door.deps.accounts.deleteCredentials(await domainOf(door, call));
  return json({ message: 'All domain credentials have been deleted', count });
}

function passwordOf<T extends string | undefined>(text: T): T {
  if (text !== undefined && (text.length < 5 || text.length > 32)) {
    throw badParameter('Password is too short. It must be between 5 and 32 characters.');
  }
  return text;
}

function fullLogin(login: string, domain: Domain): string {
  return (login.includes('@') ? login : `${login}@${domain.name}`).toLowerCase();
}
