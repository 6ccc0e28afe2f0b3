/** What an operator chooses about reports of other servers on our domains (DMARC, TLS): one part of the table of settings (`settings.ts`). */
import { group, integer, list, text } from './setting-kinds.ts';
import { cidr, MANY } from './setting-values.ts';

/** A local part without quotes; '' for none. */
function isMailbox(given: string): boolean {
  return /^(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)?$/.test(given) && given.length <= 64;
}

export const REPORT_SETTINGS = group('Reports of other servers on mail that bears the names of your domains.', {
  dmarc_mailbox: text(
    'a local part, or nothing',
    isMailbox,
    'dmarc-reports',
    'Local part of the address, at each of your domains, that DMARC aggregate reports come to. Empty: none is taken.',
  ),
  tls_mailbox: text('a local part, or nothing', isMailbox, 'tls-reports', 'The same for reports about TLS (RFC 8460).'),
  own_networks: list(
    cidr(undefined, ''),
    'networks',
    [],
    'Networks that your mail leaves from as others see them, beside the addresses of `delivery.sources`: where those are private, or the system chooses.',
  ),
  per_domain: integer(
    1,
    MANY,
    20_000,
    'Reports kept for a domain; beyond that the oldest of the reporter with the most goes. Of reports that anybody may have written it is a tenth, the newest.',
  ),
});
