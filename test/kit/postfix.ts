/**
 * A Postfix of the test's own: its configuration, queue and log are in a directory that goes with it, and it listens on one port of loopback. It takes mail for any mailbox of its domain and finds out only afterwards that there is none,
 * as servers do that cannot look; what it sends goes to one place. Needs root, as Postfix's master does.
 */
import { execFile } from 'node:child_process';
import { accessSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Keeper } from './installation.ts';
import { SmtpTalk } from './smtp-talk.ts';
import { until } from './until.ts';

const run = promisify(execFile);
const BINARY = '/usr/sbin/postfix';
/** sysexits.h: a delivery agent says so that there is no such user. */
const EX_NOUSER = 67;

export interface PostfixOptions {
  readonly port: number;
  /** Its mailboxes' domain. */
  readonly domain: string;
  /** Where all that it sends goes, on loopback. */
  readonly relayPort: number;
}

export interface Postfix {
  /** What it wrote. */
  log(): string;
}

/** Why there is none, as the reason to skip. */
export interface NoPostfix {
  readonly missing: string;
}

export async function startPostfix(keeper: Keeper, options: PostfixOptions): Promise<Postfix | NoPostfix> {
  try {
    accessSync(BINARY);
  } catch {
    return { missing: 'Postfix is not installed' };
  }
  if (process.getuid?.() !== 0) return { missing: "Postfix's master needs root" };
  const home = mkdtempSync(join(tmpdir(), 'postrider-postfix-'));
  const owner = Number((await run('id', ['-u', 'postfix'])).stdout);
  for (const name of ['queue', 'data']) mkdirSync(join(home, name));
  chownSync(join(home, 'data'), owner, -1);
  writeFileSync(join(home, 'main.cf'), mainOf(home, options));
  writeFileSync(join(home, 'nobox'), `cat > /dev/null\necho 'There is no such mailbox after all'\nexit ${EX_NOUSER}\n`);
  writeFileSync(join(home, 'master.cf'), masterOf(home, options));
  // Its daemons are other users, who must come through.
  await run('chmod', ['755', home]);
  const log = (): string => {
    try {
      return readFileSync(join(home, 'postfix.log'), 'utf8');
    } catch {
      return '';
    }
  };
  keeper.after(async () => {
    await run(BINARY, ['-c', home, 'abort']).catch(() => undefined);
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  });
  await run(BINARY, ['-c', home, 'start']).catch((error: unknown) => {
    throw new Error(`Postfix does not start: ${String(error)} ${log()}`);
  });
  await until(() => answers(options.port), 'Postfix to answer');
  return { log };
}

async function answers(port: number): Promise<boolean> {
  try {
    (await SmtpTalk.open(port)).destroy();
    return true;
  } catch {
    // Not yet.
    return false;
  }
}

function mainOf(home: string, { domain, relayPort }: PostfixOptions): string {
  return `compatibility_level = 3.6
queue_directory = ${home}/queue
data_directory = ${home}/data
maillog_file = ${home}/postfix.log
maillog_file_prefixes = ${home}
myhostname = mx.${domain}
mydestination = ${domain}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
local_recipient_maps =
local_transport = nobox:
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:${relayPort}
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtputf8_enable = no
# What is put off comes again at once: its minutes are longer than a test.
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
biff = no
`;
}

function masterOf(home: string, { port }: PostfixOptions): string {
  const services = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'trace unix - - n - 0 bounce',
    'verify unix - - n - 1 verify',
    'flush unix n - n 1000? 0 flush',
    'proxymap unix - - n - - proxymap',
    'smtp unix - - n - - smtp',
    'relay unix - - n - - smtp',
    'showq unix n - n - - showq',
    `nobox unix - n n - - pipe user=nobody argv=/bin/sh ${home}/nobox`,
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'discard unix - - n - - discard',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  return `${services.join('\n')}\n`;
}
