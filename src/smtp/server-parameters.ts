/**
 * The arguments of MAIL and RCPT: path and ESMTP parameters (RFC 5321 §4.1.2, SIZE RFC 1870, BODY RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461,
 * AUTH= RFC 4954 §5). Everything is checked: a parameter that is unknown, not offered, given twice or out of its range is refused, never ignored.
 */
import { parsePath } from '#mail/address.ts';
import type { EnvelopeRecipient, Notify } from '#model/submission.ts';
import type { Extensions, MailCommand, RcptCommand, ServerReply, SmtpPath } from './server-hooks.ts';

export interface ParameterRules {
  readonly extensions: Extensions;
  readonly isEsmtp: boolean;
  /** AUTH= may be given. */
  readonly offersAuth: boolean;
  /** Whom "postmaster" without a domain means. */
  readonly postmaster?: string | undefined;
}

/** RFC 3461 §4.4 and §4.2. */
const ENVID_MAX = 100;
const ORCPT_MAX = 500;
/** RFC 3461 §4: printable ASCII without "+" and "=", or +XX with upper-case hexadecimal digits. */
const XTEXT = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/;
/** RFC 6533 §3 for the utf-8 address type: besides, \x{HEX} and UTF-8 itself. */
const UTF8_XTEXT = /^(?:[!-*,-<>-~\u0080-\u{10ffff}]|\+[0-9A-F]{2})*$/u;
const KEYWORD = /^[A-Za-z0-9][A-Za-z0-9-]*$/;
const NOTIFY_VALUES = new Set(['SUCCESS', 'FAILURE', 'DELAY']);

export function parseMail(argument: string, rules: ParameterRules): MailCommand | ServerReply {
  const split = splitArgument(argument, 'FROM:', rules);
  if ('code' in split) return split;
  const { parameters } = split;
  let sizeBytes: number | undefined;
  let body: '7BIT' | '8BITMIME' = '7BIT';
  let ret: 'FULL' | 'HDRS' | undefined;
  let envid: string | undefined;
  const smtputf8 = parameters.has('SMTPUTF8');
  for (const [name, value] of parameters) {
    if (name === 'SIZE' && rules.extensions.SIZE) {
      if (value === undefined || !/^\d{1,20}$/.test(value)) return badValue(name);
      sizeBytes = Number(value);
    } else if (name === 'BODY' && rules.extensions['8BITMIME']) {
      const upper = value?.toUpperCase();
      if (upper === 'BINARYMIME') return { code: 555, enhanced: '5.5.4', text: 'BINARYMIME is not offered' };
      if (upper !== '7BIT' && upper !== '8BITMIME') return badValue(name);
      body = upper;
    } else if (name === 'SMTPUTF8' && rules.extensions.SMTPUTF8) {
      if (value !== undefined) return badValue(name);
    } else if (name === 'RET' && rules.extensions.DSN) {
      const upper = value?.toUpperCase();
      if (upper !== 'FULL' && upper !== 'HDRS') return badValue(name);
      ret = upper;
    } else if (name === 'ENVID' && rules.extensions.DSN) {
      if (value === undefined || value === '' || value.length > ENVID_MAX || !XTEXT.test(value)) return badValue(name);
      envid = value;
    } else if (name === 'AUTH' && rules.offersAuth) {
      // RFC 4954 §5: who submitted it first. We trust no client with that, as §5 allows, but the syntax must be right.
      if (value === undefined || value === '' || value.length > ORCPT_MAX || (value !== '<>' && !XTEXT.test(value))) return badValue(name);
    } else return notOffered(name);
  }
  const path = split.path === '' ? NULL_PATH : parsePath(split.path, { allowNull: true });
  const trouble = pathTrouble(split.path, path, smtputf8, '5.1.7');
  if (trouble !== undefined) return trouble;
  const sender = path as SmtpPath;
  const envelope = { sender: sender.address, smtputf8, body, ret, envid, recipients: [] };
  return { path: sender, sizeBytes, envelope };
}

export function parseRcpt(argument: string, rules: ParameterRules, smtputf8: boolean): RcptCommand | ServerReply {
  const split = splitArgument(argument, 'TO:', rules);
  if ('code' in split) return split;
  let notify: readonly Notify[] | undefined;
  let orcpt: string | undefined;
  for (const [name, value] of split.parameters) {
    if (name === 'NOTIFY' && rules.extensions.DSN) {
      notify = parseNotify(value);
      if (notify === undefined) return badValue(name);
    } else if (name === 'ORCPT' && rules.extensions.DSN) {
      if (value === undefined || !isOriginalRecipient(value, smtputf8)) return badValue(name);
      orcpt = value;
    } else return notOffered(name);
  }
  const isPostmaster = rules.postmaster !== undefined && split.path.toLowerCase() === 'postmaster';
  const named = isPostmaster ? (rules.postmaster as string) : split.path;
  const path = named === '' ? undefined : parsePath(named, { allowNull: false });
  const trouble = pathTrouble(named, path, smtputf8, '5.1.3');
  if (trouble !== undefined) return trouble;
  const recipient: EnvelopeRecipient = { address: (path as SmtpPath).address, notify, orcpt };
  return { path: path as SmtpPath, recipient };
}

