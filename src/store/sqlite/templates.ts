/** Templates and their versions. */
import { one } from '#store/rows-json.ts';
import { templateFactsOf, VERSION_FACTS, versionFactsOf, versionOf } from '#store/template-rows.ts';
import type { TemplateStore } from '#store/template-store.ts';
import type { Synchronous } from './accounts.ts';
import type { Database } from './database.ts';

const PUT = 'INSERT INTO template (domain_id, name, description, created_ms, created_by) VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING';
const VERSIONS = `SELECT ${VERSION_FACTS} FROM template_version v JOIN template t ON t.id = v.template_id WHERE t.domain_id = ? AND t.name = ?`;
const VERSION = `SELECT ${VERSION_FACTS}, v.source FROM template_version v JOIN template t ON t.id = v.template_id WHERE t.domain_id = ? AND t.name = ?`;

export function templateTables(db: Database): Synchronous<TemplateStore> {
  return {
    createTemplate: (domainId, { name, description, createdMs, createdBy }) =>
      db.run(PUT, domainId, name, description, createdMs, createdBy) > 0,
    describeTemplate: (domainId, name, description) =>
      db.run('UPDATE template SET description = ? WHERE domain_id = ? AND name = ?', description, domainId, name) > 0,
    listVersions: (domainId, name) => db.all(`${VERSIONS} ORDER BY v.tag`, domainId, name).map(versionFactsOf),
    changeVersion(domainId, name, tag, { source, comment, headers, isActive }) {
      const template = templateId(db, domainId, name);
      const changed = db.run(
        'UPDATE template_version SET source = coalesce(?, source), comment = coalesce(?, comment), headers = coalesce(?, headers) WHERE template_id = ? AND tag = ?',
        source ?? null,
        comment ?? null,
        headers === undefined ? null : JSON.stringify(headers),
        template,
        tag,
      );
      if (changed > 0 && isActive === true) activate(db, template, tag);
      return changed > 0;
    },
    deleteVersion(domainId, name, tag) {
      const template = templateId(db, domainId, name);
      if (db.run('DELETE FROM template_version WHERE template_id = ? AND tag = ?', template, tag) === 0) return false;
      const left = db.all('SELECT tag, is_active FROM template_version WHERE template_id = ? ORDER BY created_ms DESC, tag DESC', template);
      if (left[0] !== undefined && left.every((row) => row['is_active'] === 0)) activate(db, template, String(left[0]['tag']));
      return true;
    },
    putVersion(domainId, description, version, createdBy = '') {
      db.run(PUT, domainId, version.name, description, version.createdMs, createdBy);
      const template = templateId(db, domainId, version.name);
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
      if (isActive) activate(db, template, version.tag);
      return true;
    },
    version(domainId, name, tag) {
      const row =
        tag === undefined
          ? db.get(`${VERSION} AND v.is_active = 1`, domainId, name)
          : db.get(`${VERSION} AND v.tag = ?`, domainId, name, tag);
      return one(row, versionOf);
    },
    listTemplates(domainId) {
      return db
        .all('SELECT name, description, created_ms, created_by FROM template WHERE domain_id = ? ORDER BY name', domainId)
        .map(templateFactsOf);
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

/** 0, which no template has, when there is none. */
function templateId(db: Database, domainId: number, name: string): number {
  return Number(db.get('SELECT id FROM template WHERE domain_id = ? AND name = ?', domainId, name)?.['id'] ?? 0);
}

function activate(db: Database, template: number, tag: string): void {
  db.run('UPDATE template_version SET is_active = (tag = ?) WHERE template_id = ?', tag, template);
}
