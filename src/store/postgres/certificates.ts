/** Certificates on PostgreSQL: of nodes that look at once, each claims another one. */
import { certificateOf, type CertificateStore, OUTCOME_COLUMNS, outcomeValues } from '#store/certificate-store.ts';
import { one } from '#store/rows-json.ts';
import type { Database } from './database.ts';

/** xmax is 0 in a row that was inserted and not updated. */
const WANT = `INSERT INTO certificate (name, domain_id, due_ms, created_ms) VALUES ($1, $2, $3, $3)
  ON CONFLICT (name) DO UPDATE SET domain_id = excluded.domain_id WHERE certificate.domain_id <> 0 AND certificate.domain_id <> excluded.domain_id
  RETURNING xmax = 0 AS is_new`;
const CLAIM = `UPDATE certificate SET held_until_ms = $1, epoch = epoch + 1 WHERE name =
  (SELECT name FROM certificate WHERE due_ms <= $2 AND held_until_ms <= $2 ORDER BY due_ms, name LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING *`;
const SETTLE = `UPDATE certificate SET held_until_ms = 0, ${OUTCOME_COLUMNS.map((column, i) => `${column} = $${i + 1}`).join(', ')}
  WHERE name = $${OUTCOME_COLUMNS.length + 1} AND epoch = $${OUTCOME_COLUMNS.length + 2}`;

export function certificateTables(db: Database): CertificateStore {
  const acmeKey = async (directory: string): Promise<Uint8Array | undefined> =>
    (await db.get("SELECT private_key FROM acme_account WHERE directory = $1 AND private_key <> ''", directory))?.['private_key'] as
      | Uint8Array
      | undefined;
  return {
    certificateOf: async (name) => one(await db.get('SELECT * FROM certificate WHERE name = $1', name), certificateOf),
    wantCertificate: async (name, domainId, nowMs) => (await db.get(WANT, name, domainId, nowMs))?.['is_new'] === true,
    hastenCertificate: async (name, dueMs) =>
      (await db.run('UPDATE certificate SET due_ms = least(due_ms, $2) WHERE name = $1', name, dueMs)) > 0,
    claimCertificate: async (nowMs, heldUntilMs) => one(await db.get(CLAIM, heldUntilMs, nowMs), certificateOf),
    async settleCertificate(name, epoch, outcome) {
      if (outcome === undefined) return (await db.run('DELETE FROM certificate WHERE name = $1 AND epoch = $2', name, epoch)) > 0;
      return (await db.run(SETTLE, ...outcomeValues(outcome), name, epoch)) > 0;
    },
    acmeKey,
    async putAcmeKey(directory, sealed) {
      const sql = `INSERT INTO acme_account (directory, private_key) VALUES ($1, $2)
        ON CONFLICT (directory) DO UPDATE SET private_key = excluded.private_key WHERE acme_account.private_key = ''`;
      await db.run(sql, directory, sealed);
      return (await acmeKey(directory)) as Uint8Array;
    },
    async takeOrder(directory, nowMs, spacingMs, ahead) {
      await db.run('INSERT INTO acme_account (directory) VALUES ($1) ON CONFLICT DO NOTHING', directory);
      const sql = 'UPDATE acme_account SET next_order_ms = greatest(next_order_ms, $2) + $3 WHERE directory = $1 AND next_order_ms <= $4';
      return (await db.run(sql, directory, nowMs, spacingMs, nowMs + spacingMs * ahead)) > 0;
    },
    async pauseOrders(directory, untilMs) {
      await db.run('UPDATE acme_account SET next_order_ms = greatest(next_order_ms, $2) WHERE directory = $1', directory, untilMs);
    },
    async putChallenge(token, answer, nowMs, untilMs) {
      await db.run('DELETE FROM acme_challenge WHERE until_ms <= $1', nowMs);
      const sql =
        'INSERT INTO acme_challenge (token, answer, until_ms) VALUES ($1, $2, $3) ON CONFLICT (token) DO UPDATE SET answer = excluded.answer, until_ms = excluded.until_ms';
      await db.run(sql, token, answer, untilMs);
    },
    challengeAnswer: async (token) =>
      (await db.get('SELECT answer FROM acme_challenge WHERE token = $1', token))?.['answer'] as string | undefined,
    async deleteChallenge(token) {
      await db.run('DELETE FROM acme_challenge WHERE token = $1', token);
    },
  };
}
