/** Mail that the sandbox captured: the newest few, with their bytes. */
import { CAPTURED_COLUMNS, capturedOf } from '#store/captured-rows.ts';
import type { SandboxStore } from '#store/sandbox-store.ts';
import type { Queries } from './database.ts';

export function sandboxTables(db: Queries): SandboxStore {
  return {
    async capture(mail, keepMax) {
      const row = await db.get(
        `INSERT INTO captured (at_ms, sender, recipients, size_bytes, subject, from_header, bytes) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
        mail.atMs,
        mail.sender,
        JSON.stringify(mail.recipients),
        mail.sizeBytes,
        mail.subject,
        mail.from,
        mail.bytes,
      );
      // Not by counting back from the id: numbers are left out when the server ends.
      await db.run('DELETE FROM captured WHERE id <= (SELECT id FROM captured ORDER BY id DESC OFFSET $1 LIMIT 1)', keepMax);
      return Number(row?.['id']);
    },
    list: async (limit, before) =>
      (
        await db.all(
          `SELECT ${CAPTURED_COLUMNS} FROM captured WHERE id < $1 ORDER BY id DESC LIMIT $2`,
          before ?? Number.MAX_SAFE_INTEGER,
          limit,
        )
      ).map(capturedOf),
    async get(id) {
      const row = await db.get('SELECT * FROM captured WHERE id = $1', id);
      return row === undefined ? undefined : { ...capturedOf(row), bytes: row['bytes'] as Uint8Array };
    },
    clear: () => db.run('DELETE FROM captured'),
  };
}
