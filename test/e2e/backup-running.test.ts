/** What is saved while it is served, and what is left when a copy is cut short: the commands run as an operator runs them, in processes of their own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, after, test } from 'node:test';
import { openStore } from '#store/open.ts';
import type { Store } from '#store/store.ts';
import { accept, HOUR_MS, mail, settlement, T0, type Tenant, tenant } from '../conformance/tenant.ts';
import { newTestStore, type TestStore } from '../kit/stores.ts';
import { until } from '../kit/until.ts';

const PROGRAM = join(import.meta.dirname, '../../src/cli/main.ts');
const SITES = 20;
const AT_ONCE = 25;
const BEFORE = 500;

/** Whatever becomes of a test, none of its commands stands still for ever. */
const begun = new Set<ChildProcess>();
after(() => {
  for (const child of begun) child.kill('SIGKILL');
});

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-saved-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function storeFor(t: TestContext, directory: string): Promise<TestStore> {
  const made = await newTestStore(directory);
  t.after(() => made.drop());
  return made;
}

interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

function command(directory: string, environment: Readonly<Record<string, string>>, ...args: string[]): Promise<Ended> {
  return started(directory, environment, [], args).ended;
}

/** A command in the middle of its work: it has told of it in words that match, and stands still until it is let go on. */
class Held {
  readonly child: ChildProcess;
  readonly #ended: Promise<Ended>;

  private constructor(child: ChildProcess, ended: Promise<Ended>) {
    this.child = child;
    this.#ended = ended;
  }

  static async at(pattern: RegExp, directory: string, environment: Readonly<Record<string, string>>, ...args: string[]): Promise<Held> {
    const hold = `import { readSync } from 'node:fs';
      const write = process.stderr.write.bind(process.stderr);
      process.stderr.write = (text, ...rest) => {
        const written = write(text, ...rest);
        if (${pattern}.test(text)) {
          process.stderr.write = write;
          readSync(0, Buffer.alloc(1));
        }
        return written;
      };`;
    const { child, ended, said } = started(directory, environment, ['--import', `data:text/javascript,${encodeURIComponent(hold)}`], args);
    await until(() => pattern.test(said()) || child.exitCode !== null, 'it is at work');
    assert.equal(child.exitCode, null, said());
    return new Held(child, ended);
  }

  goOn(): Promise<Ended> {
    this.child.stdin?.end('.');
    return this.#ended;
  }

  /** A signal that it can answer has come when it goes on. */
  end(signal: NodeJS.Signals): Promise<Ended> {
    this.child.kill(signal);
    return this.goOn();
  }
}

function started(
  directory: string,
  environment: Readonly<Record<string, string>>,
  nodeOptions: readonly string[],
  args: readonly string[],
): { readonly child: ChildProcess; readonly ended: Promise<Ended>; said(): string } {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...nodeOptions, PROGRAM, ...args], {
    env: { ...process.env, POSTRIDER_DATA: directory, ...environment },
    stdio: 'pipe',
  });
  begun.add(child);
  let [out, error] = ['', ''];
  // Of one that was killed.
  child.stdin.on('error', () => undefined);
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (error += text));
  const ended = once(child, 'close').then(([status]) => ({ status: status as number | null, out, error }));
  return { child, ended, said: () => error };
}

/** Accepts, leases, delivers and gives back, as fast as it goes, until it is told to stop. */
class Load {
  readonly accepted = new Set<number>();
  readonly settled = new Set<number>();
  readonly #store: Store;
  readonly #from: Tenant;
  readonly #running: Promise<void>;
  #isStopped = false;

  constructor(store: Store, from: Tenant) {
    this.#store = store;
    this.#from = from;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    for (let round = 0; !this.#isStopped; round++) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => this.#one(round * AT_ONCE + i)));
    }
  }

  async #one(n: number): Promise<void> {
    const isLeased = n % 2 === 0;
    const content = new Uint8Array(8000).fill(n % 256);
    const accepted = await accept(this.#store, mail(this.#from, { to: [`u${n}@site${n % SITES}.example`], isLeased, content }));
    this.accepted.add(accepted.id);
    // A quarter of what is leased stays so.
    if (n % 8 === 2)
      await this.#store.mail.release({ recipient: accepted.firstRecipient, epoch: 1, dueAtMs: T0 + HOUR_MS, wait: 'lane-rate' });
    if (n % 4 !== 0) return;
    assert.equal(await this.#store.mail.settle(settlement(this.#from, accepted)), true);
    this.settled.add(accepted.id);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }
}

