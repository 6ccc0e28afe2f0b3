/** Rows of templates and their versions to our nouns, the same for both drivers. Stored JSON was written by us: it is trusted. */
import type { Row } from './rows-json.ts';
import type { TemplateFacts, TemplateVersion } from './template-store.ts';

/** Columns of `template_version v` joined with `template t`: all but the source, which is most of a version. */
export const VERSION_FACTS = 'v.template_id, t.name AS name, v.tag, v.comment, v.headers, v.is_active, v.created_ms';

export function versionOf(row: Row): TemplateVersion {
  return { ...versionFactsOf(row), source: String(row['source']) };
}

export function versionFactsOf(row: Row): Omit<TemplateVersion, 'source'> {
  return {
    templateId: Number(row['template_id']),
    name: String(row['name']),
    tag: String(row['tag']),
    engine: 'handlebars',
    comment: String(row['comment']),
    headers: JSON.parse(String(row['headers'])) as TemplateVersion['headers'],
    isActive: row['is_active'] === 1,
    createdMs: Number(row['created_ms']),
  };
}

export function templateFactsOf(row: Row): TemplateFacts {
  return {
    name: String(row['name']),
    description: String(row['description']),
    createdMs: Number(row['created_ms']),
    createdBy: String(row['created_by']),
  };
}
