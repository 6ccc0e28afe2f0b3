/** Values that several settings have: addresses, names, bounds; and what is accepted as one. */
import ipaddr from 'ipaddr.js';
import { isLoopback } from '#base/networks.ts';
import { text } from './setting-kinds.ts';
import type { Setting } from './setting-kinds.ts';

export const SECONDS = ['1s', '1h'] as const;
export const POSITIVE = ['1ms', '365d'] as const;
export const MANY = 1_000_000;

export const cidr = (preset: string | undefined, sentence: string): Setting<string> =>
  text('a network such as "10.0.0.0/8", "fd00::/8" or one address', isNetwork, preset, sentence);
export const ip = (sentence: string): Setting<string> => text('an IP address', (given) => ipaddr.isValid(given), undefined, sentence);
export const host = (preset: string | undefined, sentence: string): Setting<string> => text('a host name', isHostName, preset, sentence);
export const resolverAddress = (preset: string | undefined, sentence: string): Setting<string> =>
  text('a resolver such as "9.9.9.9", "127.0.0.1:5353" or "[::1]:53"', isResolver, preset, sentence);

function isNetwork(given: string): boolean {
  return ipaddr.isValid(given) || ipaddr.isValidCIDR(given);
}

export function isHostName(given: string): boolean {
  return given.length <= 253 && /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/i.test(given);
}

export function isDomainPattern(given: string): boolean {
  return given === '*' || isHostName(given.startsWith('*.') ? given.slice(2) : given);
}

function isResolver(given: string): boolean {
  const withPort = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(given);
  if (withPort === null) return ipaddr.isValid(given);
  return ipaddr.isValid(withPort[1] ?? withPort[2] ?? '') && Number(withPort[3]) <= 65_535;
}

export function isPlainHttpUrl(given: string): boolean {
  return URL.canParse(given) && new URL(given).protocol === 'http:';
}

export function isHttpUrl(given: string): boolean {
  return URL.canParse(given) && /^https?:$/.test(new URL(given).protocol);
}

/** What is asked there is signed, but what it answers is only as good as the connection. */
export function isAuthorityUrl(given: string): boolean {
  const url = URL.parse(given);
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')));
}
