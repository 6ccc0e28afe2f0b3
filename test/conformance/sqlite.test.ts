/** The conformance suite over the embedded store. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { DatabaseSync } from 'node:sqlite';
import { openSqliteStore } from '#store/sqlite/open.ts';
import { storeConformance } from './store.ts';
import { type Counter, type Opened, T0 } from './tenant.ts';

const directories: string[] = [];
after(() => directories.forEach((directory) => rmSync(directory, { recursive: true })));

storeConformance('SQLite', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-store-'));
  directories.push(directory);
  return opened(join(directory, 'postrider.db'), T0);
});

async function opened(path: string, nowMs: number): Promise<Opened> {
  const store = await openSqliteStore({ path, mode: 'server', nowMs });
  return {
    store,
    counters(domainId) {
      const db = new DatabaseSync(path, { readOnly: true });
      try {
        return db
          .prepare('SELECT kind, hour, tag, n FROM counter WHERE domain_id = ? ORDER BY hour, kind, tag')
          .all(domainId)
          .map((row) => ({ ...row }) as unknown as Counter);
      } finally {
        db.close();
      }
    },
    async reopen(laterMs) {
      await store.close();
      return opened(path, laterMs);
    },
  };
}
