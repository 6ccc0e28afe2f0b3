/** The real program as a child process, as a user starts it: bin/postrider with settings from the environment, on free ports, in a data directory of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const BIN = join(import.meta.dirname, '../../bin/postrider');

/** Not to outlive the tests, whose file may fail before it can end anything: the others of a run would have them beside them. */
const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export interface Finished {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

export interface Program {
  readonly child: ChildProcess;
  /** What it printed before and with its ready line. */
  readonly greeting: string;
  /** "127.0.0.1:41234" of each service, as the ready line says. */
  readonly doors: ReadonlyMap<string, readonly string[]>;
  /** Its log so far. */
  said(): string;
  /** Ends it and resolves to what it said. */
  stop(signal?: NodeJS.Signals): Promise<Finished>;
}

export function environment(data: string, settings: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    POSTRIDER_DATA: data,
    POSTRIDER_HTTP_LISTEN: '127.0.0.1:0',
    POSTRIDER_SMTP_SUBMISSION: '127.0.0.1:0',
    POSTRIDER_SMTP_INBOUND: '[]',
    NO_COLOR: '1',
    ...settings,
  };
}

/** Runs one command to its end. */
export async function postrider(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Finished> {
  const child = spawn(process.execPath, [BIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  return finish(child, collect(child));
}

/** Starts the server and waits for its ready line; rejects with what it said when it ends before. */
export async function startProgram(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  timeoutMs: number,
  nodeOptions: readonly string[] = [],
): Promise<Program> {
  const child = spawn(process.execPath, [...nodeOptions, BIN, 'start', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const said = collect(child);
  const ended = finish(child, said);
  const ready = new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ready line within ${timeoutMs} ms: ${said.error}`)), timeoutMs);
    child.stdout?.on('data', () => {
      const line = /^postrider ready.*\n/m.exec(said.out)?.[0];
      if (line === undefined) return;
      clearTimeout(timer);
      resolve(line.trim());
    });
    ended.then(({ status, error }) => {
      clearTimeout(timer);
      reject(new Error(`it ended with status ${status ?? 'none'} before it was ready: ${error}`));
    }, reject);
  });
  let line: string;
  try {
    line = await ready;
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  const doors = new Map(
    line
      .split(' ')
      .slice(2)
      .map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1).split(',')] as const),
  );
  return {
    child,
    greeting: said.out,
    doors,
    said: () => said.error,
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}

interface Said {
  out: string;
  error: string;
}

function collect(child: ChildProcess): Said {
  const said: Said = { out: '', error: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.error += text));
  return said;
}

async function finish(child: ChildProcess, said: Said): Promise<Finished> {
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...said };
}
