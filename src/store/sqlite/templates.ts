/** Templates and their versions. */
import type { TemplateStore, TemplateVersion } from '#store/store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database, Row } from './database.ts';

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
    createdMs: Number(row['v_created']),
  };
}

const VERSION =
  'SELECT v.*, v.created_ms AS v_created, t.name AS name FROM template_version v JOIN template t ON t.id = v.template_id WHERE t.domain_id = ? AND t.name = ?';

export function templateTables(db: Database): Synchronous<TemplateStore> {
  return {
    putVersion(domainId, description, version) {
      db.run(
        'INSERT INTO template (domain_id, name, description, created_ms) VALUES (?,?,?,?) ON CONFLICT DO NOTHING',
        domainId,
        version.name,
        description,
        version.createdMs,
      );
      const template = Number(db.get('SELECT id FROM template WHERE domain_id = ? AND name = ?', domainId, version.name)?.['id']);
      const isFirst = db.get('SELECT 1 FROM template_version WHERE template_id = ?', template) === undefined;
      const isActive = isFirst || version.isActive;
      const added = db.run(
        'INSERT INTO template_version (template_id, tag, source, engine, comment, headers, is_active, created_ms) VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING',
        template,
        version.tag,
        version.source,
        version.engine,
        version.comment,
        JSON.stringify(version.headers),
        isActive ? 1 : 0,
        version.createdMs,
      );
      if (added === 0) return false;
      if (isActive) db.run('UPDATE template_version SET is_active = (tag = ?) WHERE template_id = ?', version.tag, template);
      return true;
    },
    version(domainId, name, tag) {
      const row =
        tag === undefined
          ? db.get(`${VERSION} AND v.is_active = 1`, domainId, name)
          : db.get(`${VERSION} AND v.tag = ?`, domainId, name, tag);
      return row === undefined ? undefined : versionOf(row);
    },
    listTemplates(domainId) {
      return db
        .all('SELECT name, description, created_ms FROM template WHERE domain_id = ? ORDER BY name', domainId)
        .map((row) => ({ name: String(row['name']), description: String(row['description']), createdMs: Number(row['created_ms']) }));
    },
    deleteTemplate(domainId, name) {
      db.run(
        'DELETE FROM template_version WHERE template_id IN (SELECT id FROM template WHERE domain_id = ? AND name = ?)',
        domainId,
        name,
      );
      return db.run('DELETE FROM template WHERE domain_id = ? AND name = ?', domainId, name) > 0;
    },
  };
}
