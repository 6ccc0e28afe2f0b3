/** Asks SpamAssassin's spamd about a message, by the SPAMC protocol (SYMBOLS). Rejects when there is no usable answer before the signal. */
import { connect } from 'node:net';
import type { SpamFacts, SpamOpinion } from './spam.ts';

/** Larger ones are not asked about: spamd looks at each for a time that grows with it, and spamc does the same. */
export const SPAMASSASSIN_BYTES_MAX = 512_000;
const ANSWER_BYTES_MAX = 64 * 1024;
const RULES_MAX = 200;

export async function askSpamAssassin(
  at: { readonly host?: string; readonly port: number },
  { pieces }: SpamFacts,
  signal: AbortSignal,
): Promise<SpamOpinion> {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const head = Buffer.from(`SYMBOLS SPAMC/1.5\r\nContent-length: ${length}\r\n\r\n`);
  return read(await exchange({ host: at.host ?? '127.0.0.1', port: at.port }, [head, ...pieces], signal));
}

/** Sends all, closes its side, and reads to the end. */
function exchange(at: { readonly host: string; readonly port: number }, pieces: readonly Buffer[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...at, allowHalfOpen: true, signal });
    let text = '';
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.on('error', fail);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.length > ANSWER_BYTES_MAX) fail(new Error('its answer has no end'));
    });
    socket.on('end', () => {
      socket.destroy();
      resolve(text);
    });
    for (const piece of pieces) socket.write(piece);
    socket.end();
  });
}

function read(text: string): SpamOpinion {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2);
  const [status = '', ...lines] = head.split('\r\n');
  const [, code] = /^SPAMD\/[\d.]+ (\d{1,3})(?: |$)/.exec(status) ?? [];
  if (code !== '0') throw new Error(`it answered ${JSON.stringify(status.slice(0, 80))}`);
  const verdict = lines
    .map((line) => /^Spam: *(True|False|Yes|No) *; *(-?[\d.]+) *\/ *-?[\d.]+/i.exec(line))
    .find((found) => found !== null);
  const score = Number(verdict?.[2]);
  if (verdict === undefined || !Number.isFinite(score)) throw new Error('its answer has no verdict');
  return {
    isSpam: /^(?:true|yes)$/i.test(verdict?.[1] ?? ''),
    isPutOff: false,
    score,
    rules: body
      .split(/[\s,]+/)
      .filter((rule) => /^[\w.-]{1,100}$/.test(rule))
      .slice(0, RULES_MAX),
  };
}
