/**
 * A request for a certificate (PKCS #10, RFC 2986) for one host, signed with the key that the certificate is for. The subject is empty: authorities take
 * the name from subjectAltName, and a common name holds no more than 64 characters.
 */
import { createPublicKey, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { bitString, der, dnsName, ECDSA_SHA256, extension, integer, oid, sequence } from '#base/der.ts';

/** `key`: private, on P-256. */
export function signingRequest(name: string, key: KeyObject): Buffer {
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const names = extension(oid(2, 5, 29, 17), sequence(dnsName(name)), false);
  // extensionRequest (RFC 2985 §5.4.2)
  const wishes = sequence(oid(1, 2, 840, 113_549, 1, 9, 14), der(0x31, sequence(names)));
  const info = sequence(integer(Buffer.of(0)), sequence(), publicKey, der(0xa0, wishes));
  return sequence(info, ECDSA_SHA256, bitString(sign('sha256', info, key)));
}
