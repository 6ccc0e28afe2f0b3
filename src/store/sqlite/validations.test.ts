/** What the validation of addresses counts on the embedded store. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Database, migrate } from './database.ts';
import { validationTables } from './validations.ts';

test('what could not be written is not counted with what is counted next', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-validations-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const db = new Database(join(directory, 'postrider.db'), 'write');
  t.after(() => db.close());
  migrate(db);
  const { countValidated } = validationTables(db);
  const count = (): unknown => countValidated([{ accountId: 1, way: 'single', isValid: true, count: 1 }], 0);
  db.exec('ALTER TABLE counter_day RENAME TO away');
  db.exec('BEGIN');
  assert.throws(count);
  db.exec('ROLLBACK; ALTER TABLE away RENAME TO counter_day');
  count();
  assert.equal(db.get('SELECT sum(n) AS n FROM counter')?.['n'], 1);
});
