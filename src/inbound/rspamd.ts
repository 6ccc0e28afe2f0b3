/** Asks rspamd about a message: POST /checkv2 with the envelope in header fields, an answer in JSON. Rejects when there is no usable answer within the time. */
import { request } from 'node:http';
import type { SpamFacts, SpamOpinion } from './spam.ts';

const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const RULES_MAX = 200;

export async function askRspamd(url: string, facts: SpamFacts, timeoutMs: number): Promise<SpamOpinion> {
  return read(await post(new URL('/checkv2', url), fieldsOf(facts), facts.pieces, timeoutMs));
}

function fieldsOf({ address, helo, sender, recipients, hostname, id }: SpamFacts): Record<string, string | string[]> {
  return {
    ip: address,
    helo: printable(helo),
    from: printable(sender),
    rcpt: recipients.map(printable),
    'mta-tag': hostname,
    'queue-id': id,
  };
}

function printable(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[\0-\x1f\x7f]/g, '?');
}

function post(
  url: URL,
  fields: Record<string, string | string[]>,
  pieces: readonly Buffer[],
  timeoutMs: number,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const asked = request(url, { method: 'POST', headers: { ...fields, 'content-length': length }, signal, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > ANSWER_BYTES_MAX) asked.destroy(new Error('its answer has no end'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`it answered with status ${response.statusCode ?? 0}`));
        try {
          const answer: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
          if (typeof answer !== 'object' || answer === null) throw new Error('its answer is no object');
          resolve(answer as Record<string, unknown>);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
    asked.on('error', reject);
    for (const piece of pieces) asked.write(piece);
    asked.end();
  });
}

/** Actions from the mildest: no action, greylist, add header, rewrite subject, soft reject, reject. */
const SPAM_ACTIONS: ReadonlySet<unknown> = new Set(['add header', 'rewrite subject', 'reject']);
const LATER_ACTIONS: ReadonlySet<unknown> = new Set(['soft reject', 'greylist']);

function read(answer: Record<string, unknown>): SpamOpinion {
  const { score, action, symbols } = answer;
  if (typeof score !== 'number' || !Number.isFinite(score) || typeof action !== 'string')
    throw new Error('its answer has no score or action');
  const names = typeof symbols === 'object' && symbols !== null ? Object.keys(symbols) : [];
  return {
    isSpam: SPAM_ACTIONS.has(action),
    isPutOff: LATER_ACTIONS.has(action),
    score,
    rules: names.filter((name) => /^[\w.-]{1,100}$/.test(name)).slice(0, RULES_MAX),
  };
}
