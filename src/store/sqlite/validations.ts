/** Lists of addresses that are validated in the background, on the embedded store. */
import { one } from '#store/rows-json.ts';
import {
  NOTHING_VALIDATED,
  VALIDATION_COLUMNS,
  type ValidatedCount,
  validatedCounter,
  validationOf,
  type ValidationStore,
} from '#store/validation-store.ts';
import type { Synchronous } from './accounts.ts';
import { Counting } from './count.ts';
import type { Database } from './database.ts';
import { packCounter } from './packed.ts';

const OF_ACCOUNT = `SELECT ${VALIDATION_COLUMNS} FROM validation_job WHERE account_id = ? AND deleted_ms IS NULL`;

export function validationTables(db: Database): Synchronous<ValidationStore> {
  const count = (counts: readonly ValidatedCount[], nowMs: number): void => {
    // Of its own: what it has summed up must not outlive a rollback.
    const counting = new Counting(db);
    for (const each of counts) counting.add(packCounter(validatedCounter(each), each.count), nowMs);
    counting.flush();
  };
  return {
    createValidation({ accountId, name, quantity, createdMs }, openMax, keepFromMs, bytes) {
      db.run(
        `UPDATE validation_job SET deleted_ms = ?, bytes = x'' WHERE account_id = ? AND deleted_ms IS NULL AND finished_ms < ?`,
        createdMs,
        accountId,
        keepFromMs,
      );
      const open = db.get(
        'SELECT count(*) AS n FROM validation_job WHERE account_id = ? AND finished_ms IS NULL AND deleted_ms IS NULL',
        accountId,
      );
      if (Number(open?.['n']) >= openMax) return 'full';
      const made = db.run(
        `INSERT INTO validation_job (account_id, name, quantity, processed, position, summary, created_ms, held_until_ms, epoch, bytes)
         VALUES (?,?,?,0,0,?,?,0,0,?) ON CONFLICT DO NOTHING`,
        accountId,
        name,
        quantity,
        JSON.stringify(NOTHING_VALIDATED),
        createdMs,
        bytes,
      );
      return made > 0 ? 'created' : 'taken';
    },
    claimValidation: (nowMs, heldUntilMs) =>
      one(
        db.get(
          `UPDATE validation_job SET held_until_ms = ?, epoch = epoch + 1 WHERE id = (
             SELECT id FROM validation_job WHERE finished_ms IS NULL AND deleted_ms IS NULL AND held_until_ms <= ? ORDER BY held_until_ms, id LIMIT 1)
           RETURNING ${VALIDATION_COLUMNS}`,
          heldUntilMs,
          nowMs,
        ),
        validationOf,
      ),
    validationBytes: (id) => db.get('SELECT bytes FROM validation_job WHERE id = ?', id)?.['bytes'] as Uint8Array | undefined,
    countValidated: count,
    advanceValidation({ id, epoch, position, processed, summary, results, counts, isDone, nowMs, heldUntilMs }) {
      const changed = db.run(
        `UPDATE validation_job SET position = ?, processed = ?, summary = ?, held_until_ms = ?, finished_ms = ?, bytes = CASE WHEN ? THEN x'' ELSE bytes END
         WHERE id = ? AND epoch = ? AND finished_ms IS NULL AND deleted_ms IS NULL`,
        position,
        processed,
        JSON.stringify(summary),
        heldUntilMs,
        isDone ? nowMs : null,
        isDone ? 1 : 0,
        id,
        epoch,
      );
      if (changed === 0) return false;
      if (results !== undefined) db.run('INSERT INTO validation_result (job, number, results) VALUES (?,?,?)', id, processed, results);
      if (counts !== undefined) count(counts, nowMs);
      return true;
    },
    validationOf: (accountId, name) => one(db.get(`${OF_ACCOUNT} AND name = ?`, accountId, name), validationOf),
    validationPage(accountId, limit, around) {
      if (around === undefined) return db.all(`${OF_ACCOUNT} ORDER BY id DESC LIMIT ?`, accountId, limit).map(validationOf);
      if ('before' in around)
        return db.all(`${OF_ACCOUNT} AND id < ? ORDER BY id DESC LIMIT ?`, accountId, around.before, limit).map(validationOf);
      return db.all(`${OF_ACCOUNT} AND id > ? ORDER BY id LIMIT ?`, accountId, around.after, limit).map(validationOf).toReversed();
    },
    countValidations: (accountId) =>
      Number(db.get('SELECT count(*) AS n FROM validation_job WHERE account_id = ? AND deleted_ms IS NULL', accountId)?.['n']),
    validationResults: (job, after, limit) =>
      db
        .all('SELECT number, results FROM validation_result WHERE job = ? AND number > ? ORDER BY number LIMIT ?', job, after, limit)
        .map((row) => ({ number: Number(row['number']), results: String(row['results']) })),
    deleteValidation: (accountId, name, nowMs) =>
      db.run(
        `UPDATE validation_job SET deleted_ms = ?, bytes = x'' WHERE account_id = ? AND name = ? AND deleted_ms IS NULL`,
        nowMs,
        accountId,
        name,
      ) > 0,
    purgeValidations(limit) {
      const job = db.get('SELECT id FROM validation_job WHERE deleted_ms IS NOT NULL ORDER BY id LIMIT 1')?.['id'];
      if (job === undefined) return false;
      const gone = db.run(
        'DELETE FROM validation_result WHERE job = ?1 AND number IN (SELECT number FROM validation_result WHERE job = ?1 LIMIT ?2)',
        Number(job),
        limit,
      );
      if (gone < limit) db.run('DELETE FROM validation_job WHERE id = ?', Number(job));
      return true;
    },
  };
}
