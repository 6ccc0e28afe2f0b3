/**
 * Nodes of the real program on one PostgreSQL, a sink for what they deliver, and clients that load all of them by SMTP and the API. What the clients were promised is
 * compared with what the sink acknowledged: nothing accepted is lost, nothing unknown is delivered, and what came twice says so.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { NodeRow } from '#store/store.ts';
import { ID_HEADER } from '../../bench/message.ts';
import { type Postrider, PostriderHome } from '../../bench/postrider.ts';
import type { Keeper } from '../kit/installation.ts';
import { type TestPostgres, startPostgres } from '../kit/postgres.ts';
import { type Sink, type SinkTransaction, startSink } from '../kit/sink.ts';
import { until } from '../kit/until.ts';
import { apiClient } from '../torture/api-client.ts';
import { type Delivery, judge, Ledger } from '../torture/ledger.ts';
import { isMarked } from '../torture/marks.ts';
import { smtpClient } from '../torture/smtp-client.ts';

export interface ClusterOptions {
  readonly nodes: number;
  /** TOML, beside what every node has. */
  readonly settings?: string;
  /** Of the database, for each node. Default: a server is started, with a database. */
  readonly url?: string | ((n: number) => string);
  /** What each node does. Default: everything. */
  readonly services?: (n: number) => string;
}

const DRAINED_MS = 60_000;
const HEAD_BYTES = 4096;
const SETTLED = '0 wait, 0 are in work';
const STEPPED_CLOCK = pathToFileURL(join(import.meta.dirname, '../kit/stepped-clock.ts')).href;

/** One node; it may be killed and started again under the same name and ports. */
export class TestNode {
  readonly home: PostriderHome;
  readonly #clockFile: string;
  #process: Postrider | undefined;

  constructor(home: PostriderHome, clockFile: string) {
    this.home = home;
    this.#clockFile = clockFile;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  get process(): Postrider {
    assert.ok(this.#process, 'the node does not run');
    return this.#process;
  }

  async start(): Promise<void> {
    this.#process = await this.home.start();
  }

  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    await running?.kill();
  }

  /** In good order. */
  async stop(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    await running?.stop();
  }

  freeze(): void {
    process.kill(this.process.pid, 'SIGSTOP');
  }

  wake(): void {
    process.kill(this.process.pid, 'SIGCONT');
  }

  /** What its wall clock shows differs from the machine's by so much from now on. */
  skew(byMs: number): void {
    writeFileSync(this.#clockFile, String(byMs));
  }

  /** Lines of its log that hold the text. */
  logged(text: string): string[] {
    return readFileSync(this.home.logFile, 'utf8')
      .split('\n')
      .filter((line) => line.includes(text));
  }

  async get(path: string): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
    const response = await fetch(`http://127.0.0.1:${this.home.httpPort}${path}`, {
      headers: { authorization: `Basic ${Buffer.from(`api:${this.home.key}`).toString('base64')}` },
      signal: AbortSignal.timeout(20_000),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
}

export class TestCluster {
  readonly nodes: readonly TestNode[];
  readonly sink: Sink;
  readonly ledger = new Ledger();
  readonly #postgres: TestPostgres | undefined;
  readonly #database: string;

  private constructor(nodes: readonly TestNode[], sink: Sink, postgres: TestPostgres | undefined, database: string) {
    this.nodes = nodes;
    this.sink = sink;
    this.#postgres = postgres;
    this.#database = database;
  }

  static async make(keeper: Keeper, options: ClusterOptions): Promise<TestCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'postrider-cluster-'));
    const sink = await startSink();
    const postgres = options.url === undefined ? await startPostgres(keeper) : undefined;
    const own = (await postgres?.newDatabase()) ?? '';
    const given = options.url ?? own;
    const nodes: TestNode[] = [];
    keeper.after(async () => {
      await Promise.all(nodes.map((node) => node.kill()));
      await sink.close();
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
    });
    for (let n = 1; n <= options.nodes; n++) {
      const secretFile = nodes[0]?.home.secretFile;
      const clockFile = join(directory, `clock-${n}`);
      const home = await PostriderHome.make({
        directory: join(directory, `node-${n}`),
        sinkPort: sink.port,
        sign: false,
        settings: `delivery.retry = ["1s"]\n${options.settings ?? ''}`,
        shared: { url: typeof given === 'string' ? given : given(n), node: `node-${n}`, ...(secretFile !== undefined && { secretFile }) },
        environment: {
          NODE_OPTIONS: `--import=${STEPPED_CLOCK}`,
          TEST_CLOCK_FILE: clockFile,
          ...(options.services !== undefined && { POSTRIDER_NODE_SERVICES: options.services(n) }),
        },
      });
      nodes.push(new TestNode(home, clockFile));
    }
    await Promise.all(nodes.map((node) => node.start()));
    return new TestCluster(nodes, sink, postgres, own.split('/').at(-1) as string);
  }

