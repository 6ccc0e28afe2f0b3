/** /v3/{domain}/templates: stored templates and their versions. Names and tags are kept in lower case. */
import { hash } from 'node:crypto';
import type { Domain, TemplateVersion } from '#store/store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { readBoolean } from '#api/conventions/booleans.ts';
import { utcDate } from '#api/conventions/dates.ts';
import { badParameter, NotFound } from '#api/conventions/errors.ts';
import { nullPrototype, parseJson } from '#api/conventions/json.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { templateAnswer, templateForm, templateList, versionForm } from '#api/shapes/templates.ts';

const NAME_MAX = 255;
const SOURCE_MAX = 100 * 1024;
const TEMPLATES_MAX = 100;
const HEADER_NAMES = new Set(['from', 'subject', 'reply-to']);

export function templates(door: Door): Endpoint[] {
  const url = '/v3/:domain/templates';
  return [
    { method: 'GET', url, summary: 'List templates', right: 'read', answer: templateList, handle: (call) => list(door, call) },
    {
      method: 'POST',
      url,
      summary: 'Store a template',
      right: 'write',
      form: templateForm,
      answer: templateAnswer,
      handle: (call) => create(door, call),
    },
    { method: 'DELETE', url, summary: 'Delete all templates', right: 'write', handle: (call) => removeAll(door, call) },
    {
      method: 'GET',
      url: `${url}/:name`,
      summary: 'One template',
      right: 'read',
      answer: templateAnswer,
      handle: (call) => one(door, call),
    },
    { method: 'DELETE', url: `${url}/:name`, summary: 'Delete a template', right: 'write', handle: (call) => remove(door, call) },
    {
      method: 'POST',
      url: `${url}/:name/versions`,
      summary: 'Store a version',
      right: 'write',
      form: versionForm,
      answer: templateAnswer,
      handle: (call) => addVersion(door, call),
    },
    {
      method: 'GET',
      url: `${url}/:name/versions/:tag`,
      summary: 'One version',
      right: 'read',
      answer: templateAnswer,
      handle: (call) => oneVersion(door, call),
    },
  ];
}

interface Listed {
  readonly name: string;
  readonly description: string;
  readonly createdMs: number;
}

async function domainOf(door: Door, call: Call): Promise<Domain> {
  return requiredDomain(door.deps.accounts, call.principal, call.param('domain'), 'domain not found');
}

async function list(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const all = await door.deps.store.templates.listTemplates(domain.id);
  const base = `${call.publicUrl}/v3/${domain.name}/templates?`;
  // At most 100 templates to a domain: they are one page.
  const paging = {
    first: `${base}limit=100`,
    last: `${base}page=last&limit=100`,
    next: `${base}page=next&p=end&limit=100`,
    previous: `${base}page=previous&limit=100`,
  };
  const isBeyond = call.query.get('page') === 'next';
  return json({ items: isBeyond ? [] : all.map((item) => shown(domain, item)), paging });
}

async function create(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const { form } = call.body;
  const name = nameOf(form.get('name'), 'name');
  const existing = await door.deps.store.templates.listTemplates(domain.id);
  if (existing.some((item) => item.name === name)) throw badParameter('duplicate template');
  if (existing.length >= TEMPLATES_MAX) throw badParameter(`too many templates, max is ${TEMPLATES_MAX}`);
  const first = versionOf(door, call, name, nameOf(form.get('tag') ?? 'initial', 'tag'), form.text('template') ?? '');
  const version = { ...first, isActive: true };
  const description = (form.get('description') ?? '').slice(0, 1000);
  if (!(await door.deps.store.templates.putVersion(domain.id, description, version))) throw badParameter('duplicate template');
  const template = { ...shown(domain, { name, description, createdMs: version.createdMs }), version: shownVersion(domain, version) };
  return json({ message: 'template has been stored', template });
}

async function addVersion(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const listed = await required(door, domain, call);
  const { form } = call.body;
  const source = form.text('template');
  if (source === undefined) throw badParameter('template parameter is missing');
  const version = versionOf(door, call, listed.name, nameOf(form.get('tag'), 'tag'), source);
  if (!(await door.deps.store.templates.putVersion(domain.id, listed.description, version))) throw badParameter('version already exists');
  return json({
    message: 'new version of the template has been stored',
    template: { ...shown(domain, listed), version: shownVersion(domain, version) },
  });
}

