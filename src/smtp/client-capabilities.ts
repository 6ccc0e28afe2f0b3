/** What a server's EHLO reply offers (RFC 5321 §4.1.1.1), as far as a client makes use of it. */
import type { Reply } from '#model/outcome.ts';

export interface ServerOffers {
  readonly pipelining: boolean;
  readonly eightBitMime: boolean;
  readonly smtputf8: boolean;
  readonly chunking: boolean;
  readonly binaryMime: boolean;
  readonly dsn: boolean;
  readonly starttls: boolean;
  /** RFC 1870: octets; 0 when announced without a limit; absent when not announced. */
  readonly sizeMax?: number;
  /** SASL mechanisms, upper case. */
  readonly auth: readonly string[];
}

export const NO_OFFERS: ServerOffers = {
  pipelining: false,
  eightBitMime: false,
  smtputf8: false,
  chunking: false,
  binaryMime: false,
  dsn: false,
  starttls: false,
  auth: [],
};

export function offersOf(ehlo: Reply): ServerOffers {
  const keywords = new Map<string, string>();
  for (const line of ehlo.text.split('\n').slice(1)) {
    const [keyword = '', ...parameters] = line.trim().split(/[ =]+/); // "AUTH=PLAIN LOGIN": a form from before RFC 2554
    keywords.set(keyword.toUpperCase(), parameters.join(' '));
  }
  const size = keywords.get('SIZE');
  return {
    pipelining: keywords.has('PIPELINING'),
    eightBitMime: keywords.has('8BITMIME'),
    smtputf8: keywords.has('SMTPUTF8'),
    chunking: keywords.has('CHUNKING'),
    binaryMime: keywords.has('BINARYMIME') && keywords.has('CHUNKING'),
    dsn: keywords.has('DSN'),
    starttls: keywords.has('STARTTLS'),
    ...(size === undefined ? {} : { sizeMax: /^\d{1,15}$/.test(size) ? Number(size) : 0 }),
    auth: (keywords.get('AUTH') ?? '').toUpperCase().split(' ').filter(Boolean),
  };
}
