/** The conformance suite over PostgreSQL: each store is a database of its own on one server. What is in it is looked through at the end, for states that are not legal. */
import { after } from 'node:test';
import { Client } from 'pg';
import { openPostgresStore } from '#store/postgres/open.ts';
import type { NodeFacts } from '#store/store.ts';
import { startPostgres } from '../kit/postgres.ts';
import { storeConformance } from './store.ts';
import { type Counter, type Opened, T0 } from './tenant.ts';

const postgres = await startPostgres({ after });

storeConformance('PostgreSQL', async () => opened(await postgres.newDatabase(), T0));

async function opened(url: string, nowMs: number, node?: NodeFacts): Promise<Opened> {
  const store = await openPostgresStore({ url, mode: 'server', nowMs, node });
  return {
    store,
    async counters(domainId) {
      const client = new Client({ connectionString: url });
      await client.connect();
      try {
        const { rows } = await client.query<Counter>(
          'SELECT kind, hour, tag, sum(n)::int AS n FROM counter WHERE domain_id = $1 GROUP BY hour, kind, tag ORDER BY hour, kind, tag',
          [domainId],
        );
        return rows;
      } finally {
        await client.end();
      }
    },
    async reopen(laterMs) {
      await store.close();
      return opened(url, laterMs);
    },
    another: (facts) => opened(url, nowMs, facts),
  };
}
