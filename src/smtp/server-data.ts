/**
 * Finds the end of a message sent by DATA: exactly CRLF.CRLF (RFC 5321 §4.1.1.4), wherever the network cut it, and nothing that resembles it. LF.LF,
 * CRLF.LF, CR.CR and their kin are part of the message, so nobody can smuggle a second one behind them. The CRLF of the DATA command counts as the first: a lone dot is the empty message.
 *
 * The state is how many octets of CRLF.CRLF the input ends with. It enters at 2.
 */
import { Buffer } from 'node:buffer';

const END = Buffer.from('\r\n.\r\n', 'latin1');
/** Octets of the end of data that are no part of the message: the dot and its CRLF. */
export const END_TRIM_BYTES = 3;

export class EndOfData {
  #matched = 2;

  /** Index just after the end of data, searching `chunk` from `from`; -1 when it is not there yet. */
  find(chunk: Buffer, from: number): number {
    let at = from;
    while (this.#matched > 0 && at < chunk.length) {
      this.#step(chunk[at++] as number);
      if (this.#matched === END.length) return at;
    }
    if (at === chunk.length) return -1;
    const found = chunk.indexOf(END, at);
    if (found !== -1) return found + END.length;
    for (at = Math.max(at, chunk.length - END.length + 1); at < chunk.length; at++) this.#step(chunk[at] as number);
    return -1;
  }

  /** What is matched may only start again at a CR: no other part of CRLF.CRLF is also its start. */
  #step(octet: number): void {
    if (octet === END[this.#matched]) this.#matched++;
    else this.#matched = octet === 0x0d ? 1 : 0;
  }
}
