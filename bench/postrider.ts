/**
 * Runs the real program for a benchmark or a crash test: as `bin/postrider start` does, with a configuration of its own, a data directory of its
 * own, everything on loopback, and all mail routed to the sink.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../test/kit/free-port.ts';
import { SENDER_DOMAIN } from './message.ts';

const READY_WITHIN_MS = 60_000;
const STOPPED_WITHIN_MS = 60_000;
const root = join(import.meta.dirname, '..');

/** Not to outlive who started them, however that ends. */
const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export interface PostriderOptions {
  /** Made when it is absent. Holds the configuration and the log too. */
  readonly directory: string;
  readonly sinkPort: number;
  readonly sign: boolean;
  /** More configuration, TOML: tables that are not set here. */
  readonly settings?: string;
  /** Default: the embedded one, in the directory. */
  readonly shared?: StoreOfNodes;
  /** Write CPU profiles into this directory when it stops. */
  readonly profileInto?: string;
  /** Of the process, beside this one's. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A database that nodes share. */
export interface StoreOfNodes {
  readonly url: string;
  readonly node: string;
  /** Of the node that was first; absent for that one. */
  readonly secretFile?: string;
}

export interface Postrider {
  readonly pid: number;
  readonly smtpPort: number;
  readonly api: { readonly port: number; readonly key: string };
  stop(): Promise<void>;
  /** Milliseconds from its start to its ready line. */
  readonly readyAfterMs: number;
  /** Resolves when the process is gone, with its exit status (or signal). */
  readonly gone: Promise<string>;
  /** SIGKILL: no chance to clean up. */
  kill(): Promise<void>;
}

interface Launched {
  readonly child: ChildProcess;
  readonly gone: Promise<string>;
  kill(): Promise<void>;
}

/** An instance that can be started again on the same data and the same ports. */
export class PostriderHome {
  readonly #options: PostriderOptions;
  readonly smtpPort: number;
  readonly httpPort: number;
  readonly key = 'benchmark-key-0123456789abcdef';

  private constructor(options: PostriderOptions, smtpPort: number, httpPort: number) {
    this.#options = options;
    this.smtpPort = smtpPort;
    this.httpPort = httpPort;
  }

  /** Makes the directory and its configuration, starts once to make the account, and adds the sender domain. */
  static async make(options: PostriderOptions): Promise<PostriderHome> {
    mkdirSync(options.directory, { recursive: true });
    const home = new PostriderHome(options, await freePort(), await freePort());
    home.configure();
    // Account and domain are there when the store is another's too.
    if (options.shared?.secretFile !== undefined) return home;
    const first = await home.start({ isProfiled: false });
    try {
      await home.command('domain', 'add', SENDER_DOMAIN);
    } finally {
      await first.stop();
    }
    return home;
  }

  get #configFile(): string {
    return join(this.#options.directory, 'postrider.toml');
  }

  get secretFile(): string {
    return join(this.#options.directory, 'data', 'secret.key');
  }

  get logFile(): string {
    return join(this.#options.directory, 'log');
  }

  /** Writes the configuration; `sinkPort` may change between starts. */
  configure(sinkPort = this.#options.sinkPort): void {
    const { directory, sign, settings, shared } = this.#options;
    writeFileSync(
      this.#configFile,
      `data = ${JSON.stringify(join(directory, 'data'))}
${shared === undefined ? '' : sharing(shared)}http.listen = ["127.0.0.1:${this.httpPort}"]
smtp.submission = ["127.0.0.1:${this.smtpPort}"]
smtp.hostname = "postrider.example"
dkim.sign = ${sign}
# The peers sign once, with RSA.
dkim.ed25519 = false
sandbox.capture = false
domains.require_verification = false
delivery.allow_networks = ["127.0.0.0/8"]
log.level = "warn"
${settings ?? ''}
[[smtp.trusted]]
cidr = "127.0.0.0/8"
domain = "${SENDER_DOMAIN}"

[[delivery.routes]]
match = "*"
host = "127.0.0.1"
port = ${sinkPort}
tls = "none"
`,
    );
  }

  /** Resolves when it has said that it is ready. */
  async start(how: { readonly isProfiled: boolean } = { isProfiled: true }): Promise<Postrider> {
    const startedAtMs = performance.now();
    const launched = this.launch(how);
    const { child, gone } = launched;
    await this.#ready(child, gone);
    return {
      pid: child.pid as number,
      smtpPort: this.smtpPort,
      api: { port: this.httpPort, key: this.key },
      readyAfterMs: performance.now() - startedAtMs,
      gone,
      kill: launched.kill,
      stop: () => this.#stop(child, gone),
    };
  }

  /** Starts it and does not wait until it is ready. */
  launch({ isProfiled } = { isProfiled: false }): Launched {
    const log = openSync(this.logFile, 'a');
    const profile = isProfiled ? this.#options.profileInto : undefined;
    // The pinned Node itself, not bin/postrider, which would only wait for it: a SIGKILL must hit the program.
    const child = spawn(
      process.execPath,
      [
        // As bin/pinned-node.js has them.
        '--disable-warning=ExperimentalWarning',
        '--max-semi-space-size=8',
        ...(profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]),
        join(root, 'src/cli/main.ts'),
        'start',
        '--config',
        this.#configFile,
      ],
      {
        cwd: this.#options.directory,
        env: { ...process.env, ...this.#options.environment, POSTRIDER_API_KEY: this.key },
        stdio: ['ignore', 'pipe', log],
      },
    );
    closeSync(log);
    running.add(child);
    const gone = new Promise<string>((resolve) => child.once('exit', (code, signal) => resolve(String(code ?? signal))));
    void gone.then(() => running.delete(child));
    const kill = async (): Promise<void> => {
      child.kill('SIGKILL');
      await gone;
    };
    return { child, gone, kill };
  }

  /** Runs a command of bin/postrider on this instance; resolves to what it printed. */
  command(...args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const all = ['--disable-warning=ExperimentalWarning', join(root, 'src/cli/main.ts'), ...args, '--config', this.#configFile];
      execFile(process.execPath, all, { cwd: this.#options.directory }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`postrider ${args.join(' ')}: ${stderr}${stdout}`));
      });
    });
  }

  async #ready(child: ChildProcess, gone: Promise<string>): Promise<void> {
    const stdout = child.stdout as NodeJS.ReadableStream;
    const ready = new Promise<string>((resolve) => {
      createInterface({ input: stdout }).on('line', (line) => {
        if (line.startsWith('postrider ready')) resolve('ready');
      });
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve('not ready in time'), READY_WITHIN_MS);
    });
    const result = await Promise.race([ready, gone, late]);
    clearTimeout(timer);
    if (result === 'ready') return;
    child.kill('SIGKILL');
    throw new Error(`Postrider did not start (${result}); the end of ${this.logFile}:\n${this.logTail()}`);
  }

  logTail(): string {
    return readFileSync(this.logFile, 'utf8').slice(-4000);
  }

  async #stop(child: ChildProcess, gone: Promise<string>): Promise<void> {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOPPED_WITHIN_MS);
    const result = await gone;
    clearTimeout(timer);
    if (result !== '0') throw new Error(`Postrider did not stop cleanly (${result}); the end of ${this.logFile}:\n${this.logTail()}`);
  }
}

function sharing({ url, node, secretFile }: StoreOfNodes): string {
  const secret = secretFile === undefined ? '' : `secret_file = ${JSON.stringify(secretFile)}\n`;
  return `${secret}store.url = ${JSON.stringify(url)}\nnode.name = ${JSON.stringify(node)}\n`;
}
