/**
 * Reverse-paths of mail that is sent on (the sender rewriting scheme): the sender's address inside an address of ours, so that SPF holds for the next server and a bounce finds its way back
 * through us. It is signed and dated, so nobody can make us send mail to strangers, and an address that was seen once is of no use for long.
 *
 *     SRS0=HASH=TT=example.org=ann@ours.example                  ann@example.org
 *     SRS1=HASH=first.example==HASH=TT=example.org=ann@ours.example    SRS0=…@first.example, which is rewritten by whoever made it
 *
 * HASH: 40 bits of an HMAC in letters and digits that survive case folding, of our domain too: what was made for one account's is of no use at another's. TT: days, modulo 1024, in two
 * such letters.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface Srs {
  /** Undefined: it has no room in a local part; '' for the null sender, which stays. */
  forward(sender: string, ourDomain: string, nowMs: number): string | undefined;
  /** Where a bounce to the address goes. forged: it is none that we made, or was made too long ago. Undefined: it is no such address at all. */
  reverse(local: string, ourDomain: string, nowMs: number): { readonly to: string } | 'forged' | undefined;
}

const DAY_MS = 86_400_000;
const AGE_MAX_DAYS = 21;
const DAYS = 1024;
const HASH_LETTERS = 8;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
/** RFC 5321 §4.5.3.1.1. */
const LOCAL_MAX = 64;
const ANY = /^srs[01][=+-]/i;

export function createSrs(key: Uint8Array): Srs {
  const hashOf = (...parts: readonly string[]): string => {
    const octets = createHmac('sha256', key).update(parts.join('\0').toLowerCase()).digest();
    return Array.from(octets.subarray(0, HASH_LETTERS), (octet) => ALPHABET.charAt(octet & 31)).join('');
  };
  const isRight = (hash: string, ...parts: readonly string[]): boolean => {
    const [given, right] = [Buffer.from(hash.toLowerCase()), Buffer.from(hashOf(...parts))];
    return given.length === right.length && timingSafeEqual(given, right);
  };

  return {
    forward(sender, ourDomain, nowMs) {
      if (sender === '') return '';
      const at = sender.lastIndexOf('@');
      const [local, domain] = [sender.slice(0, at), sender.slice(at + 1)];
      const rewritten = rewrite(local, domain, ourDomain, nowMs);
      return rewritten.length > LOCAL_MAX || !/^[\x21-\x7e]+$/.test(rewritten) ? undefined : `${rewritten}@${ourDomain}`;
    },
    reverse(local, ourDomain, nowMs) {
      if (!ANY.test(local)) return undefined;
      const [, hash0 = '', time = '', domain0 = '', user = ''] = /^srs0[=+-]([^=]+)=([^=]{2})=([^=]+)=(.+)$/i.exec(local) ?? [];
      if (user !== '')
        return isRight(hash0, '0', ourDomain, time, domain0, user) && isFresh(time, nowMs) ? { to: `${user}@${domain0}` } : 'forged';
      const [, hash1 = '', first = '', rest = ''] = /^srs1[=+-]([^=]+)=([^=]+)=([=+-].+)$/i.exec(local) ?? [];
      return rest !== '' && isRight(hash1, '1', ourDomain, first, rest) ? { to: `SRS0${rest}@${first}` } : 'forged';
    },
  };

  function rewrite(local: string, domain: string, ourDomain: string, nowMs: number): string {
    const [, rest0] = /^srs0([=+-].+)$/i.exec(local) ?? [];
    if (rest0 !== undefined) return `SRS1=${hashOf('1', ourDomain, domain, rest0)}=${domain}=${rest0}`;
    const [, first, rest1] = /^srs1[=+-][^=]+=([^=]+)=([=+-].+)$/i.exec(local) ?? [];
    if (first !== undefined && rest1 !== undefined) return `SRS1=${hashOf('1', ourDomain, first, rest1)}=${first}=${rest1}`;
    const time = dayLetters(Math.floor(nowMs / DAY_MS));
    return `SRS0=${hashOf('0', ourDomain, time, domain, local)}=${time}=${domain}=${local}`;
  }
}

function dayLetters(day: number): string {
  const number = day % DAYS;
  return ALPHABET.charAt(number >> 5) + ALPHABET.charAt(number & 31);
}

function isFresh(time: string, nowMs: number): boolean {
  const [high, low] = [...time.toLowerCase()].map((letter) => ALPHABET.indexOf(letter));
  if (high === undefined || low === undefined || high < 0 || low < 0) return false;
  const today = Math.floor(nowMs / DAY_MS) % DAYS;
  const ageDays = (today - (high * 32 + low) + DAYS) % DAYS;
  // Another node's clock may be a day ahead.
  return ageDays <= AGE_MAX_DAYS || ageDays === DAYS - 1;
}
