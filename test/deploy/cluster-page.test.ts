/**
 * The walk of docs/cluster.md, as it is written there: its commands are run in order by a shell, from one process to three nodes and back. What differs is the place (a directory
 * of the test's), the ports, a shorter lease, and who does what a machine's root would do with its PostgreSQL: this test, whom stand-ins for those two programs ask.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { freePort, takePort } from '../kit/free-port.ts';
import { type TestPostgres, startPostgres } from '../kit/postgres.ts';
import { until } from '../kit/until.ts';

const root = join(import.meta.dirname, '../..');
/** Shorter than the default, and longer than a busy machine keeps a process waiting: who is given up while it lives refuses mail for a moment. */
const LEASE = '10s';
/** What never comes ends here, before the runner's limit, and says where. */
const STEP_MS = 110_000;
/** Characters of each that are told of a failure. */
const TOLD = 3000;
const TOOLS = ['bash', 'curl', 'openssl', 'grep', 'sed'];
const missing = TOOLS.filter((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0);
const skip = missing.length > 0 && `without ${missing.join(', ')}`;

/** A heading below "The walk", with its blocks of shell. */
interface Step {
  readonly name: string;
  readonly commands: string;
}

interface Walk {
  /** All that was said so far, also by the shell about what it does. */
  said(): string;
  /** The last of it, and of what each process logged: for who asks why a step failed. */
  story(): string;
  /** Resolves when the step is done, or the walk has ended before. */
  reaches(step: Step): Promise<boolean>;
  /** The shell's. */
  readonly status: Promise<number | null>;
}

const steps = stepsOfPage();
const walk = skip === false ? await setOut() : undefined;

describe('docs/cluster.md walks from one process to three nodes and back', { skip }, () => {
  // A test for each heading: the whole takes longer than one may.
  for (const step of steps)
    test(step.name, async () => {
      assert.ok(await walk?.reaches(step), walk?.story() ?? '');
    });

  test('nothing failed, and all that the page tells of was seen', async () => {
    const status = await walk?.status;
    const said = walk?.said() ?? '';
    assert.equal(status, 0, walk?.story() ?? '');
    for (const told of [/alice@example\.com +delivered/, /bob@example\.com +delivered/, /carol@example\.com +delivered/])
      assert.match(said, told);
    assert.match(said, /node3 +lost/);
    assert.match(said, /node2 +drained/);
    assert.match(said, /The requested URL returned error: 503/);
    assert.equal(said.match(/The store is copied: /g)?.length, 2);
  });
});

/** Starts the shell, which goes on by itself. */
async function setOut(): Promise<Walk> {
  const postgres = await startPostgres({ after });
  const place = mkdtempSync(join(tmpdir(), 'postrider-walk-'));
  const control = createServer((request, response) => {
    body(request)
      .then((command) => administer(postgres, command))
      .then(
        () => response.end(),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
  }).listen(0, '127.0.0.1');
  await once(control, 'listening');
  standIns(place, (control.address() as { port: number }).port);
  for (const name of ['bin', 'src', 'package.json', 'node_modules']) symlinkSync(join(root, name), join(place, name));
  const script = steps.map((step) => `${step.commands}\necho '${mark(step)}'\n`).join('');
  writeFileSync(
    join(place, 'walk.sh'),
    `set -euxo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n${await withPorts(script, postgres.port)}`,
  );

  const shell = spawn('bash', ['walk.sh'], {
    cwd: place,
    env: { ...process.env, PATH: `${place}/stand-ins:${process.env['PATH'] ?? ''}`, POSTRIDER_STORE_LEASE: LEASE },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let [said, out] = ['', ''];
  shell.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  for (const stream of [shell.stdout, shell.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  let isOver = false;
  const status = once(shell, 'close').then(([code]) => {
    isOver = true;
    return code as number | null;
  });
  async function end(): Promise<void> {
    // All that it started is in its group.
    if (!isOver) process.kill(-(shell.pid as number), 'SIGKILL');
    await status;
  }
  after(async () => {
    await end();
    control.close();
    rmSync(place, { recursive: true, force: true, maxRetries: 5 });
  });
  return {
    said: () => said,
    story: () => [said, ...logs(place)].map((text) => text.slice(-TOLD)).join('\n----\n'),
    async reaches(step) {
      await until(() => isOver || out.includes(mark(step)), `the page's "${step.name}" is done`, STEP_MS).catch(end);
      return out.includes(mark(step));
    },
    status,
  };
}

function logs(place: string): string[] {
  const names = readdirSync(join(place, 'walk')).filter((name) => name.endsWith('.log'));
  return names.map((name) => `${name}: ${readFileSync(join(place, 'walk', name), 'utf8')}`);
}

function mark({ name }: Step): string {
  return `==== done: ${name}`;
}

function stepsOfPage(): Step[] {
  const page = readFileSync(join(root, 'docs/cluster.md'), 'utf8');
  const [, text = ''] = /^## The walk\n([^]*?)^## /m.exec(page) ?? [];
  const [before = '', ...sections] = text.split(/^### /m);
  assert.ok(!before.includes('```'), 'all of the walk stands below its headings');
  const blocks = (section: string): string[] => [...section.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block as string);
  assert.ok(blocks(text).length >= 10, `${blocks(text).length} blocks`);
  return sections.map((section) => ({
    name: section.slice(0, section.indexOf('\n')),
    commands: blocks(section).join('\n'),
  }));
}

async function withPorts(text: string, databasePort: number): Promise<string> {
  // Ports with $n and $1 in them are one for each node: the last digit has to stay.
  const http = await threePorts();
  const smtp = await threePorts();
  const ports: Readonly<Record<string, string>> = { '5432': String(databasePort), '808': http, '253': smtp };
  // In one go: what is put in may itself have such digits in it.
  return text.replace(/5432|808|253/g, (digits) => ports[digits] as string);
}

/** What stands before the last digit of three ports that are free now: 1, 2 and 3. */
async function threePorts(): Promise<string> {
  for (;;) {
    const prefix = String(Math.floor((await freePort()) / 10));
    const are = await Promise.all([1, 2, 3].map((digit) => takePort(Number(`${prefix}${digit}`))));
    if (are.every(Boolean)) return prefix;
  }
}

/** Programs of the page that need a system's PostgreSQL and its root: they hand over what they were asked for. */
function standIns(place: string, controlPort: number): void {
  mkdirSync(join(place, 'stand-ins'));
  for (const name of ['runuser', 'pg_ctlcluster']) {
    const path = join(place, 'stand-ins', name);
    writeFileSync(
      path,
      `#!/bin/sh\nexec curl --silent --show-error --fail-with-body --data "${name} $*" http://127.0.0.1:${controlPort}/\n`,
    );
    chmodSync(path, 0o755);
  }
}

async function administer(postgres: TestPostgres, command: string): Promise<void> {
  const [, password] = /^runuser -u postgres -- psql .*CREATE ROLE postrider LOGIN PASSWORD '([0-9a-f]+)'$/.exec(command) ?? [];
  // The test's server has the role already.
  if (password !== undefined) await postgres.sql(`ALTER ROLE postrider LOGIN PASSWORD '${password}'`);
  else if (command === 'runuser -u postgres -- createdb --owner postrider --encoding UTF8 --template template0 postrider')
    await postgres.sql("CREATE DATABASE postrider OWNER postrider ENCODING 'UTF8' TEMPLATE template0");
  else if (command === 'pg_ctlcluster 15 main stop --mode fast') await postgres.stop('fast');
  else if (command === 'pg_ctlcluster 15 main start') await postgres.start();
  else throw new Error(`nobody does here what the page says: ${command}`);
}

async function body(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
}
