/** What the placeholders of batch mail stand for, for one recipient; and the context in which a late template is rendered for them. */
import { displayMailbox } from '#mail/address.ts';
import { fillText, type Values } from '#mail/placeholders.ts';
import type { StoredMessage, StoredRecipient } from './message.ts';

const CONTEXT_DEPTH_MAX = 32;

/** Values of %recipient…%. Own variables named "recipient", "recipient_email" and "recipient_name" say whom the message is to when this recipient gets a copy. */
export function recipientValues(recipient: StoredRecipient): Values {
  const variables = recipient.variables ?? {};
  const own = (key: string): string | undefined => (Object.hasOwn(variables, key) ? scalar(variables[key]) : undefined);
  return (key) => {
    if (key.startsWith('recipient.')) return own(key.slice(10)) ?? nested(variables, key.slice(10));
    const address = own('recipient_email') ?? recipient.address;
    const name = own('recipient_name') ?? recipient.name ?? '';
    switch (key) {
      case 'recipient':
        return own('recipient') ?? displayMailbox(name, address);
      case 'recipient_email':
        return address;
      case 'recipient_name':
        return name;
      case 'recipient_fname':
        return name.trim().split(/\s+/, 1)[0] ?? '';
      case 'recipient_lname':
        return name.trim().replace(/^\S+\s*/, '');
      default:
        return undefined;
    }
  };
}

/** "a.b" in { a: { b } }, own properties only. */
function nested(variables: Readonly<Record<string, unknown>>, path: string): string | undefined {
  if (!path.includes('.')) return undefined;
  let value: unknown = variables;
  for (const step of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return scalar(value);
}

function scalar(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (value === undefined) return undefined;
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Template variables over v: variables, with this recipient's values filled in; the recipient's own variables as `recipient`. */
export function renderContext(message: StoredMessage, recipient: StoredRecipient, values: Values): Record<string, unknown> {
  const { variables, template } = message.info.options;
  const context = filled({ ...variables, ...template?.variables }, values, 0) as Record<string, unknown>;
  if (!Object.hasOwn(context, 'recipient')) context['recipient'] = recipient.variables ?? {};
  return context;
}

function filled(value: unknown, values: Values, depth: number): unknown {
  if (typeof value === 'string') return fillText(value, values);
  if (typeof value !== 'object' || value === null || depth >= CONTEXT_DEPTH_MAX) return value;
  if (Array.isArray(value)) return value.map((each) => filled(each, values, depth + 1));
  // fromEntries defines own properties, so that a key "__proto__" is a key.
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filled(each, values, depth + 1)]));
}
