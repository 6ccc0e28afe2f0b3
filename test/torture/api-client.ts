/**
 * A client of the HTTP API in the crash test. With an Idempotency-Key it asks again until it gets an answer, as such a key allows, and the message must
 * be taken once only (P12); without one it goes on to the next message, not knowing what became of the last.
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ID_HEADER, SENDER, SENDER_DOMAIN, text } from '../../bench/message.ts';
import type { Entry, Ledger } from './ledger.ts';

const AGAIN_AFTER_MS = 20;
const PAUSE_MS = 3;
const ANSWER_WITHIN_MS = 30_000;
const BODY = text(4000);

export interface ApiTarget {
  readonly port: number;
  readonly key: string;
}

/** `recipients` gives one address, or several for a batch with variables. */
export async function apiClient(
  target: ApiTarget,
  ledger: Ledger,
  recipients: () => string[],
  isIdempotent: boolean,
  signal: AbortSignal,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    while (!signal.aborted) {
      const entry = ledger.open('api', recipients());
      while (!signal.aborted) {
        if ((await call(target, agent, ledger, entry, isIdempotent)) || !isIdempotent) break;
        await sleep(AGAIN_AFTER_MS);
      }
      await sleep(PAUSE_MS);
    }
  } finally {
    agent.destroy();
  }
}

/** True when the answer settles the matter. */
async function call(target: ApiTarget, agent: Agent, ledger: Ledger, entry: Entry, isIdempotent: boolean): Promise<boolean> {
  const answer = await post(target, agent, form(entry), isIdempotent ? entry.id : undefined);
  if (answer === undefined) {
    ledger.cut++;
    await sleep(AGAIN_AFTER_MS);
    return false;
  }
  if (answer.status === 200) entry.isAccepted = true;
  else if (answer.status === 429 || answer.status >= 500) ledger.putOff++;
  else ledger.wrong(`API: ${answer.status} ${answer.body}`);
  return answer.status < 500 && answer.status !== 429;
}

function form(entry: Entry): URLSearchParams {
  const fields: [string, string][] = [
    ['from', `Torture <${SENDER}>`],
    ...entry.recipients.map((address): [string, string] => ['to', address]),
    ['subject', `Number ${entry.id}`],
    ['text', BODY],
    [`h:${ID_HEADER}`, entry.id],
  ];
  if (entry.recipients.length > 1) {
    const variables = Object.fromEntries(entry.recipients.map((address, i) => [address, { place: i }]));
    fields.push(['recipient-variables', JSON.stringify(variables)]);
  }
  return new URLSearchParams(fields);
}

/** Undefined: no answer. */
function post(
  { port, key }: ApiTarget,
  agent: Agent,
  body: URLSearchParams,
  idempotencyKey: string | undefined,
): Promise<{ status: number; body: string } | undefined> {
  return new Promise((resolve) => {
    const call = request({
      host: '127.0.0.1',
      port,
      agent,
      method: 'POST',
      path: `/v3/${SENDER_DOMAIN}/messages`,
      auth: `api:${key}`,
      timeout: ANSWER_WITHIN_MS,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
      },
    });
    call.on('error', () => resolve(undefined));
    call.on('timeout', () => call.destroy());
    call.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('error', () => resolve(undefined));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    call.end(body.toString());
  });
}
