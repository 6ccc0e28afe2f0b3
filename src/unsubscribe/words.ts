/**
 * What the unsubscribe variables of a message stand for, for one recipient, and the header fields that lead to the same places (RFC 2369 §3.2, RFC 8058 §3.1). Tokens only: nothing
 * is stored for them, and the same recipient always gets the same ones.
 *
 * Costs 13 µs for each address, of which a message rarely has more than two.
 */
import { foldHeader } from '#mail/header.ts';
import type { Values } from '#mail/placeholders.ts';
import type { BodyPass } from '#model/body-pass.ts';
import type { MessageUnsubscribe, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { Scope, UnsubscribeTokens } from './tokens.ts';

/** Follows the base in our links. */
const UNSUBSCRIBE_PATH = '/u/';

const SCOPE_OF: Readonly<Record<string, Scope['kind']>> = {
  unsubscribe_url: 'all',
  tag_unsubscribe_url: 'tags',
  mailing_list_unsubscribe_url: 'list',
  unsubscribe_email: 'all',
  tag_unsubscribe_email: 'tags',
};

/** undefined: the message has none of the variables. */
export function unsubscribeWords(tokens: UnsubscribeTokens, message: StoredMessage, recipient: StoredRecipient): Values | undefined {
  const { unsubscribe } = message.info;
  if (unsubscribe?.variables !== true) return undefined;
  const made = new Map<string, string>();
  return (key) => {
    const kind = SCOPE_OF[key];
    if (kind === undefined) return undefined;
    let value = made.get(key);
    if (value === undefined) {
      value = key.endsWith('_email')
        ? mailbox(tokens, message, recipient, kind)
        : `${unsubscribe.base}${UNSUBSCRIBE_PATH}${page(tokens, message, recipient, kind)}`;
      made.set(key, value);
    }
    return value;
  };
}

/** undefined: the message gets no such fields. */
export function unsubscribeFields(tokens: UnsubscribeTokens, message: StoredMessage, recipient: StoredRecipient): BodyPass | undefined {
  const { unsubscribe, mailingList } = message.info;
  if (unsubscribe?.fields === undefined) return undefined;
  if (unsubscribe.fields === 'post') return { fields: ONE_CLICK };
  const kind = mailingList === undefined ? unsubscribe.fields : 'list';
  const url = `${unsubscribe.base}${UNSUBSCRIBE_PATH}${page(tokens, message, recipient, kind)}`;
  const mail = unsubscribe.mailDomain === undefined ? '' : `<mailto:${mailbox(tokens, message, recipient, kind)}>, `;
  return { fields: foldHeader('List-Unsubscribe', `${mail}<${url}>`) + (mayBeOneClick(unsubscribe) ? ONE_CLICK : '') };
}

const ONE_CLICK = 'List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n';

/** RFC 8058 §3.1: over HTTPS only. On loopback nobody else listens, and a laptop shows what production will send. */
export function mayBeOneClick({ base }: Pick<MessageUnsubscribe, 'base'>): boolean {
  return base.startsWith('https:') || ON_LOOPBACK.test(base);
}

const ON_LOOPBACK = /^http:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?(?:\/|$)/;

function page(tokens: UnsubscribeTokens, message: StoredMessage, recipient: StoredRecipient, kind: Scope['kind']): string {
  return tokens.page({
    recipient: recipient.id,
    domainId: message.domainId,
    address: recipient.address,
    scope: scopeOf(message, kind),
  });
}

function mailbox(tokens: UnsubscribeTokens, message: StoredMessage, recipient: StoredRecipient, kind: Scope['kind']): string {
  const domain = message.info.unsubscribe?.mailDomain ?? message.domain;
  return `${tokens.mailbox({ recipient: recipient.id, scope: scopeOf(message, kind).kind })}@${domain}`;
}

/** A message without tags, or to no list, can only be unsubscribed from as a whole. */
export function scopeOf({ info }: StoredMessage, kind: Scope['kind']): Scope {
  const { options, mailingList } = info;
  if (kind === 'tags' && options.tags.length > 0) return { kind, tags: options.tags };
  if (kind === 'list' && mailingList !== undefined) return { kind, list: mailingList.address };
  return { kind: 'all' };
}
