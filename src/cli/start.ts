/**
 * postrider start: runs until SIGTERM, SIGINT or SIGHUP, then drains and ends with status 0; a second signal ends it at once with status 1 (which
 * loses nothing: what is accepted is on disk). One line that starts with "postrider ready" goes to standard output when every listener is open.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { environmentWarnings, settingWarnings } from '#app/config.ts';
import { welcome } from '#app/first-start.ts';
import { createLogging } from '#app/logging.ts';
import type { OpenAddress, Running } from '#app/running.ts';
import type { Log } from '#base/log.ts';
import { StoreError } from '#store/store.ts';
import type { Command, Terminal } from './command.ts';
import { makeDataDirectory } from './data-directory.ts';

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
/** Ctrl-C reaches a program from the terminal and again from whatever started it: within this time they are one. */
const ONE_SIGNAL_MS = 500;
const FORMER_PROCESS_MS = 2000;
const LOOK_AGAIN_MS = 100;

export const start: Command = {
  name: 'start',
  parameters: '',
  summary: 'Starts the server',
  details:
    'With --dev (that is "npm start") mail is captured in the sandbox instead of being delivered, and an account, an API key and an SMTP login for trying it are printed.',
  examples: ['postrider start --dev', 'postrider start --config /etc/postrider.toml --data /var/lib/postrider'],
  options: { dev: { type: 'boolean', help: 'development mode: capture all mail, print credentials' } },
  takes: [0, 0],
  printsData: false,
  async run({ config, flag, terminal }) {
    const settings = config({ dev: flag('dev') });
    makeDataDirectory(settings.data);
    const { log, flush } = createLogging(settings.log);
    // Handed to app/config, which alone reads it.
    for (const warning of [...environmentWarnings(process.env), ...settingWarnings(settings)]) log.warn({}, warning);
    guardProcess(log, flush);
    const { startPostrider } = await import('#app/wire.ts');
    try {
      return await serve(() => startPostrider(settings, log), log, terminal);
    } finally {
      flush();
    }
  },
};

type Start = () => Running;

async function serve(begin: Start, log: Log, terminal: Terminal): Promise<number> {
  const signals = watchSignals(log);
  try {
    const running = await Promise.race([started(begin), signals.asked]);
    // Stopped while it was starting: nothing was promised to anybody yet.
    if (running === 'stop') return 0;
    terminal.out(greeting(running));
    const end = await Promise.race([signals.asked, running.fatal]);
    if (end instanceof Error) log.error({ err: end }, 'the program cannot go on and ends; nothing that was accepted is lost');
    await running.stop();
    return end instanceof Error ? 1 : 0;
  } finally {
    signals.close();
  }
}

/** A former process on the same data directory may be at its very end (a restart, or a kill whose news has not spread): worth a short wait. */
async function started(begin: Start): Promise<Running> {
  const deadlineMs = performance.now() + FORMER_PROCESS_MS;
  for (;;) {
    const running = begin();
    try {
      await running.ready;
      return running;
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind !== 'busy' || performance.now() > deadlineMs) throw error;
    }
    await pause(LOOK_AGAIN_MS);
  }
}

function watchSignals(log: Log): { readonly asked: Promise<'stop'>; close(): void } {
  const asked = Promise.withResolvers<'stop'>();
  let firstMs: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const nowMs = performance.now();
    if (firstMs === undefined) {
      firstMs = nowMs;
      log.info({ signal }, 'stopping: no new mail is taken, what is being sent is finished');
      asked.resolve('stop');
    } else if (nowMs - firstMs > ONE_SIGNAL_MS) {
      process.exit(1);
    }
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    asked: asked.promise,
    close() {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    },
  };
}

function greeting(running: Running): string {
  const { addresses, credentials } = running;
  const http = addresses.find((address) => address.service === 'http');
  const smtp = addresses.find((address) => address.service === 'submission');
  const hello =
    credentials === undefined || http === undefined
      ? ''
      : `\n${welcome(credentials, { http: `http://${hostPort(reachable(http))}`, ...(smtp === undefined ? {} : { smtp: reachable(smtp) }) })}\n`;
  const services = Map.groupBy(addresses, (address) => address.service);
  const listing = [...services].map(([service, list]) => `${service}=${list.map(hostPort).join(',')}`);
  return `${hello}postrider ready ${listing.join(' ')}\n`;
}

/** "Every address" is not one that a client can call. */
function reachable(address: OpenAddress): OpenAddress {
  return address.host === '0.0.0.0' || address.host === '::' ? { ...address, host: 'localhost' } : address;
}

function hostPort({ host, port }: OpenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A promise that nobody watched is a bug, told loudly, and no reason to drop every connection; an exception that nobody caught ends the program. */
function guardProcess(log: Log, flush: () => void): void {
  process.on('unhandledRejection', (reason) => log.error({ err: reason }, 'a failure was not handled (this is a bug)'));
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'an unexpected failure ends the program; nothing that was accepted is lost');
    flush();
    process.exit(1);
  });
}
