/** What a handler returns: data, written to the wire in one place. */
import type { Buffer } from 'node:buffer';

export interface Answer {
  readonly status: number;
  readonly body: string | Buffer;
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of `body`, where that would be too much to hold: sent as they are made. */
  readonly pieces?: AsyncIterable<string>;
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** 204: done, and there is nothing to say. */
export const NO_CONTENT: Answer = { status: 204, body: '', contentType: JSON_TYPE };

/** The wire has a newline after JSON, which keeps terminals tidy. */
export function json(value: unknown, status = 200, headers?: Readonly<Record<string, string>>): Answer {
  return { status, body: `${JSON.stringify(value)}\n`, contentType: JSON_TYPE, ...(headers === undefined ? {} : { headers }) };
}
