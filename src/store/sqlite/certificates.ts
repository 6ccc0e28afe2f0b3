/** Certificates on the embedded store. */
import { certificateOf, type CertificateStore, OUTCOME_COLUMNS, outcomeValues } from '#store/certificate-store.ts';
import { one } from '#store/rows-json.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

const WANT = `INSERT INTO certificate (name, domain_id, due_ms, created_ms) VALUES (?,?,?,?)
  ON CONFLICT DO UPDATE SET domain_id = excluded.domain_id WHERE certificate.domain_id <> 0 AND certificate.domain_id <> excluded.domain_id`;
const CLAIM = `UPDATE certificate SET held_until_ms = ?, epoch = epoch + 1 WHERE name =
  (SELECT name FROM certificate WHERE due_ms <= ? AND held_until_ms <= ? ORDER BY due_ms, name LIMIT 1) RETURNING *`;
const SETTLE = `UPDATE certificate SET held_until_ms = 0, ${OUTCOME_COLUMNS.map((column) => `${column} = ?`).join(', ')} WHERE name = ? AND epoch = ?`;

export function certificateTables(db: Database): Synchronous<CertificateStore> {
  const acmeKey = (directory: string): Uint8Array | undefined =>
    db.get("SELECT private_key FROM acme_account WHERE directory = ? AND private_key <> x''", directory)?.['private_key'] as
      | Uint8Array
      | undefined;
  const certificate = (name: string) => one(db.get('SELECT * FROM certificate WHERE name = ?', name), certificateOf);
  return {
    certificateOf: certificate,
    wantCertificate(name, domainId, nowMs) {
      const isNew = certificate(name) === undefined;
      db.run(WANT, name, domainId, nowMs, nowMs);
      return isNew;
    },
    hastenCertificate: (name, dueMs) => db.run('UPDATE certificate SET due_ms = min(due_ms, ?) WHERE name = ?', dueMs, name) > 0,
    claimCertificate: (nowMs, heldUntilMs) => one(db.all(CLAIM, heldUntilMs, nowMs, nowMs)[0], certificateOf),
    settleCertificate(name, epoch, outcome) {
      if (outcome === undefined) return db.run('DELETE FROM certificate WHERE name = ? AND epoch = ?', name, epoch) > 0;
      return db.run(SETTLE, ...outcomeValues(outcome), name, epoch) > 0;
    },
    acmeKey,
    putAcmeKey(directory, sealed) {
      const sql = `INSERT INTO acme_account (directory, private_key) VALUES (?,?)
        ON CONFLICT DO UPDATE SET private_key = excluded.private_key WHERE acme_account.private_key = x''`;
      db.run(sql, directory, sealed);
      return acmeKey(directory) as Uint8Array;
    },
    takeOrder(directory, nowMs, spacingMs, ahead) {
      db.run('INSERT INTO acme_account (directory) VALUES (?) ON CONFLICT DO NOTHING', directory);
      const sql = 'UPDATE acme_account SET next_order_ms = max(next_order_ms, ?) + ? WHERE directory = ? AND next_order_ms <= ?';
      return db.run(sql, nowMs, spacingMs, directory, nowMs + spacingMs * ahead) > 0;
    },
    pauseOrders: (directory, untilMs) =>
      void db.run('UPDATE acme_account SET next_order_ms = max(next_order_ms, ?) WHERE directory = ?', untilMs, directory),
    putChallenge(token, answer, nowMs, untilMs) {
      db.run('DELETE FROM acme_challenge WHERE until_ms <= ?', nowMs);
      const sql =
        'INSERT INTO acme_challenge (token, answer, until_ms) VALUES (?,?,?) ON CONFLICT DO UPDATE SET answer = excluded.answer, until_ms = excluded.until_ms';
      db.run(sql, token, answer, untilMs);
    },
    challengeAnswer: (token) => db.get('SELECT answer FROM acme_challenge WHERE token = ?', token)?.['answer'] as string | undefined,
    deleteChallenge: (token) => void db.run('DELETE FROM acme_challenge WHERE token = ?', token),
  };
}
