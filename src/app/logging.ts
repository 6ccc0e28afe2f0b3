/**
 * The log: on standard error, as one JSON object for each line (for machines) or as plain text (for people). Standard output is left to
 * what a program may wait for. Values are escaped, so that a stranger's text cannot forge a line. Writing never stops the program:
 * when nobody reads standard error, lines beyond a bound are dropped.
 */
import pino from 'pino';
import type { Log } from '#base/log.ts';
import type { Config } from './config.ts';

/** Bytes of log waiting to be written; beyond, lines are dropped. */
const WAITING_MAX = 16 * 1024 * 1024;

export interface Logging {
  readonly log: Log;
  /** Writes what waits; for the end of the program. */
  flush(): void;
}

/** `fd`: where it goes; standard error. */
export function createLogging({ level, format }: Config['log'], fd = 2): Logging {
  const out = pino.destination({ fd, sync: false, minLength: 0, maxLength: WAITING_MAX });
  const flush = (): void => {
    try {
      out.flushSync();
    } catch {
      // Standard error is gone (closed pipe), or was not opened yet: there is nobody to tell.
    }
  };
  // A reader that goes away must not end the program.
  out.on('error', () => undefined);
  const write = { write: (line: string): void => void out.write(format === 'json' ? line : textOf(line)) };
  const base = pino(
    {
      level,
      base: undefined,
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    write,
  );
  return { log: base, flush };
}

/** "12:34:56.789 WARN  the sentence  key=value": from the JSON line, whose escapes keep it one line. */
function textOf(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as {
    level: string;
    time: string;
    msg?: string;
    err?: { message?: string; stack?: string };
  };
  const words = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' && /^[\w.:@/+-]+$/.test(value) ? value : printable(JSON.stringify(value))}`,
  );
  if (err !== undefined) words.push(`err=${printable(JSON.stringify(err.stack ?? err.message ?? err))}`);
  return `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${printable(msg ?? '')}${words.length > 0 ? `  ${words.join(' ')}` : ''}\n`;
}

function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
