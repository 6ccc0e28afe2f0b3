/** The parameters of a domain that are given when it is made and when it is changed, checked before anything is kept. */
import { isLabels } from '#mail/domain.ts';
import { badParameter } from '#model/errors.ts';
import type { DomainChange, DomainSettings } from '#store/domain-store.ts';
import { type Fields, flagOf, wholeNumber, wordOf } from './fields.ts';

/** Ten years. */
const TTL_MAX_SECONDS = 315_360_000;
const URL_MAX = 2000;

export type Wishes = Pick<DomainChange, 'settings' | 'requireTls' | 'skipVerification'>;

export function readWishes(fields: Fields): Wishes {
  const requireTls = flagOf(fields, 'require_tls', 'require-tls');
  const skipVerification = flagOf(fields, 'skip_verification', 'skip-verification');
  return {
    settings: given({
      spamAction: wordOf(fields, 'spam_action', ['disabled', 'block', 'tag']),
      wildcard: flagOf(fields, 'wildcard'),
      encryptIncoming: flagOf(fields, 'encrypt_incoming_message'),
      automaticSecurity: flagOf(fields, 'use_automatic_sender_security'),
      webScheme: wordOf(fields, 'web_scheme', ['http', 'https']),
      webPrefix: labelsOf(fields, 'web_prefix'),
      mailfromHost: clearable(fields, 'mailfrom_host', (text) => labels(text, 'mailfrom_host')),
      archiveTo: clearable(fields, 'archive_to', archiveUrl),
      messageTtlSeconds: wholeNumber(fields, 'message_ttl', 0, TTL_MAX_SECONDS),
      zeroContent: flagOf(fields, 'zero_content'),
    }),
    ...(requireTls !== undefined && { requireTls }),
    ...(skipVerification !== undefined && { skipVerification }),
  };
}

/** Without what is undefined, so that a change touches only what it names. */
export function given(settings: { readonly [K in keyof DomainSettings]?: DomainSettings[K] | undefined }): DomainSettings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

export function labelsOf(fields: Fields, name: string): string | undefined {
  const text = fields.get(name);
  return text === undefined ? undefined : labels(text, name);
}

function labels(given: string, name: string): string {
  const text = given.trim().toLowerCase();
  if (!isLabels(text)) throw badParameter(`'${name}' parameter is not valid: it is the name of a host under the domain, as "email"`);
  return text;
}

/** Named but empty: taken away. */
function clearable(fields: Fields, name: string, read: (text: string) => string): string | undefined {
  const text = fields.get(name);
  if (text !== undefined) return read(text);
  return fields.has(name) ? '' : undefined;
}

function archiveUrl(text: string): string {
  const isUrl = text.length <= URL_MAX && /^[\x21-\x7e]+$/.test(text) && URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
  if (!isUrl) throw badParameter("'archive_to' parameter is not a valid URL: it begins with https:// or http://");
  return text;
}
