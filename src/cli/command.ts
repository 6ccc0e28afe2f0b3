/**
 * What a command is, how its arguments are read, and its help page. A command is a value: main.ts lists them all, and nothing else knows them.
 * Exit status: 0 done, 1 it could not be done, 2 it was asked wrongly (usage or configuration).
 */
import { parseArgs } from 'node:util';
import { closest } from 'fastest-levenshtein';
import type { Config } from '#app/config.ts';
import { errorText } from '#base/error-text.ts';

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  /** Placeholder of the value: "ID". */
  readonly value?: string;
  readonly help: string;
}

export interface Terminal {
  out(text: string): void;
  error(text: string): void;
  /** Colours may be used on standard output. */
  readonly hasColor: boolean;
  /** Width of standard error, when it is a terminal on which a line can be written again. */
  readonly columns?: number;
}

export interface Call {
  readonly positionals: readonly string[];
  readonly terminal: Terminal;
  readonly json: boolean;
  /** The configuration with --config and --data; throws ConfigError. */
  config(extra?: { readonly dev?: boolean }): Config;
  text(option: string): string | undefined;
  flag(option: string): boolean;
}

export interface Command {
  /** "start", "domain add" */
  readonly name: string;
  /** "NAME [--account ID]": the positional part. */
  readonly parameters: string;
  readonly summary: string;
  readonly details?: string;
  readonly examples: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** How many positional arguments. */
  readonly takes: readonly [min: number, max: number];
  readonly printsData: boolean;
  /** Resolves to the exit status. */
  run(call: Call): Promise<number>;
}

/** Asked wrongly: exit 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Could not be done, in a sentence for the operator: exit 1. */
export class Failure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Failure';
  }
}

const EVERYWHERE: Readonly<Record<string, OptionSpec>> = {
  config: { type: 'string', value: 'FILE', help: 'configuration file (TOML); also POSTRIDER_CONFIG' },
  data: { type: 'string', value: 'DIR', help: 'data directory; also POSTRIDER_DATA' },
  help: { type: 'boolean', help: 'this page' },
};
const JSON_OPTION: OptionSpec = { type: 'boolean', help: 'print JSON' };

export interface Parsed {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}

function optionsOf(command: Command): Readonly<Record<string, OptionSpec>> {
  return { ...command.options, ...(command.printsData ? { json: JSON_OPTION } : {}), ...EVERYWHERE };
}

/** Throws `UsageError`, naming the nearest option. */
export function parseCommand(command: Command, argv: readonly string[]): Parsed {
  const options = optionsOf(command);
  let parsed: Parsed;
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: Object.fromEntries(
        Object.entries(options).map(([name, { type }]) => [name, name === 'help' ? { type, short: 'h' } : { type }]),
      ),
    });
  } catch (error) {
    throw new UsageError(sentenceOf(error, Object.keys(options), command));
  }
  const [min, max] = command.takes;
  const count = parsed.positionals.length;
  if (parsed.values['help'] !== true && (count < min || count > max)) {
    throw new UsageError(
      count < min
        ? `${command.name} needs ${command.parameters}; see "postrider ${command.name} --help"`
        : `${command.name} takes no "${parsed.positionals[max]}"; see "postrider ${command.name} --help"`,
    );
  }
  return parsed;
}

function sentenceOf(error: unknown, names: readonly string[], command: Command): string {
  const message = errorText(error);
  const unknown = /Unknown option '(-[^']*)'/.exec(message)?.[1];
  if (unknown === undefined) return message.split('. ', 1)[0] ?? message;
  return `${command.name} has no option ${unknown}; the nearest is --${closest(unknown.replace(/^-+/, ''), [...names])}`;
}

export function helpOf(command: Command): string {
  const options = optionsOf(command);
  const rows = Object.entries(options).map(
    ([name, { value, help }]) => [`  --${name}${value === undefined ? '' : ` ${value}`}`, help] as const,
  );
  const width = Math.max(...rows.map(([left]) => left.length));
  const usage = ['postrider', command.name, command.parameters, '[OPTIONS]'].filter((part) => part !== '').join(' ');
  return [
    `${command.summary}.`,
    '',
    `usage: ${usage}`,
    ...(command.details === undefined ? [] : ['', command.details]),
    '',
    'options:',
    ...rows.map(([left, help]) => `${left.padEnd(width)}  ${help}`),
    '',
    'examples:',
    ...command.examples.map((example) => `  ${example}`),
    '',
  ].join('\n');
}
