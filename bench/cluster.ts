/**
 * What is measured of our own: one node on the embedded store, or nodes on a PostgreSQL that is started for it, from the binaries of the tests, with commits that wait for
 * the disk as PostgreSQL's defaults have it. Its size is what anybody would set first: memory for its pages, and room for its log.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestPostgres, startPostgres } from '../test/kit/postgres.ts';
import { type Postrider, PostriderHome } from './postrider.ts';
import type { MeasuredDatabase, Server } from './server.ts';

export type StoreName = 'sqlite' | 'postgres';

export interface ClusterOptions {
  readonly directory: string;
  readonly sinkPort: number;
  readonly sign: boolean;
  readonly store: StoreName;
  readonly nodes: number;
  readonly profileInto?: string;
}

const POSTGRES_SETTINGS = { shared_buffers: '512MB', max_wal_size: '4GB', checkpoint_timeout: '15min' };

export class Cluster {
  readonly homes: readonly PostriderHome[];
  readonly database: MeasuredDatabase | undefined;
  readonly #endings: readonly (() => Promise<void>)[];

  private constructor(homes: readonly PostriderHome[], database: MeasuredDatabase | undefined, endings: readonly (() => Promise<void>)[]) {
    this.homes = homes;
    this.database = database;
    this.#endings = endings;
  }

  static async make(options: ClusterOptions): Promise<Cluster> {
    if (options.store === 'sqlite') return new Cluster([await PostriderHome.make(options)], undefined, []);
    const endings: (() => Promise<void>)[] = [];
    try {
      const postgres = await startPostgres({ after: (end) => void endings.push(end) }, { fsync: true, settings: POSTGRES_SETTINGS });
      const url = await postgres.newDatabase();
      const homes: PostriderHome[] = [];
      for (let node = 1; node <= options.nodes; node++) {
        const directory = join(options.directory, `node-${node}`);
        mkdirSync(directory, { recursive: true });
        const secretFile = homes[0]?.secretFile;
        const shared = { url, node: `node-${node}`, ...(secretFile !== undefined && { secretFile }) };
        homes.push(await PostriderHome.make({ ...options, directory, shared }));
      }
      return new Cluster(homes, measured(postgres, url), endings);
    } catch (error) {
      for (const end of endings) await end();
      throw error;
    }
  }

  async start(): Promise<Server> {
    const nodes: Postrider[] = [];
    for (const home of this.homes) nodes.push(await home.start());
    return this.serverOf(nodes);
  }

  /** `stop` ends the database too. */
  serverOf(nodes: readonly Postrider[]): Server {
    return {
      pids: nodes.map(({ pid }) => pid),
      smtpPorts: nodes.map(({ smtpPort }) => smtpPort),
      api: { ports: nodes.map(({ api }) => api.port), key: (nodes[0] as Postrider).api.key },
      ...(this.database !== undefined && { database: this.database }),
      stop: async () => {
        await Promise.all(nodes.map((node) => node.stop()));
        await this.end();
      },
    };
  }

  async end(): Promise<void> {
    for (const end of this.#endings) await end();
  }
}

function measured(postgres: TestPostgres, url: string): MeasuredDatabase {
  return {
    pid: postgres.pid,
    url,
    sql: (text) => postgres.sql(text, [], url.split('/').at(-1)),
    async walBytes() {
      const [row] = await postgres.sql("SELECT (pg_current_wal_insert_lsn() - '0/0')::float8 AS bytes");
      return Number(row?.['bytes']);
    },
  };
}
