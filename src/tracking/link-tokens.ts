/**
 * What our links and pixels carry: whose they are, when they were made, and of a link where it leads. Signed (`base/signed-token`), so that a target is never one that somebody
 * else chose, and nothing has to be stored when a message is sent. A recipient is a number; no address stands in them but what the sender wrote into a link.
 *
 * Payload: the recipient's id, seven bits to an octet, the lowest first · the second since 1970, four octets · the target in UTF-8.
 */
import { createSignedTokens } from '#base/signed-token.ts';

/** Kinds of tokens under the key for tracking. Never changed: they are in mail that was sent. */
const LINK = 1;
const PIXEL = 2;

/** Whose, and when the message was made: right before it was handed over. */
export interface TrackedCopy {
  readonly recipient: number;
  readonly sentMs: number;
}

export interface TrackedLink extends TrackedCopy {
  readonly target: string;
}

export interface LinkTokens {
  /** Makes tokens for one copy of a message. */
  of(copy: TrackedCopy): { link(target: string): string; pixel(): string };
  /** undefined: it is none of ours. */
  openLink(token: string): TrackedLink | undefined;
  openPixel(token: string): TrackedCopy | undefined;
}

/** `key`: for this purpose alone. */
export function createLinkTokens(key: Uint8Array): LinkTokens {
  const tokens = createSignedTokens(key);
  return {
    of(copy) {
      const head = headOf(copy);
      return {
        link: (target) => tokens.sign(LINK, Buffer.concat([head, Buffer.from(target)])),
        pixel: () => tokens.sign(PIXEL, head),
      };
    },
    openLink(token) {
      const payload = tokens.open(LINK, token);
      if (payload === undefined) return undefined;
      const { copy, size } = readHead(payload);
      return { ...copy, target: payload.toString('utf8', size) };
    },
    openPixel(token) {
      const payload = tokens.open(PIXEL, token);
      return payload === undefined ? undefined : readHead(payload).copy;
    },
  };
}

function headOf({ recipient, sentMs }: TrackedCopy): Buffer {
  const octets: number[] = [];
  let rest = recipient;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) octets.push((rest % 0x80) | 0x80);
  const head = Buffer.from([...octets, rest, 0, 0, 0, 0]);
  head.writeUInt32BE(Math.floor(sentMs / 1000), head.length - 4);
  return head;
}

function readHead(payload: Buffer): { copy: TrackedCopy; size: number } {
  let recipient = 0;
  let at = 0;
  let octet: number;
  do {
    octet = payload[at] as number;
    recipient += (octet & 0x7f) * 0x80 ** at;
    at++;
  } while (octet > 0x7f);
  return { copy: { recipient, sentMs: payload.readUInt32BE(at) * 1000 }, size: at + 4 };
}
