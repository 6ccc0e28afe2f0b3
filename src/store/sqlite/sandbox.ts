/** Mail that the sandbox captured: the newest few, with their bytes. */
import { CAPTURED_COLUMNS, capturedOf } from '#store/captured-rows.ts';
import type { SandboxStore } from '#store/sandbox-store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

export function sandboxTables(db: Database): Synchronous<SandboxStore> {
  return {
    capture(mail, keepMax) {
      const id = db.insert(
        'INSERT INTO captured (at_ms, sender, recipients, size_bytes, subject, from_header, bytes) VALUES (?,?,?,?,?,?,?)',
        mail.atMs,
        mail.sender,
        JSON.stringify(mail.recipients),
        mail.sizeBytes,
        mail.subject,
        mail.from,
        mail.bytes,
      );
      db.run('DELETE FROM captured WHERE id <= ?', id - keepMax);
      return id;
    },
    list: (limit, before) =>
      db
        .all(`SELECT ${CAPTURED_COLUMNS} FROM captured WHERE id < ? ORDER BY id DESC LIMIT ?`, before ?? Number.MAX_SAFE_INTEGER, limit)
        .map(capturedOf),
    get(id) {
      const row = db.get('SELECT * FROM captured WHERE id = ?', id);
      return row === undefined ? undefined : { ...capturedOf(row), bytes: row['bytes'] as Uint8Array };
    },
    clear: () => db.run('DELETE FROM captured'),
  };
}