async function one(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const listed = await required(door, domain, call);
  if (readBoolean(call.query.get('active')) !== true) return json({ template: shown(domain, listed) });
  const version = await door.deps.store.templates.version(domain.id, listed.name);
  return json({ template: { ...shown(domain, listed), ...(version !== undefined && { version: shownVersion(domain, version) }) } });
}

async function oneVersion(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const listed = await required(door, domain, call);
  const version = await door.deps.store.templates.version(domain.id, listed.name, call.param('tag').toLowerCase());
  if (version === undefined) throw new NotFound('template version not found');
  return json({ template: { ...shown(domain, listed), version: shownVersion(domain, version) } });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  const name = call.param('name').toLowerCase();
  if (!(await door.deps.store.templates.deleteTemplate(domain.id, name))) throw new NotFound('template not found');
  return json({ message: 'template has been deleted', template: { name } });
}

async function removeAll(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  for (const { name } of await door.deps.store.templates.listTemplates(domain.id))
    await door.deps.store.templates.deleteTemplate(domain.id, name);
  return json({ message: 'templates have been deleted' });
}

async function required(door: Door, domain: Domain, call: Call): Promise<Listed> {
  const name = call.param('name').toLowerCase();
  const listed = (await door.deps.store.templates.listTemplates(domain.id)).find((item) => item.name === name);
  if (listed === undefined) throw new NotFound('template not found');
  return listed;
}

function nameOf(text: string | undefined, field: string): string {
  if (text === undefined) throw badParameter(`${field} parameter is missing`);
  const name = text.trim().toLowerCase();
  if (name === '' || name.length > NAME_MAX || /[\u0000-\u001f\u007f-\u009f/]/.test(name))
    throw badParameter(`${field} parameter is not valid`);
  return name;
}

function versionOf(door: Door, call: Call, name: string, tag: string, source: string): Omit<TemplateVersion, 'templateId'> {
  const { form } = call.body;
  if (Buffer.byteLength(source) > SOURCE_MAX) throw badParameter(`template is larger than ${SOURCE_MAX} bytes`);
  const engine = form.get('engine') ?? 'handlebars';
  if (engine !== 'handlebars') throw badParameter("engine parameter is 'handlebars'");
  return {
    name,
    tag,
    source,
    engine: 'handlebars',
    comment: (form.get('comment') ?? '').slice(0, 1000),
    headers: headersOf(door, form.get('headers')),
    isActive: readBoolean(form.get('active')) ?? false,
    createdMs: door.deps.clock.nowMs(),
  };
}

function headersOf(door: Door, text: string | undefined): Readonly<Record<string, string>> {
  if (text === undefined) return {};
  const value = parseJson(text, door.limits);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badParameter('headers parameter is not a valid JSON');
  const entries = Object.entries(nullPrototype(value as Record<string, unknown>));
  if (entries.some(([name, item]) => typeof item !== 'string' || !HEADER_NAMES.has(name.toLowerCase()))) {
    throw badParameter('headers parameter may have From, Subject and Reply-To');
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

function shown(domain: Domain, item: Listed): Record<string, unknown> {
  return {
    name: item.name,
    description: item.description,
    createdAt: utcDate(item.createdMs),
    createdBy: '',
    id: uuidOf(`${domain.id}/${item.name}`),
  };
}

function shownVersion(domain: Domain, version: Omit<TemplateVersion, 'templateId'>): Record<string, unknown> {
  return {
    tag: version.tag,
    template: version.source,
    engine: version.engine,
    mjml: '',
    createdAt: utcDate(version.createdMs),
    comment: version.comment,
    active: version.isActive,
    id: uuidOf(`${domain.id}/${version.name}/${version.tag}`),
    ...(Object.keys(version.headers).length > 0 && { headers: version.headers }),
  };
}

/** SDKs expect a UUID; the name already is the identity, so it is derived from it (RFC 9562 §5.8, version 8). */
function uuidOf(identity: string): string {
  const hex = hash('sha256', identity, 'hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