const NULL_PATH: SmtpPath = { local: '', domain: '', address: '', isUtf8: false };
const NO_PARAMETERS: ReadonlyMap<string, string | undefined> = new Map();

interface Split {
  readonly path: string;
  readonly parameters: ReadonlyMap<string, string | undefined>;
}

/** "FROM:<a@b> SIZE=1" into what is between the brackets and the parameters by upper-case name. Spaces after the colon are forgiven: many programs write them. */
function splitArgument(argument: string, keyword: string, rules: ParameterRules): Split | ServerReply {
  if (argument.slice(0, keyword.length).toUpperCase() !== keyword) return syntax(keyword);
  const text = argument.slice(keyword.length).trimStart();
  if (text.charCodeAt(0) !== 0x3c) return syntax(keyword);
  const end = closingBracket(text);
  if (end === -1) return syntax(keyword);
  const path = text.slice(1, end);
  if (end + 1 === text.length) return { path, parameters: NO_PARAMETERS };
  if (text.charCodeAt(end + 1) !== 0x20) return syntax(keyword);
  const parameters = new Map<string, string | undefined>();
  for (const word of text.slice(end + 1).split(' ')) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    const name = (equals === -1 ? word : word.slice(0, equals)).toUpperCase();
    if (!KEYWORD.test(name)) return syntax(keyword);
    if (parameters.has(name)) return { code: 501, enhanced: '5.5.4', text: `Parameter ${name} is given twice` };
    parameters.set(name, equals === -1 ? undefined : word.slice(equals + 1));
  }
  if (!rules.isEsmtp && parameters.size > 0) return { code: 555, enhanced: '5.5.4', text: 'Parameters need EHLO' };
  return { path, parameters };
}

/** Index of the ">" that closes the "<" at 0, or -1. In a quoted local part, ">" is a character like any other (RFC 5321 §4.1.2). */
function closingBracket(text: string): number {
  if (!text.includes('"')) return text.indexOf('>');
  let quoted = false;
  for (let i = 1; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (quoted && char === 0x5c) i++;
    else if (char === 0x22) quoted = !quoted;
    else if (char === 0x3e && !quoted) return i;
  }
  return -1;
}

function parseNotify(value: string | undefined): readonly Notify[] | undefined {
  const words = (value ?? '').toUpperCase().split(',');
  if (words.length === 1 && words[0] === 'NEVER') return ['NEVER'];
  if (words.length > NOTIFY_VALUES.size || new Set(words).size !== words.length) return undefined;
  return words.every((word) => NOTIFY_VALUES.has(word)) ? (words as Notify[]) : undefined;
}

/** RFC 3461 §4.2: address type, ";", xtext. The utf-8 type (RFC 6533 §3) may hold UTF-8 where SMTPUTF8 was asked for. */
function isOriginalRecipient(value: string, smtputf8: boolean): boolean {
  const semicolon = value.indexOf(';');
  if (semicolon < 1 || value.length > ORCPT_MAX || semicolon === value.length - 1) return false;
  const type = value.slice(0, semicolon);
  const rest = value.slice(semicolon + 1);
  if (!KEYWORD.test(type)) return false;
  return smtputf8 && type.toLowerCase() === 'utf-8' ? UTF8_XTEXT.test(rest) : XTEXT.test(rest);
}

function pathTrouble(text: string, path: SmtpPath | undefined, smtputf8: boolean, enhanced: string): ServerReply | undefined {
  if (!smtputf8 && /[^\x00-\x7f]/.test(text)) return { code: 553, enhanced: '5.6.7', text: 'The address needs SMTPUTF8' };
  if (path === undefined) return { code: 553, enhanced, text: 'The address is not valid' };
  return undefined;
}

function syntax(keyword: string): ServerReply {
  return { code: 501, enhanced: '5.5.4', text: `Syntax: ${keyword}<address> [parameters]` };
}

function badValue(name: string): ServerReply {
  return { code: 501, enhanced: '5.5.4', text: `The value of ${name} is not valid` };
}

function notOffered(name: string): ServerReply {
  return { code: 555, enhanced: '5.5.4', text: `Parameter ${name.slice(0, 40)} is not known` };
}
