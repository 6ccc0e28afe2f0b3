/**
 * What was sent, remembered in a few KB and made again octet by octet when a copy is wanted later (o:archive-to). Most of a message is made from the kept content alike
 * each time: expansion for a recipient, conversion for a server that takes less. What is not (signatures with their time and keys, and the service's fields above the
 * content) is kept as it was. A digest of the whole proves that what is made again is what was sent; if it is not, because the content has gone or another version of
 * this program makes it otherwise, the answer says so, and never something that was not sent.
 */
import { createHash } from 'node:crypto';
import type { Composed, PeerCapabilities } from '#model/delivery.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import { whole } from '#smtp/client-body.ts';
import type { Composer } from './compose.ts';

export interface SentCopy {
  /** The first octets, which are not made again alike: one character for each octet. */
  readonly head: string;
  /** SHA-256 of the whole, in base64. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** What the receiving server took, as far as it changes the octets. */
  readonly eightBitMime: boolean;
  readonly smtputf8: boolean;
  /** See `Composed.sentMs`. */
  readonly sentMs?: number;
}

export function sentCopy(composed: Composed, { eightBitMime, smtputf8 }: PeerCapabilities): SentCopy {
  const { chunks, sizeBytes } = whole(composed.chunks, composed.sizeBytes);
  const head = (chunks[0] as Buffer).toString('latin1', 0, composed.freshBytes ?? 0);
  const { sentMs } = composed;
  return { head, digest: digestOf(chunks), sizeBytes, eightBitMime, smtputf8, ...(sentMs !== undefined && { sentMs }) };
}

/** The octets that the copy tells of, as the server got them after unstuffing dots; or why they cannot be had. */
export async function remade(
  composer: Composer,
  copy: SentCopy,
  message: StoredMessage,
  recipient: StoredRecipient,
  content: Buffer | undefined,
): Promise<readonly Buffer[] | { readonly gone: string }> {
  if (content === undefined) return { gone: 'the content of the message was deleted meanwhile' };
  const { head, eightBitMime, smtputf8, sentMs = 0 } = copy;
  const mime = await composer.again(message, recipient, { eightBitMime, smtputf8, binaryMime: false }, content, sentMs);
  if ('refused' in mime) return { gone: `what was sent cannot be made again: ${mime.refused}` };
  const { chunks } = whole([Buffer.from(head, 'latin1'), mime], head.length + mime.length);
  if (digestOf(chunks) !== copy.digest) return { gone: 'what was sent cannot be made again octet by octet by this version of the program' };
  return chunks;
}

function digestOf(chunks: readonly Buffer[]): string {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('base64');
}
