/**
 * Postfix beside us, when it is installed (and we are root, which it needs): with a configuration, queue and port of its own in a temporary
 * directory, relaying everything to the sink. Nothing of an installation that runs already is touched.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../test/kit/free-port.ts';
import type { Server } from './server.ts';

const STARTED_WITHIN_MS = 20_000;

function output(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}

/** Version, or undefined when it cannot be run here. */
export function postfixVersion(): string | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    return output('postconf', '-d', '-h', 'mail_version');
  } catch {
    return undefined;
  }
}

export async function startPostfix(directory: string, sinkPort: number): Promise<Server> {
  const config = join(directory, 'config');
  const queue = join(directory, 'queue');
  const data = join(directory, 'data');
  for (const made of [config, queue, data]) mkdirSync(made, { recursive: true });
  const owner = Number(output('id', '-u', 'postfix'));
  chownSync(data, owner, 0);
  const port = await freePort();
  const daemons = output('postconf', '-d', '-h', 'daemon_directory');
  writeFileSync(join(config, 'main.cf'), mainConfig(config, queue, data, daemons, sinkPort));
  writeFileSync(join(config, 'master.cf'), masterConfig(port));
  execFileSync('postfix', ['-c', config, 'start'], { stdio: 'ignore' });
  const pid = await masterPid(join(queue, 'pid/master.pid'));
  return {
    pids: [pid],
    smtpPorts: [port],
    stop: () => {
      execFileSync('postfix', ['-c', config, 'stop'], { stdio: 'ignore' });
      return Promise.resolve();
    },
  };
}

/** What an operator would raise for bulk mail to one relay; all else is Postfix's default, its fsync with it. */
function mainConfig(config: string, queue: string, data: string, daemons: string, sinkPort: number): string {
  return `compatibility_level = 3.6
config_directory = ${config}
queue_directory = ${queue}
data_directory = ${data}
daemon_directory = ${daemons}
mail_owner = postfix
myhostname = postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:${sinkPort}
alias_maps =
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_tls_security_level = none
smtp_tls_security_level = none
default_destination_concurrency_limit = 20
smtp_destination_concurrency_limit = 20
maillog_file = ${data}/log
maillog_file_prefixes = ${data}
`;
}

function masterConfig(port: number): string {
  return `127.0.0.1:${port} inet n - n - 100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - 100 smtp
relay unix - - n - 100 smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}

async function masterPid(file: string): Promise<number> {
  const deadline = performance.now() + STARTED_WITHIN_MS;
  while (performance.now() < deadline) {
    const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
    if (pid > 0) return pid;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('Postfix did not start');
}
