/**
 * What a caller is told when something goes wrong: always `{"message": …}` (401 is the one exception), never a stack, a path or a
 * secret. Bugs are logged and told as "Internal Server Error".
 */
import { AppError } from '#model/errors.ts';
import { StoreError } from '#store/store.ts';
import type { Log } from '#base/log.ts';
import { ClientGone, RequestTooLarge, UnsupportedEncoding } from './body.ts';
import type { Answer } from './answer.ts';
import { allowanceHeaders } from './allowance.ts';
import { json } from './answer.ts';

/** 404 with the endpoint's own sentence. */
export class NotFound extends Error {
  constructor(sentence: string) {
    super(sentence);
    this.name = 'NotFound';
  }
}

/** A refusal in the words of the hosted service's newer parts, which say what is wrong in fields of their own beside the message. */
export class Refusal extends Error {
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;

  constructor(status: number, sentence: string, fields: Readonly<Record<string, string>>) {
    super(sentence);
    this.name = 'Refusal';
    this.status = status;
    this.fields = fields;
  }
}

const FORBIDDEN: Answer = {
  status: 401,
  body: 'Forbidden',
  contentType: 'text/plain; charset=utf-8',
  headers: { 'www-authenticate': 'Basic realm="MG API"' },
};
/** After trouble of the store; SDKs honour whole seconds. */
const RETRY_AFTER_SECONDS = '10';

export function errorAnswer(error: unknown, log: Log): Answer {
  if (error instanceof AppError) return appErrorAnswer(error);
  if (error instanceof Refusal) return json({ message: error.message, ...error.fields }, error.status);
  if (error instanceof NotFound) return json({ message: error.message }, 404);
  if (error instanceof RequestTooLarge) return json({ message: error.message }, 413);
  if (error instanceof UnsupportedEncoding) return json({ message: error.message }, 415);
  if (error instanceof ClientGone) return json({ message: 'the request did not arrive completely' }, 400);
  if (error instanceof StoreError) {
    log.error({ kind: error.kind, err: error.message }, 'the store refused a request of the API');
    return appErrorAnswer(new AppError(error.kind === 'full' ? 'store-full' : 'store-unavailable'));
  }
  log.error({ err: error instanceof Error ? error.stack : String(error) }, 'a handler of the API failed');
  return json({ message: new AppError('internal').message }, 500);
}

/** Of a limit that was reached, as the answers that stay within it tell. */
function reachedLimit({ code, details: { limit, resetMs } }: AppError): Readonly<Record<string, string>> {
  if (typeof limit !== 'number' || typeof resetMs !== 'number') return {};
  return allowanceHeaders(code === 'request-rate' ? 'request' : 'recipient', { limit, remaining: 0, resetMs });
}

function appErrorAnswer(error: AppError): Answer {
  if (error.http === 401) return FORBIDDEN;
  const answer = json({ message: error.message }, error.http);
  if (error.http !== 503 && error.http !== 429) return answer;
  return { ...answer, headers: { 'retry-after': String(error.details.seconds ?? RETRY_AFTER_SECONDS), ...reachedLimit(error) } };
}
