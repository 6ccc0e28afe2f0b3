/**
 * A message's octets made ready for DATA or BDAT. Dot-stuffing (RFC 5321 §4.5.2) cuts the chunks where a dot must be doubled and copies
 * nothing; only what is left of a chunk after `CUTS_MAX` dots is copied, since a message may be millions of lines that are nothing but dots. The dot is doubled after every LF, not just after CRLF: messages have no bare LF, and if one
 * came through all the same, it could not be used to end the data at a receiver that takes LF.CRLF for the end.
 */
const LF = 10;
const DOT = 46;
const CRLF = Buffer.from('\r\n');
const ONE_DOT = Buffer.from('.');
const END_OF_DATA = Buffer.from('.\r\n');
/** Each cut costs more than a few hundred octets copied, and is written by itself. */
const CUTS_MAX = 200;

/** The chunks for DATA, stuffed, with the final dot. */
export function stuffed(chunks: readonly Buffer[]): Buffer[] {
  const out: Buffer[] = [];
  let isLineStart = true;
  for (const chunk of chunks) {
    if (chunk.length === 0) continue;
    if (isLineStart && chunk[0] === DOT) out.push(ONE_DOT);
    let start = 0;
    let cuts = 0;
    for (let at = chunk.indexOf('\n.', 0, 'latin1'); at !== -1 && cuts < CUTS_MAX; at = chunk.indexOf('\n.', start, 'latin1')) {
      out.push(chunk.subarray(start, at + 1), ONE_DOT);
      start = at + 1;
      cuts++;
    }
    const rest = start === 0 ? chunk : chunk.subarray(start);
    out.push(cuts < CUTS_MAX ? rest : copyStuffed(rest));
    isLineStart = chunk[chunk.length - 1] === LF;
  }
  if (!endsWithCrlf(chunks)) out.push(CRLF);
  out.push(END_OF_DATA);
  return out;
}

/** Octet by octet; the first one needs no dot. */
function copyStuffed(octets: Buffer): Buffer {
  let dots = 0;
  for (let at = 1; at < octets.length; at++) if (octets[at] === DOT && octets[at - 1] === LF) dots++;
  const out = Buffer.allocUnsafeSlow(octets.length + dots);
  let to = 0;
  let previous = 0;
  for (let at = 0; at < octets.length; at++) {
    const octet = octets[at] as number;
    if (octet === DOT && previous === LF) out[to++] = DOT;
    out[to++] = octet;
    previous = octet;
  }
  return out;
}

/** The chunks for one BDAT … LAST, which end with CRLF as DATA would make them. */
export function whole(chunks: readonly Buffer[], sizeBytes: number): { readonly chunks: readonly Buffer[]; readonly sizeBytes: number } {
  return endsWithCrlf(chunks) ? { chunks, sizeBytes } : { chunks: [...chunks, CRLF], sizeBytes: sizeBytes + CRLF.length };
}

function endsWithCrlf(chunks: readonly Buffer[]): boolean {
  let wanted = LF;
  for (let i = chunks.length - 1; i >= 0; i--) {
    const chunk = chunks[i] as Buffer;
    for (let at = chunk.length - 1; at >= 0; at--) {
      if (chunk[at] !== wanted) return false;
      if (wanted === 13) return true;
      wanted = 13;
    }
  }
  return false;
}
