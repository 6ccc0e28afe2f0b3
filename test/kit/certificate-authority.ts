/** A certificate authority for tests: a root of its own, and certificates for keys that others made. What asks for them is read by asn1js, which shares nothing with what wrote it. */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { type AsnType, fromBER, Sequence } from 'asn1js';
import { bitString, der, dnsName, ECDSA_SHA256, extension, integer, oid, pem, sequence, time, utf8 } from '#base/der.ts';

export interface CertificateAuthority {
  /** PEM: who trusts it trusts what was issued. */
  readonly root: string;
  /** PEM, the certificate and the root. */
  issue(names: readonly string[], publicKey: Buffer, from: Date, until: Date): string;
}

export function createAuthority(): CertificateAuthority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const name = sequence(der(0x31, sequence(oid(2, 5, 4, 3), utf8('Authority for tests'))));
  const own = publicKey.export({ format: 'der', type: 'spki' });
  const isAuthority = extension(oid(2, 5, 29, 19), sequence(der(0x01, Buffer.of(0xff))), true);
  const root = certificate(name, name, own, new Date(Date.UTC(2020, 0)), new Date(Date.UTC(2049, 0)), [isAuthority], privateKey);
  return {
    root,
    issue(names, key, from, until) {
      const extensions = [
        // The subject is empty, so the names are critical (RFC 5280 §4.2.1.6).
        extension(oid(2, 5, 29, 17), sequence(...names.map(dnsName)), true),
        extension(oid(2, 5, 29, 19), sequence(), true),
        extension(oid(2, 5, 29, 37), sequence(oid(1, 3, 6, 1, 5, 5, 7, 3, 1)), false),
      ];
      return certificate(sequence(), name, key, from, until, extensions, privateKey) + root;
    },
  };
}

function certificate(
  subject: Buffer,
  issuer: Buffer,
  key: Buffer,
  from: Date,
  until: Date,
  extensions: readonly Buffer[],
  signer: KeyObject,
): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] as number) & 0x3f) | 0x40;
  const body = sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(serial),
    ECDSA_SHA256,
    issuer,
    sequence(time(from), time(until)),
    subject,
    key,
    der(0xa3, sequence(...extensions)),
  );
  return pem('CERTIFICATE', sequence(body, ECDSA_SHA256, bitString(sign('sha256', body, signer))));
}

/** What a request (RFC 2986) asks for; undefined: it is none, or is not signed by its own key. */
export function readRequest(bytes: Buffer): { readonly names: string[]; readonly publicKey: Buffer } | undefined {
  const parsed = fromBER(bytes);
  if (parsed.offset !== bytes.length) return undefined;
  const [info, , signature] = children(parsed.result);
  const [version, subject, key, attributes] = children(info);
  if (info === undefined || key === undefined || signature === undefined || version === undefined || children(subject).length > 0)
    return undefined;
  const publicKey = octets(key);
  const signed = content(signature);
  if (!verify('sha256', octets(info), createPublicKey({ key: publicKey, format: 'der', type: 'spki' }), signed)) return undefined;
  const [attribute] = children(attributes);
  const [extensions] = children(children(attribute)[1]);
  const [first] = children(extensions);
  const value = children(first).at(-1);
  if (value === undefined) return undefined;
  const inner = content(value);
  const names = children(fromBER(inner).result).map((each) => Buffer.from(content(each)).toString('latin1'));
  return { names, publicKey };
}

function children(node: AsnType | undefined): AsnType[] {
  const value = (node as Sequence | undefined)?.valueBlock.value as unknown;
  return Array.isArray(value) ? (value as AsnType[]) : [];
}

/** As it stood there. */
function octets(node: AsnType): Buffer {
  return Buffer.from(node.valueBeforeDecodeView);
}

function content(node: AsnType): Uint8Array {
  return (node.valueBlock as unknown as { readonly valueHexView: Uint8Array }).valueHexView;
}
