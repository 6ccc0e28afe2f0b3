/**
 * Writes DER (X.690), as far as certificates and the requests for them need it. Pure, and for what we make ourselves: nothing here reads what others wrote.
 * Content up to 64 KB, which no certificate reaches.
 */

/** AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758 §3.2). */
export const ECDSA_SHA256 = sequence(oid(1, 2, 840, 10_045, 4, 3, 2));

export function der(tag: number, content: Buffer): Buffer {
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

export function sequence(...items: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(items));
}

export function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes);
}

export function utf8(text: string): Buffer {
  return der(0x0c, Buffer.from(text));
}

export function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.of(0), bytes]));
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). */
export function time(at: Date): Buffer {
  const digits = `${at.toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
  return at.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

export function oid(first: number, second: number, ...rest: readonly number[]): Buffer {
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(0x06, Buffer.from(bytes));
}

export function extension(id: Buffer, value: Buffer, isCritical: boolean): Buffer {
  return sequence(id, ...(isCritical ? [der(0x01, Buffer.of(0xff))] : []), der(0x04, value));
}

export function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** A host in subjectAltName (RFC 5280 §4.2.1.6). */
export function dnsName(name: string): Buffer {
  return der(0x82, Buffer.from(name, 'latin1'));
}