test('a backup that is taken under load holds all that was accepted before it, legally, and can be served', async (t) => {
  const directory = directoryFor(t);
  const served = await storeFor(t, directory);
  const server = await openStore({
    url: served.url,
    mode: 'server',
    nowMs: T0,
    node: { name: 'n', version: '1', services: ['deliver'], sources: [] },
  });
  const load = new Load(server, await tenant(server));
  await until(() => load.accepted.size >= BEFORE, 'there is something to save');
  const [accepted, settled] = [[...load.accepted], [...load.settled]];
  const file = join(directory, 'saved.db');
  const saving = await Held.at(/cop/, directory, served.environment, 'backup', '--to', file);
  const atWork = load.accepted.size;
  await until(() => load.accepted.size - atWork > 2 * AT_ONCE, 'the server goes on meanwhile');
  const saved = await saving.goOn();
  assert.equal(saved.status, 0, saved.error);
  await load.stop();
  await server.close();

  const beside = directoryFor(t);
  const restored = await storeFor(t, beside);
  const loaded = await command(beside, restored.environment, 'restore', '--from', file);
  assert.equal(loaded.status, 0, loaded.error);
  assert.deepEqual(await restored.troubles(), []);
  const states = new Map(
    (await restored.rows('SELECT message, state FROM recipient')).map((row) => [Number(row['message']), Number(row['state'])]),
  );
  assert.deepEqual(
    accepted.filter((id) => !states.has(id)),
    [],
    'nothing accepted is missing',
  );
  assert.deepEqual(
    settled.filter((id) => states.get(id) !== 2),
    [],
    'what was settled is settled',
  );
  assert.deepEqual(
    [...states.keys()].filter((id) => !load.accepted.has(id)),
    [],
    'nothing is there that was never accepted',
  );
  const queued = [...states].filter(([, state]) => state === 0).map(([id]) => id);
  assert.equal(queued.length + [...states.values()].filter((state) => state === 2).length, states.size, 'nothing is leased');

  const again = await openStore({ url: restored.url, mode: 'server', nowMs: T0 + 2 * HOUR_MS });
  const claimed = new Set<number>();
  const farMs = Date.now() + HOUR_MS;
  await until(async () => {
    const buckets = await again.mail.dueBuckets(farMs, 1000);
    const found = await again.mail.claim(
      buckets.map(({ id }) => ({ bucket: id, room: 1000 })),
      farMs,
    );
    for (const { message } of found) claimed.add(message.id);
    return found.length === 0;
  }, 'all that is queued is claimed');
  assert.deepEqual([...claimed].sort(), queued.sort(), 'whatever is queued is found by a look');
  const some = queued[0] as number;
  assert.equal((await again.mail.content(some))?.length, 8000);
  await again.close();
});

test('a copy goes on after it was asked to end, and after it was killed', async (t) => {
  const directory = directoryFor(t);
  const source = `sqlite:${join(directory, 'source.db')}`;
  const filled = await openStore({ url: source });
  await accept(filled, mail(await tenant(filled)));
  await filled.close();
  const db = new DatabaseSync(join(directory, 'source.db'));
  db.exec(`WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12)
    INSERT INTO captured (at_ms, sender, recipients, size_bytes, subject, from_header, bytes) SELECT n, '', '[]', 1, '', '', randomblob(10000000) FROM n`);
  db.close();
  const target = await storeFor(t, join(directory, 'target'));
  const copying = ['store', 'copy', '--from', source, '--to', target.url];
  // What comes next is the large table.
  const asked = await (await Held.at(/copied event/, directory, {}, ...copying)).end('SIGINT');
  assert.equal(asked.status, 1, asked.error);
  assert.match(asked.error, /it was stopped; the same command goes on where it was/);
  // The comparison begins with the smallest tables: all is copied, and nothing finished.
  await (await Held.at(/compared|copying captured/, directory, {}, ...copying)).end('SIGKILL');
  const { status, out, error } = await command(directory, {}, ...copying);
  assert.equal(status, 0, error);
  assert.match(out, /equal on both sides/);
  const [row] = await target.rows('SELECT count(*) AS n FROM captured');
  assert.equal(Number(row?.['n']), 12);
  assert.deepEqual(await target.troubles(), []);
});

test('a backup that is asked to end leaves no file', async (t) => {
  const directory = directoryFor(t);
  const served = await storeFor(t, directory);
  const store = await openStore({ url: served.url });
  const from = await tenant(store);
  for (let i = 0; i < 4; i++) {
    await Promise.all(Array.from({ length: 5 }, () => accept(store, mail(from, { content: new Uint8Array(5_000_000).fill(1) }))));
  }
  await store.close();
  const saving = await Held.at(/cop/, directory, served.environment, 'backup', '--to', join(directory, 'saved.db'));
  const { status, error } = await saving.end('SIGTERM');
  assert.equal(status, 1, error);
  assert.match(error, /it was stopped; no file was made/);
  assert.equal(existsSync(join(directory, 'saved.db')), false);
  assert.equal(existsSync(join(directory, 'saved.db.partial')), false);
});
