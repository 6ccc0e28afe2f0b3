/** /v3/{domain}/templates: stored templates. The same for those of an account, which all of its domains share: /v4/templates. */
import { badParameter } from '#model/errors.ts';
import type { TemplateVersion } from '#store/template-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { readBoolean } from '#api/conventions/booleans.ts';
import { NotFound } from '#api/conventions/errors.ts';
import {
  domainShelf,
  headersOf,
  nameOf,
  pageOf,
  requiredTemplate,
  shown,
  shownVersion,
  sourceOf,
  TEMPLATES_MAX,
  textOf,
} from '#api/conventions/templates.ts';
import type { Shelf, ShelfOf } from '#api/conventions/templates.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { activeQuery, describeForm, pageQuery, templateAnswer, templateForm, templateList, templateNamed } from '#api/shapes/templates.ts';
import { templateVersions } from './template-versions.ts';

export function templates(door: Door): Endpoint[] {
  const shelfOf = domainShelf(door);
  return [
    ...templateEndpoints(door, '/v3/:domain/templates', shelfOf),
    ...templateVersions(door, '/v3/:domain/templates/:name/versions', shelfOf),
  ];
}

export function templateEndpoints(door: Door, url: string, shelfOf: ShelfOf): Endpoint[] {
  const onShelf =
    (handler: (door: Door, shelf: Shelf, call: Call) => Promise<Answer>): Endpoint['handle'] =>
    async (call) =>
      handler(door, await shelfOf(call), call);
  return [
    {
      method: 'GET',
      url,
      summary: 'List templates',
      right: 'read',
      query: pageQuery,
      answer: templateList,
      handle: onShelf(list),
    },
    {
      method: 'POST',
      url,
      summary: 'Store a template',
      right: 'write',
      form: templateForm,
      answer: templateAnswer,
      handle: onShelf(create),
    },
    {
      method: 'DELETE',
      url,
      summary: 'Delete all templates',
      right: 'write',
      answer: messageAnswer,
      handle: onShelf(removeAll),
    },
    {
      method: 'GET',
      url: `${url}/:name`,
      summary: 'One template',
      right: 'read',
      query: activeQuery,
      answer: templateAnswer,
      handle: onShelf(one),
    },
    {
      method: 'PUT',
      url: `${url}/:name`,
      summary: 'Describe a template',
      right: 'write',
      form: describeForm,
      answer: templateNamed,
      handle: onShelf(describe),
    },
    {
      method: 'DELETE',
      url: `${url}/:name`,
      summary: 'Delete a template',
      right: 'write',
      answer: templateNamed,
      handle: onShelf(remove),
    },
  ];
}

async function list(door: Door, shelf: Shelf, call: Call): Promise<Answer> {
  const { items, paging } = pageOf(call, shelf.path, await door.deps.store.templates.listTemplates(shelf.id), (item) => item.name);
  return json({ items: items.map((item) => shown(shelf, item)), paging });
}

async function create(door: Door, shelf: Shelf, call: Call): Promise<Answer> {
  const { store, clock } = door.deps;
  const { form } = call.body;
  const name = nameOf(form.get('name'), 'name');
  const facts = {
    name,
    description: textOf(call, 'description') ?? '',
    createdMs: clock.nowMs(),
    createdBy: textOf(call, 'createdBy') ?? '',
  };
  const first = firstVersion(door, call, name, facts.createdMs);
  const existing = await store.templates.listTemplates(shelf.id);
  if (existing.some((item) => item.name === name)) throw badParameter('duplicate template');
  if (existing.length >= TEMPLATES_MAX) throw badParameter(`too many templates, max is ${TEMPLATES_MAX}`);
  const isStored =
    first === undefined
      ? await store.templates.createTemplate(shelf.id, facts)
      : await store.templates.putVersion(shelf.id, facts.description, first, facts.createdBy);
  if (!isStored) throw badParameter('duplicate template');
  const template = { ...shown(shelf, facts), ...(first !== undefined && { version: shownVersion(shelf, first) }) };
  return json({ message: 'template has been stored', template });
}

/** A template may be stored before there is anything in it. */
function firstVersion(door: Door, call: Call, name: string, createdMs: number): Omit<TemplateVersion, 'templateId'> | undefined {
  const tag = nameOf(call.body.form.get('tag') ?? 'initial', 'tag');
  const comment = textOf(call, 'comment') ?? '';
  const headers = headersOf(door, call) ?? {};
  const source = sourceOf(call);
  if (source === undefined) return undefined;
  return { name, tag, source, engine: 'handlebars', comment, headers, isActive: true, createdMs };
}

async function one(door: Door, shelf: Shelf, call: Call): Promise<Answer> {
  const template = await requiredTemplate(door, shelf, call);
  const tag = call.query.get('version_name')?.toLowerCase();
  if (tag === undefined && readBoolean(call.query.get('active')) !== true) return json({ template: shown(shelf, template) });
  const version = await door.deps.store.templates.version(shelf.id, template.name, tag);
  if (tag !== undefined && version === undefined) throw new NotFound('template version not found');
  return json({ template: { ...shown(shelf, template), ...(version !== undefined && { version: shownVersion(shelf, version) }) } });
}

async function describe(door: Door, shelf: Shelf, call: Call): Promise<Answer> {
  const name = call.param('name').toLowerCase();
  const description = textOf(call, 'description') ?? '';
  if (!(await door.deps.store.templates.describeTemplate(shelf.id, name, description))) throw new NotFound('template not found');
  return json({ message: 'template has been updated', template: { name } });
}

async function remove(door: Door, shelf: Shelf, call: Call): Promise<Answer> {
  const name = call.param('name').toLowerCase();
  if (!(await door.deps.store.templates.deleteTemplate(shelf.id, name))) throw new NotFound('template not found');
  return json({ message: 'template has been deleted', template: { name } });
}

async function removeAll(door: Door, shelf: Shelf): Promise<Answer> {
  const { templates: kept } = door.deps.store;
  for (const { name } of await kept.listTemplates(shelf.id)) await kept.deleteTemplate(shelf.id, name);
  return json({ message: 'templates have been deleted' });
}
