/** Lists of addresses that are validated in the background, on PostgreSQL. */
import { one } from '#store/rows-json.ts';
import {
  NOTHING_VALIDATED,
  VALIDATION_COLUMNS,
  type ValidatedCount,
  validatedCounter,
  validationOf,
  type ValidationStore,
} from '#store/validation-store.ts';
import { CounterSums, writeCounters } from './counters.ts';
import type { Database, Queries } from './database.ts';

const OF_ACCOUNT = `SELECT ${VALIDATION_COLUMNS} FROM validation_job WHERE account_id = $1 AND deleted_ms IS NULL`;
const FORGET = `UPDATE validation_job SET deleted_ms = $1, bytes = '' WHERE account_id = $2 AND deleted_ms IS NULL AND finished_ms < $3`;
const OPEN = 'SELECT count(*)::integer AS n FROM validation_job WHERE account_id = $1 AND finished_ms IS NULL AND deleted_ms IS NULL';
const CREATE = `INSERT INTO validation_job (account_id, name, quantity, processed, position, summary, created_ms, held_until_ms, epoch, bytes)
  VALUES ($1, $2, $3, 0, 0, $4, $5, 0, 0, $6) ON CONFLICT DO NOTHING`;
const CLAIM = `UPDATE validation_job SET held_until_ms = $1, epoch = epoch + 1 WHERE id = (
    SELECT id FROM validation_job WHERE finished_ms IS NULL AND deleted_ms IS NULL AND held_until_ms <= $2 ORDER BY held_until_ms, id LIMIT 1
    FOR UPDATE SKIP LOCKED) RETURNING ${VALIDATION_COLUMNS}`;
const ADVANCE = `UPDATE validation_job SET position = $3, processed = $4, summary = $5, held_until_ms = $6, finished_ms = $7,
    bytes = CASE WHEN $7::bigint IS NULL THEN bytes ELSE '' END
  WHERE id = $1 AND epoch = $2 AND finished_ms IS NULL AND deleted_ms IS NULL`;
const DELETE = `UPDATE validation_job SET deleted_ms = $1, bytes = '' WHERE account_id = $2 AND name = $3 AND deleted_ms IS NULL`;
const PURGE = `DELETE FROM validation_result WHERE job = $1 AND number IN (SELECT number FROM validation_result WHERE job = $1 LIMIT $2)`;

export function validationTables(db: Database, node: () => number): ValidationStore {
  const count = async (queries: Queries, counts: readonly ValidatedCount[], nowMs: number): Promise<void> => {
    const sums = new CounterSums();
    for (const each of counts) sums.add(validatedCounter(each), nowMs, each.count);
    await writeCounters(queries, sums, node());
  };
  return {
    createValidation: ({ accountId, name, quantity, createdMs }, openMax, keepFromMs, bytes) =>
      db.transaction(async (queries) => {
        // Of two that come at once the second sees the first.
        await queries.get('SELECT 1 FROM account WHERE id = $1 FOR UPDATE', accountId);
        await queries.run(FORGET, createdMs, accountId, keepFromMs);
        if (Number((await queries.get(OPEN, accountId))?.['n']) >= openMax) return 'full';
        const summary = JSON.stringify(NOTHING_VALIDATED);
        return (await queries.run(CREATE, accountId, name, quantity, summary, createdMs, bytes)) > 0 ? 'created' : 'taken';
      }),
    claimValidation: async (nowMs, heldUntilMs) => one(await db.get(CLAIM, heldUntilMs, nowMs), validationOf),
    async validationBytes(id) {
      return (await db.get('SELECT bytes FROM validation_job WHERE id = $1', id))?.['bytes'] as Uint8Array | undefined;
    },
    countValidated: (counts, nowMs) => db.transaction((queries) => count(queries, counts, nowMs)),
    advanceValidation: ({ id, epoch, position, processed, summary, results, counts, isDone, nowMs, heldUntilMs }) =>
      db.transaction(async (queries) => {
        const finishedMs = isDone ? nowMs : null;
        if ((await queries.run(ADVANCE, id, epoch, position, processed, JSON.stringify(summary), heldUntilMs, finishedMs)) === 0)
          return false;
        if (results !== undefined)
          await queries.run('INSERT INTO validation_result (job, number, results) VALUES ($1, $2, $3)', id, processed, results);
        if (counts !== undefined) await count(queries, counts, nowMs);
        return true;
      }),
    validationOf: async (accountId, name) => one(await db.get(`${OF_ACCOUNT} AND name = $2`, accountId, name), validationOf),
    async validationPage(accountId, limit, around) {
      if (around === undefined) return (await db.all(`${OF_ACCOUNT} ORDER BY id DESC LIMIT $2`, accountId, limit)).map(validationOf);
      if ('before' in around)
        return (await db.all(`${OF_ACCOUNT} AND id < $2 ORDER BY id DESC LIMIT $3`, accountId, around.before, limit)).map(validationOf);
      const rows = await db.all(`${OF_ACCOUNT} AND id > $2 ORDER BY id LIMIT $3`, accountId, around.after, limit);
      return rows.map(validationOf).toReversed();
    },
    async countValidations(accountId) {
      const sql = 'SELECT count(*)::integer AS n FROM validation_job WHERE account_id = $1 AND deleted_ms IS NULL';
      return Number((await db.get(sql, accountId))?.['n']);
    },
    async validationResults(job, after, limit) {
      const sql = 'SELECT number, results FROM validation_result WHERE job = $1 AND number > $2 ORDER BY number LIMIT $3';
      return (await db.all(sql, job, after, limit)).map((row) => ({ number: Number(row['number']), results: String(row['results']) }));
    },
    deleteValidation: async (accountId, name, nowMs) => (await db.run(DELETE, nowMs, accountId, name)) > 0,
    async purgeValidations(limit) {
      const job = (await db.get('SELECT id FROM validation_job WHERE deleted_ms IS NOT NULL ORDER BY id LIMIT 1'))?.['id'];
      if (job === undefined) return false;
      const gone = await db.run(PURGE, Number(job), limit);
      if (gone < limit) await db.run('DELETE FROM validation_job WHERE id = $1', Number(job));
      return true;
    },
  };
}
