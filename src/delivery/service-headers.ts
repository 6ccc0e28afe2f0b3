/**
 * The X-Mailgun-* fields that outgoing mail carries, so that what senders and their tools look for is there: tags, variables, batch. They stand above the message
 * and are not signed. `o:suppress-headers` leaves out the named ones, or all.
 */
import { encodeHeaderValue, foldHeader } from '#mail/header.ts';
import { fillShown, type Values } from '#mail/placeholders.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';

/** Longer variables are for events, not for a header. */
const VARIABLES_MAX = 16 * 1024;

export function serviceHeaders(message: StoredMessage, recipient: StoredRecipient, values: Values | undefined): string {
  const { options, batchId } = message.info;
  const suppressed = options.suppressHeaders?.map((name) => name.trim().toLowerCase());
  if (suppressed?.includes('all') === true) return '';
  let result = '';
  const add = (name: string, value: string): void => {
    if (suppressed?.includes(name.toLowerCase()) !== true) result += foldHeader(name, value);
  };
  add('X-Mailgun-Sid', `${message.id.toString(36)}.${recipient.id.toString(36)}`);
  for (const tag of options.tags) add('X-Mailgun-Tag', encodeHeaderValue(tag));
  const variables = variablesText(options.variables, values);
  if (variables !== undefined) add('X-Mailgun-Variables', variables);
  if (options.template !== undefined) add('X-Mailgun-Template-Name', encodeHeaderValue(options.template.name));
  if (batchId !== undefined) add('X-Mailgun-Batch-Id', batchId);
  return result;
}

function variablesText(variables: Readonly<Record<string, unknown>>, values: Values | undefined): string | undefined {
  if (Object.keys(variables).length === 0) return undefined;
  const text = asciiJson(variables, values);
  return text.length > VARIABLES_MAX ? undefined : text;
}

/** JSON in ASCII with spaces between its tokens, where the field can be folded. */
function asciiJson(value: unknown, values?: Values): string {
  const fillEach = (_: string, each: unknown): unknown =>
    values !== undefined && typeof each === 'string' ? fillShown(each, values, VARIABLES_MAX) : each;
  return JSON.stringify(value, fillEach, 1)
    .replace(/\n */g, ' ')
    .replace(/[\x7f-\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
