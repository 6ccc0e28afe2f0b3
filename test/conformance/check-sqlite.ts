/**
 * Looks at a store's file from outside and tells every state that is not legal, in words; an empty list is what must be found after any crash.
 * Opened for writing only because the log of a killed process may have to be recovered. For stores whose events have not been expired.
 */
import { DatabaseSync } from 'node:sqlite';
import { RULES, SHOWN_MAX } from './store-rules.ts';

export function checkStore(path: string): string[] {
  const db = new DatabaseSync(path, { timeout: 5000 });
  try {
    const troubles = RULES.flatMap(({ what, sql }) => {
      const ids = db
        .prepare(`${sql} LIMIT ${SHOWN_MAX}`)
        .all()
        .map((row) => Object.values(row)[0]);
      return ids.length === 0 ? [] : [`${what}: ${ids.join(', ')}`];
    });
    const integrity = db
      .prepare('PRAGMA integrity_check')
      .all()
      .map((row) => String(Object.values(row)[0]));
    return integrity.join() === 'ok' ? troubles : [...troubles, ...integrity.slice(0, SHOWN_MAX)];
  } finally {
    db.close();
  }
}
