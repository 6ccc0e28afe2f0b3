/**
 * Haraka beside us, when a `haraka` command is installed: made with `haraka -i`, one process, relaying everything to the sink.
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../test/kit/free-port.ts';
import type { Server } from './server.ts';

const STARTED_WITHIN_MS = 20_000;

/** Version, or undefined when it is not installed. */
export function harakaVersion(): string | undefined {
  try {
    const text = execFileSync('haraka', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? text.trim();
  } catch {
    return undefined;
  }
}

export async function startHaraka(directory: string, sinkPort: number): Promise<Server> {
  execFileSync('haraka', ['-i', directory], { stdio: 'ignore' });
  const port = await freePort();
  const config: Readonly<Record<string, string>> = {
    'smtp.ini': `listen=127.0.0.1:${port}\n[headers]\nmax_received=100\n`,
    plugins: 'relay\n',
    'relay.ini': '[relay]\nacl=true\ndest_domains=true\n',
    relay_acl_allow: '127.0.0.1/32\n',
    'relay_dest_domains.ini': `[domains]\nany={"action":"continue","nexthop":"127.0.0.1:${sinkPort}"}\n`,
    'outbound.ini': 'concurrency_max=20\nlocal_mx_ok=true\nenable_tls=false\n',
    loglevel: 'WARN\n',
    me: 'haraka.example\n',
    host_list: 'haraka.example\n',
  };
  for (const [name, text] of Object.entries(config)) writeFileSync(join(directory, 'config', name), text);
  const log = openSync(join(directory, 'log'), 'a');
  const child = spawn('haraka', ['-c', directory], { stdio: ['ignore', log, log] });
  closeSync(log);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await listening(port);
  return {
    pids: [child.pid as number],
    smtpPorts: [port],
    stop: async () => {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

async function listening(port: number): Promise<void> {
  const deadline = performance.now() + STARTED_WITHIN_MS;
  while (performance.now() < deadline) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('Haraka did not start');
}
