/** The texts of a call that become header fields: nothing in them may start a line of its own. */
import { badParameter } from '#model/errors.ts';
import type { Form } from './form.ts';

/** The composer's own: what a client sends of these (Rails copies all its headers) is left out. */
const STRUCTURAL = new Set([
  'content-type',
  'content-transfer-encoding',
  'content-disposition',
  'content-id',
  'mime-version',
  'from',
  'to',
  'cc',
  'bcc',
  'subject',
  'return-path',
  'received',
  'dkim-signature',
  'x-mailgun-variables',
]);
const NAME_MAX = 76;
const LINE_BREAKS = /[ \t]*(?:\r\n|[\r\n\u0085\u2028\u2029])[ \t]*/g;
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;
const NEEDS_WORK = /[\u0000-\u001f\u007f\u0085\u2028\u2029]/;

/** One line: folds and line breaks become a space; other control characters are refused. */
export function headerLine(field: string, text: string): string {
  if (!NEEDS_WORK.test(text)) return text;
  if (CONTROL.test(text)) throw badParameter(`${field} parameter has control characters`);
  return text.replace(LINE_BREAKS, ' ').trim();
}

/** The h: parameters, without those that are the composer's. */
export function readHeaders(form: Form): [name: string, value: string][] {
  const headers: [string, string][] = [];
  for (const [parameter, value] of form.pairs) {
    if (parameter[1] !== ':' || (parameter[0] !== 'h' && parameter[0] !== 'H')) continue;
    const name = parameter.slice(2);
    if (name === '' || name.length > NAME_MAX || !/^[!-9;-~]+$/.test(name)) {
      throw badParameter(`Header name must be pure ASCII: ${printable(name)}`);
    }
    if (!STRUCTURAL.has(name.toLowerCase())) headers.push([name, headerLine(parameter, value)]);
  }
  return headers;
}

function printable(text: string): string {
  return text.slice(0, 80).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?');
}
