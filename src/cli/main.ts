/**
 * The command line: finds the command, reads its arguments, runs it, and turns every failure into one sentence and an exit status
 * (0 done, 1 it could not be done, 2 it was asked wrongly). bin/postrider starts this file.
 */
import { closest, distance } from 'fastest-levenshtein';
import { ConfigError, loadConfig } from '#app/config.ts';
import type { Config } from '#app/config.ts';
import { programVersion } from '#app/program-version.ts';
import { accountAdd, accountList } from './account.ts';
import { accountLimit } from './account-limit.ts';
import { accountNetworks } from './account-networks.ts';
import { userAdd, userDisable, userEnable, userList } from './user.ts';
import { Failure, helpOf, parseCommand, UsageError } from './command.ts';
import type { Call, Command, Terminal } from './command.ts';
import { backup, restore } from './backup.ts';
import { credentialAdd, credentialDelete, credentialDisable, credentialEnable, credentialList } from './credential.ts';
import { domainAdd, domainList, domainRecords, domainRotate, domainVerify } from './domain.ts';
import { keyAdd, keyList, keyRevoke } from './key.ts';
import { nodes, nodesDrain, nodesResume } from './nodes.ts';
import { queue } from './queue.ts';
import { checkConfig, settings } from './settings.ts';
import { start } from './start.ts';
import { storeCopy } from './store-copy.ts';
import { templateAdd, templateDelete, templateList } from './template.ts';
import { why } from './why.ts';

const version: Command = {
  name: 'version',
  parameters: '',
  summary: 'Prints the version',
  examples: ['postrider version'],
  options: {},
  takes: [0, 0],
  printsData: true,
  run({ json: asJson, terminal }) {
    const version = programVersion();
    terminal.out(asJson ? `${JSON.stringify({ version, node: process.version })}\n` : `postrider ${version} (Node ${process.version})\n`);
    return Promise.resolve(0);
  },
};

export const COMMANDS: readonly Command[] = [
  start,
  checkConfig,
  settings,
  accountAdd,
  accountList,
  accountLimit,
  accountNetworks,
  userAdd,
  userList,
  userDisable,
  userEnable,
  domainAdd,
  domainList,
  domainRecords,
  domainVerify,
  domainRotate,
  credentialAdd,
  credentialList,
  credentialDisable,
  credentialEnable,
  credentialDelete,
  keyAdd,
  keyList,
  keyRevoke,
  templateAdd,
  templateList,
  templateDelete,
  why,
  queue,
  nodes,
  nodesDrain,
  nodesResume,
  backup,
  restore,
  storeCopy,
  version,
];

type Environment = Readonly<Record<string, string | undefined>>;

/** Resolves to the exit status; never rejects. */
export async function run(argv: readonly string[], env: Environment, terminal: Terminal): Promise<number> {
  try {
    return await dispatch(argv, env, terminal);
  } catch (error) {
    terminal.error(`postrider: ${sentenceOf(error)}\n`);
    return error instanceof UsageError || error instanceof ConfigError ? 2 : 1;
  }
}

async function dispatch(argv: readonly string[], env: Environment, terminal: Terminal): Promise<number> {
  const [first, second] = argv;
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    terminal.out(overview());
    return first === undefined ? 2 : 0;
  }
  if (first === '--version' || first === '-v') return dispatch(['version'], env, terminal);
  const family = COMMANDS.filter((command) => command.name.startsWith(`${first} `));
  const command = COMMANDS.find(({ name }) => name === `${first} ${second}`) ?? COMMANDS.find(({ name }) => name === first);
  if (command === undefined) {
    if (family.length === 0) throw new UsageError(`there is no command ${first}; ${nearestCommand(first)}`);
    if (second === '--help' || second === '-h') {
      terminal.out(family.map(helpOf).join('\n\n'));
      return 0;
    }
    throw new UsageError(`${first} needs one of ${family.map((c) => c.name.slice(first.length + 1)).join(', ')}`);
  }
  const { values, positionals } = parseCommand(command, argv.slice(command.name.split(' ').length));
  if (values['help'] === true) {
    terminal.out(helpOf(command));
    return 0;
  }
  return command.run(callOf(values, positionals, env, terminal));
}

function nearestCommand(given: string): string {
  const nearest = closest(
    given,
    COMMANDS.map((command) => command.name.split(' ')[0] ?? ''),
  );
  return distance(given, nearest) < nearest.length ? `the nearest is ${nearest}` : '"postrider --help" lists them';
}

function callOf(
  values: Readonly<Record<string, string | boolean | undefined>>,
  positionals: readonly string[],
  env: Environment,
  terminal: Terminal,
): Call {
  const text = (option: string): string | undefined => {
    const value = values[option];
    return typeof value === 'string' ? value : undefined;
  };
  const config = (extra: { readonly dev?: boolean } = {}): Config => {
    const file = text('config') ?? (env['POSTRIDER_CONFIG'] === '' ? undefined : env['POSTRIDER_CONFIG']);
    const data = text('data');
    return loadConfig({ env, ...extra, ...(file === undefined ? {} : { file }), ...(data === undefined ? {} : { overrides: { data } }) });
  };
  return { positionals, terminal, config, text, json: values['json'] === true, flag: (option) => values[option] === true };
}

/** For the operator: what is wrong, without a stack. The kinds that tell it well themselves are taken at their word. */
function sentenceOf(error: unknown): string {
  if (error instanceof ConfigError)
    return `the configuration has ${error.problems.length === 1 ? 'a mistake' : `${error.problems.length} mistakes`}:\n${error.problems.map((p) => `  ${p}`).join('\n')}`;
  if (error instanceof UsageError || error instanceof Failure) return error.message;
  if (!(error instanceof Error)) return String(error);
  const { code, address, port, path } = error as { code?: unknown; address?: unknown; port?: unknown; path?: unknown };
  if (code === 'EADDRINUSE') return `${String(address)}:${String(port)} is in use by another program`;
  if (code === 'EACCES' && address !== undefined) return `this user may not listen on ${String(address)}:${String(port)}`;
  if (code === 'EACCES' || code === 'EPERM') return `this user may not use ${String(path ?? 'a file')}`;
  if (code === 'ENOSPC') return 'there is no space left on the disk';
  return error.message;
}

function overview(): string {
  const rows = COMMANDS.map((command) => [`  ${command.name} ${command.parameters}`.trimEnd(), command.summary] as const);
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    'Postrider takes mail by SMTP and an HTTP API, keeps it, signs it, delivers it and explains it.',
    '',
    'usage: postrider COMMAND [ARGUMENTS] [--config FILE] [--data DIR]',
    '',
    ...rows.map(([left, summary]) => `${left.padEnd(width)}  ${summary}`),
    '',
    'postrider COMMAND --help tells more, with examples. Exit status: 0 done, 1 it could not be done, 2 it was asked wrongly.',
    '',
  ].join('\n');
}

if (import.meta.main) {
  // What is written holds mail and secrets: it is for its owner only, also in a directory that others may enter.
  process.umask(0o077);
  // Handed to app/config, which alone reads it.
  const env = process.env;
  const { stdout } = process;
  const status = await run(process.argv.slice(2), env, {
    out: (text) => void stdout.write(text),
    error: (text) => void process.stderr.write(text),
    hasColor: stdout.isTTY && stdout.hasColors() && (env['NO_COLOR'] ?? '') === '',
    ...(process.stderr.isTTY && { columns: process.stderr.columns }),
  });
  // Whatever was left open (a socket that lingers) must not keep the process; what was written must arrive first.
  stdout.write('', () => process.exit(status));
}
