/** What an operator chooses about mail that other servers bring: one part of the table of settings (`settings.ts`). */
import { choice, duration, flag, group, integer, listenAddress, optional, rate, text } from './setting-kinds.ts';
import { isPlainHttpUrl, MANY } from './setting-values.ts';

export const INBOUND_SETTINGS = group('Mail that other servers bring to `smtp.inbound`.', {
  greeting_delay: duration(
    ['0s', '1m'],
    '1s',
    'How long a client waits for the greeting. One that does not wait is no mail server, and is sent away. 0s: nobody waits.',
    { dev: '0s' },
  ),
  connections: integer(1, MANY, 1_000, 'Connections open at once.'),
  connections_per_address: integer(1, MANY, 50, 'Connections open at once from one client address (IPv6: from one /64).'),
  rate_per_address: rate('1000/m', 'Messages in a time from one client address (IPv6: from one /64), on this node.'),
  refused_recipients: integer(1, MANY, 20, 'Refused recipients after which a connection is closed.'),
  unknown_sender: choice(
    ['refuse', 'accept'],
    'refuse',
    "What to do with mail whose sender's domain does not exist or has no mail server.",
    { dev: 'accept' },
  ),
  authentication: flag(true, 'Verify SPF, DKIM, DMARC and ARC, and write the results into the message.', { dev: false }),
  authentication_timeout: duration(['100ms', '2m'], '10s', 'Longest time for that; what is not known by then counts as a temporary error.'),
  dmarc: choice(
    ['record', 'reject'],
    'record',
    "What to do with mail that fails its domain's DMARC policy where that asks for refusal: accept it with the result written into it, or refuse it.",
  ),
  route_posts: choice(
    ['form', 'json'],
    'form',
    'How mail is posted to the URLs of routes: as the forms that receivers of Mailgun know, or as JSON with the same names and files in base64.',
  ),
  spam: group('Spam filters. They are asked about mail of domains whose `spam_action` is tag or block.', {
    rspamd: optional(
      text(
        'a URL such as "http://127.0.0.1:11333"',
        isPlainHttpUrl,
        undefined,
        "Where rspamd's normal worker listens. Default: it is not asked.",
      ),
    ),
    spamassassin: optional(
      listenAddress(undefined, 'Where spamd of SpamAssassin listens, such as "127.0.0.1:783". Default: it is not asked.'),
    ),
    timeout: duration(['100ms', '2m'], '15s', 'Longest wait for one answer.'),
    on_failure: choice(
      ['accept', 'defer'],
      'accept',
      'What to do with a message when a filter does not answer: accept it, or put it off with 451.',
    ),
  }),
});
