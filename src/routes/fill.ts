/**
 * What a filter caught, put into an action: `\1` and `\g<name>` (or `\g<1>`). What stands there came from whoever wrote the mail, so in a URL it is percent-encoded and never part of
 * the host, and in an address it is only ever one address.
 */
import type { Captures } from '#base/pattern-captures.ts';
import { parsePath } from '#mail/address.ts';

export type Caught = Pick<Captures, 'byNumber' | 'byName'>;

export const NOTHING_CAUGHT: Caught = { byNumber: [], byName: {} };

const REFERENCE = /\\(?:(\d{1,2})|g<([A-Za-z_]\w{0,63}|\d{1,2})>)/g;
const URL_MAX = 4096;

export function hasReference(text: string): boolean {
  return text.search(REFERENCE) !== -1;
}

function filled(text: string, { byNumber, byName }: Caught, encode: (caught: string, at: number) => string): string {
  return text.replace(REFERENCE, (_whole, number: string | undefined, name: string | undefined, at: number) => {
    const position = Number(number ?? name);
    const caught = Number.isInteger(position) ? byNumber[position] : Object.hasOwn(byName, name ?? '') ? byName[name ?? ''] : undefined;
    return encode(caught ?? '', at);
  });
}

/** Undefined: with what was caught it is no URL any more. */
export function filledUrl(url: string, caught: Caught): string | undefined {
  const behindPath = url.search(/[?#]/);
  const result = filled(url, caught, (text, at) => {
    const encoded = encodeURIComponent(text.toWellFormed());
    return behindPath === -1 || at < behindPath ? withoutSteps(encoded) : encoded;
  });
  return result.length <= URL_MAX && URL.canParse(result) ? result : undefined;
}

/** Dots alone lead to another place of the path, even when they are encoded; encoded twice they are a name like any other. */
function withoutSteps(encoded: string): string {
  return /^\.+$/.test(encoded) ? encoded.replaceAll('.', '%252E') : encoded;
}

/** Undefined: with what was caught it is no address. */
export function filledAddress(address: string, caught: Caught): string | undefined {
  return parsePath(
    filled(address, caught, (text) => text),
    { allowNull: false },
  )?.address;
}

/** The host of a URL has to be the writer's own. */
export function namesHostItself(url: string): boolean {
  return !/^https?:\/*[^/?#]*\\/i.test(url);
}
