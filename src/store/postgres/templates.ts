/** Templates and their versions. Who changes a template holds its row meanwhile, so that of two who add its first version at once one comes first. */
import type { Row } from '#store/rows-json.ts';
import type { TemplateStore, TemplateVersion } from '#store/store.ts';
import type { Database } from './database.ts';

function versionOf(row: Row): TemplateVersion {
  return {
    templateId: Number(row['template_id']),
    name: String(row['name']),
    tag: String(row['tag']),
    source: String(row['source']),
    engine: 'handlebars',
    comment: String(row['comment']),
    headers: JSON.parse(String(row['headers'])) as TemplateVersion['headers'],
    isActive: row['is_active'] === 1,
    createdMs: Number(row['created_ms']),
  };
}

const VERSION =
  'SELECT v.*, t.name AS name FROM template_version v JOIN template t ON t.id = v.template_id WHERE t.domain_id = $1 AND t.name = $2';

export function templateTables(db: Database): TemplateStore {
  return {
    putVersion: (domainId, description, version) =>
      db.transaction(async (queries) => {
        // The update changes nothing: it is there for the lock, and for the id of one that exists.
        const held = await queries.get(
          `INSERT INTO template (domain_id, name, description, created_ms) VALUES ($1, $2, $3, $4)
           ON CONFLICT (domain_id, name) DO UPDATE SET name = excluded.name RETURNING id`,
          domainId,
          version.name,
          description,
          version.createdMs,
        );
        const template = Number(held?.['id']);
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
      return row === undefined ? undefined : versionOf(row);
    },
    async listTemplates(domainId) {
      const rows = await db.all('SELECT name, description, created_ms FROM template WHERE domain_id = $1 ORDER BY name', domainId);
      return rows.map((row) => ({
        name: String(row['name']),
        description: String(row['description']),
        createdMs: Number(row['created_ms']),
      }));
    },
    deleteTemplate: (domainId, name) =>
      db.transaction(async (queries) => {
        const held = await queries.get('SELECT id FROM template WHERE domain_id = $1 AND name = $2 FOR UPDATE', domainId, name);
        if (held === undefined) return false;
        await queries.run('DELETE FROM template_version WHERE template_id = $1', Number(held['id']));
        await queries.run('DELETE FROM template WHERE id = $1', Number(held['id']));
        return true;
      }),
  };
}
