/** Templates and their versions. Who changes a template holds its row meanwhile, so that of two who add its first version at once one comes first. */
import { one } from '#store/rows-json.ts';
import { templateFactsOf, VERSION_FACTS, versionFactsOf, versionOf } from '#store/template-rows.ts';
import type { TemplateStore } from '#store/template-store.ts';
import type { Database, Queries } from './database.ts';

const CHANGE = `UPDATE template_version SET source = coalesce($3, source), comment = coalesce($4, comment), headers = coalesce($5, headers)
  WHERE template_id = $1 AND tag = $2`;
const ACTIVATE_NEWEST = `UPDATE template_version SET is_active = 1 WHERE template_id = $1 AND tag = (
    SELECT tag FROM template_version WHERE template_id = $1 ORDER BY created_ms DESC, tag DESC LIMIT 1)
  AND NOT EXISTS (SELECT 1 FROM template_version WHERE template_id = $1 AND is_active = 1)`;
const VERSIONS = `SELECT ${VERSION_FACTS} FROM template_version v JOIN template t ON t.id = v.template_id WHERE t.domain_id = $1 AND t.name = $2`;
const VERSION = `SELECT ${VERSION_FACTS}, v.source FROM template_version v JOIN template t ON t.id = v.template_id WHERE t.domain_id = $1 AND t.name = $2`;

export function templateTables(db: Database): TemplateStore {
  return {
    createTemplate: async (domainId, { name, description, createdMs, createdBy }) =>
      (await db.run(
        'INSERT INTO template (domain_id, name, description, created_ms, created_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING',
        domainId,
        name,
        description,
        createdMs,
        createdBy,
      )) > 0,
    describeTemplate: async (domainId, name, description) =>
      (await db.run('UPDATE template SET description = $3 WHERE domain_id = $1 AND name = $2', domainId, name, description)) > 0,
    listVersions: async (domainId, name) => (await db.all(`${VERSIONS} ORDER BY v.tag`, domainId, name)).map(versionFactsOf),
    changeVersion: (domainId, name, tag, { source, comment, headers, isActive }) =>
      db.transaction(async (queries) => {
        const template = await held(queries, domainId, name);
        const headersText = headers === undefined ? null : JSON.stringify(headers);
        const changed = await queries.run(CHANGE, template, tag, source ?? null, comment ?? null, headersText);
        if (changed > 0 && isActive === true) {
          // As a case: the column is a small number, which a comparison is not.
          const set = 'UPDATE template_version SET is_active = CASE WHEN tag = $2 THEN 1 ELSE 0 END WHERE template_id = $1';
          await queries.run(set, template, tag);
        }
        return changed > 0;
      }),
    deleteVersion: (domainId, name, tag) =>
      db.transaction(async (queries) => {
        const template = await held(queries, domainId, name);
        if ((await queries.run('DELETE FROM template_version WHERE template_id = $1 AND tag = $2', template, tag)) === 0) return false;
        await queries.run(ACTIVATE_NEWEST, template);
        return true;
      }),
    putVersion: (domainId, description, version, createdBy = '') =>
      db.transaction(async (queries) => {
        // The update changes nothing: it is there for the lock, and for the id of one that exists.
        const row = await queries.get(
          `INSERT INTO template (domain_id, name, description, created_ms, created_by) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (domain_id, name) DO UPDATE SET name = excluded.name RETURNING id`,
          domainId,
          version.name,
          description,
          version.createdMs,
          createdBy,
        );
        const template = Number(row?.['id']);
        const added = await queries.get(
          `INSERT INTO template_version (template_id, tag, source, engine, comment, headers, is_active, created_ms)
           VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN EXISTS (SELECT 1 FROM template_version WHERE template_id = $1) THEN $7::smallint ELSE 1 END, $8)
           ON CONFLICT (template_id, tag) DO NOTHING RETURNING is_active`,
          template,
          version.tag,
          version.source,
          version.engine,
          version.comment,
          JSON.stringify(version.headers),
          version.isActive ? 1 : 0,
          version.createdMs,
        );
        if (added?.['is_active'] === 1) {
          await queries.run(
            'UPDATE template_version SET is_active = 0 WHERE template_id = $1 AND tag <> $2 AND is_active = 1',
            template,
            version.tag,
          );
        }
        return added !== undefined;
      }),
    async version(domainId, name, tag) {
      const row =
        tag === undefined
          ? await db.get(`${VERSION} AND v.is_active = 1`, domainId, name)
          : await db.get(`${VERSION} AND v.tag = $3`, domainId, name, tag);
      return one(row, versionOf);
    },
    async listTemplates(domainId) {
      const sql = 'SELECT name, description, created_ms, created_by FROM template WHERE domain_id = $1 ORDER BY name';
      return (await db.all(sql, domainId)).map(templateFactsOf);
    },
    deleteTemplate: (domainId, name) =>
      db.transaction(async (queries) => {
        const template = await held(queries, domainId, name);
        if (template === 0) return false;
        await queries.run('DELETE FROM template_version WHERE template_id = $1', template);
        await queries.run('DELETE FROM template WHERE id = $1', template);
        return true;
      }),
  };
}

/** Its id, and its row for the rest of the transaction; 0, which no template has, when there is none. */
async function held(queries: Queries, domainId: number, name: string): Promise<number> {
  const row = await queries.get('SELECT id FROM template WHERE domain_id = $1 AND name = $2 FOR UPDATE', domainId, name);
  return Number(row?.['id'] ?? 0);
}
