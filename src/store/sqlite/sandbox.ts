/** Mail that the sandbox captured: the newest few, with their bytes. */
import type { CapturedMail, SandboxStore } from '#store/store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Row } from './database.ts';

function capturedOf(row: Row): CapturedMail {
  return {
    id: Number(row['id']),
    atMs: Number(row['at_ms']),
    sender: String(row['sender']),
    recipients: JSON.parse(String(row['recipients'])) as string[],
    sizeBytes: Number(row['size_bytes']),
    subject: String(row['subject']),
    from: String(row['from_header']),
  };
}

const SUMMARY = 'SELECT id, at_ms, sender, recipients, size_bytes, subject, from_header FROM captured';

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
      db.all(`${SUMMARY} WHERE id < ? ORDER BY id DESC LIMIT ?`, before ?? Number.MAX_SAFE_INTEGER, limit).map(capturedOf),
    get(id) {
      const row = db.get('SELECT * FROM captured WHERE id = ?', id);
      return row === undefined ? undefined : { ...capturedOf(row), bytes: row['bytes'] as Uint8Array };
    },
    clear: () => db.run('DELETE FROM captured'),
  };
}
