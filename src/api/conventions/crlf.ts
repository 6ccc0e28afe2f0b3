/** Line ends of MIME that came by HTTP: clients write LF, CRLF or both; mail has CRLF. Linear; returns the same buffer when it is right already. */
import { Buffer } from 'node:buffer';

const LF = 0x0a;
const CR = 0x0d;
const CRLF = Buffer.from('\r\n');

export function toCrlf(bytes: Buffer): Buffer {
  if (!hasBareEnd(bytes)) return bytes;
  const pieces: Buffer[] = [];
  let from = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== LF && byte !== CR) continue;
    pieces.push(bytes.subarray(from, at), CRLF);
    if (byte === CR && bytes[at + 1] === LF) at++;
    from = at + 1;
  }
  pieces.push(bytes.subarray(from));
  return Buffer.concat(pieces);
}

function hasBareEnd(bytes: Buffer): boolean {
  let crlfs = 0;
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    if (at === 0 || bytes[at - 1] !== CR) return true;
    crlfs++;
  }
  for (let at = bytes.indexOf(CR); at !== -1; at = bytes.indexOf(CR, at + 1)) crlfs--;
  return crlfs !== 0;
}