  get postgres(): TestPostgres {
    assert.ok(this.#postgres, 'the cluster was given its database');
    return this.#postgres;
  }

  node(n: number): TestNode {
    const node = this.nodes[n - 1];
    assert.ok(node, `there is no node ${n}`);
    return node;
  }

  /** Clients at every node, by SMTP and the API, while `work` goes on. */
  async underLoad(work: () => Promise<void>): Promise<void> {
    const stop = new AbortController();
    let mailbox = 0;
    const recipient = (): string => `user${mailbox++ % 500}@sink${mailbox % 7}.example`;
    const clients = this.nodes.flatMap(({ home }, n) => [
      smtpClient(home.smtpPort, this.ledger, recipient, stop.signal),
      apiClient({ port: home.httpPort, key: home.key }, this.ledger, () => [recipient()], n % 2 === 0, stop.signal),
    ]);
    try {
      await this.takesMail();
      await work();
    } finally {
      stop.abort();
      await Promise.all(clients);
    }
  }

  /** Resolves when so many more messages have been accepted. */
  async takesMail(more = 20): Promise<void> {
    const enough = this.ledger.accepted().length + more;
    await until(() => this.ledger.accepted().length >= enough, `${more} messages are accepted`, DRAINED_MS);
  }

  /** Resolves when every node that runs says that it takes mail. */
  async isReady(): Promise<void> {
    for (const [position, { home, isRunning }] of this.nodes.entries()) {
      if (!isRunning) continue;
      await until(async () => (await fetch(`http://127.0.0.1:${home.httpPort}/readyz`)).status === 200, `node ${position + 1} is ready`);
    }
  }

  acknowledged(): SinkTransaction[] {
    return this.sink.transactions.filter(({ isAcknowledged }) => isAcknowledged);
  }

  /** Message-IDs of what a node has leased, as the database says. */
  async leasedBy(id: number): Promise<Set<string>> {
    const rows = await this.postgres.sql(
      'SELECT m.message_id FROM recipient r JOIN message m ON m.id = r.message WHERE r.state = 1 AND r.node = $1',
      [id],
      this.#database,
    );
    return new Set(rows.map((row) => String(row['message_id'])));
  }

  deliveries(): Delivery[] {
    const times = new Map<string, Delivery>();
    for (const transaction of this.acknowledged()) {
      const { bytes, recipients } = transaction;
      const id = fieldOf(bytes, ID_HEADER);
      // A test sent it by hand.
      if (id === '') continue;
      const messageId = messageIdOf(transaction);
      for (const { address } of recipients) {
        const key = `${id} ${address} ${messageId}`;
        times.set(key, { id, recipient: address, messageId, times: (times.get(key)?.times ?? 0) + 1 });
      }
    }
    return [...times.values()];
  }

  /**
   * Waits until every node takes mail, nothing waits and nothing is in work: what is to be repeated has been repeated, and disturbs no later test. Tells what must not
   * be; what was accepted and is not delivered is named.
   */
  async faults(): Promise<{ readonly faults: string[]; readonly repeated: number }> {
    const { ledger } = this;
    await this.isReady();
    let left = 'nothing is known';
    await until(
      async () => {
        const { queued, leased } = await this.#told('/v1/queue');
        left = `${String(queued)} wait, ${String(leased)} are in work`;
        return left === SETTLED;
      },
      'all that was accepted is settled',
      DRAINED_MS,
    ).catch(() => undefined); // the verdict names what is missing
    const verdict = judge(ledger, this.deliveries());
    const running = this.nodes.find((node) => node.isRunning);
    assert.ok(running, 'no node runs');
    const unmarked: string[] = [];
    for (const repeated of verdict.repeated) {
      if (!(await isMarked(running.process, repeated))) unmarked.push(`${repeated.id} ${repeated.messageId} ${repeated.times} times`);
    }
    return {
      faults: [
        ...(left === SETTLED ? [] : [`not settled: ${left}`]),
        ...verdict.lost.map((text) => `lost: ${text}`),
        ...verdict.unknown.map((text) => `unknown: ${text}`),
        ...unmarked.map((text) => `repeated without a mark: ${text}`),
        ...ledger.wrongs.map((text) => `refused for good: ${text}`),
        ...this.sink.violations,
      ].slice(0, 20),
      repeated: verdict.repeated.length,
    };
  }

  /** As any node that runs tells it. */
  async list(): Promise<readonly NodeRow[]> {
    return (await this.#told('/v1/nodes'))['items'] as NodeRow[];
  }

  /** For a moment none may have found the database yet. */
  #told(path: string): Promise<Record<string, unknown>> {
    return until(async () => {
      for (const node of this.nodes.filter(({ isRunning }) => isRunning)) {
        const { status, body } = await node.get(path);
        if (status === 200) return body;
      }
      return undefined;
    }, `a node answers ${path}`);
  }

  /** The newest of that name. */
  async row(n: number): Promise<NodeRow> {
    const row = (await this.list()).find(({ name }) => name === `node-${n}`);
    assert.ok(row, `node-${n} is not listed`);
    return row;
  }
}

/** Without its brackets. */
export function messageIdOf({ bytes }: SinkTransaction): string {
  return fieldOf(bytes, 'Message-ID').slice(1, -1);
}

function fieldOf(bytes: Buffer, name: string): string {
  return new RegExp(`^${name}: *([^\r\n]+)`, 'im').exec(bytes.toString('latin1', 0, HEAD_BYTES))?.[1] ?? '';
}
