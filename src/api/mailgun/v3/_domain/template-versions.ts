/** /v3/{domain}/templates/{name}/versions: the versions of a template, of which one is active: the one that is sent when none is named. */
import { badParameter } from '#model/errors.ts';
import type { TemplateFacts, TemplateVersion } from '#store/template-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { readBoolean } from '#api/conventions/booleans.ts';
import { NotFound } from '#api/conventions/errors.ts';
import {
  headersOf,
  listedVersion,
  nameOf,
  pageOf,
  requiredTemplate,
  shown,
  shownVersion,
  sourceOf,
  textOf,
  VERSIONS_MAX,
} from '#api/conventions/templates.ts';
import type { Shelf, ShelfOf } from '#api/conventions/templates.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  copyQuery,
  pageQuery,
  templateAnswer,
  versionChangeForm,
  versionCopied,
  versionForm,
  versionList,
  versionNamed,
} from '#api/shapes/templates.ts';

/** Answers for one template, which is there. */
type Handler = (door: Door, shelf: Shelf, template: TemplateFacts, call: Call) => Promise<Answer>;

export function templateVersions(door: Door, url: string, shelfOf: ShelfOf): Endpoint[] {
  const ofTemplate =
    (handler: Handler): Endpoint['handle'] =>
    async (call) => {
      const shelf = await shelfOf(call);
      return handler(door, shelf, await requiredTemplate(door, shelf, call), call);
    };
  return [
    {
      method: 'GET',
      url,
      summary: 'List versions',
      right: 'read',
      query: pageQuery,
      answer: versionList,
      handle: ofTemplate(list),
    },
    {
      method: 'POST',
      url,
      summary: 'Store a version',
      right: 'write',
      form: versionForm,
      answer: templateAnswer,
      handle: ofTemplate(add),
    },
    {
      method: 'GET',
      url: `${url}/:tag`,
      summary: 'One version',
      right: 'read',
      answer: templateAnswer,
      handle: ofTemplate(one),
    },
    {
      method: 'PUT',
      url: `${url}/:tag`,
      summary: 'Change a version',
      right: 'write',
      form: versionChangeForm,
      answer: versionNamed,
      handle: ofTemplate(change),
    },
    {
      method: 'DELETE',
      url: `${url}/:tag`,
      summary: 'Delete a version',
      right: 'write',
      answer: versionNamed,
      handle: ofTemplate(remove),
    },
    {
      method: 'PUT',
      url: `${url}/:tag/copy/:copy`,
      summary: 'Copy a version',
      right: 'write',
      query: copyQuery,
      answer: versionCopied,
      handle: ofTemplate(copy),
    },
  ];
}

async function list(door: Door, shelf: Shelf, template: TemplateFacts, call: Call): Promise<Answer> {
  const path = `${shelf.path}/${encodeURIComponent(template.name)}/versions`;
  const all = await door.deps.store.templates.listVersions(shelf.id, template.name);
  const { items, paging } = pageOf(call, path, all, (version) => version.tag);
  return json({ template: { ...shown(shelf, template), versions: items.map((version) => listedVersion(shelf, version)) }, paging });
}

async function add(door: Door, shelf: Shelf, template: TemplateFacts, call: Call): Promise<Answer> {
  const source = sourceOf(call);
  if (source === undefined) throw badParameter('template parameter is missing');
  const version = {
    name: template.name,
    tag: nameOf(call.body.form.get('tag'), 'tag'),
    source,
    engine: 'handlebars' as const,
    comment: textOf(call, 'comment') ?? '',
    headers: headersOf(door, call) ?? {},
    isActive: readBoolean(call.body.form.get('active')) ?? false,
    createdMs: door.deps.clock.nowMs(),
  };
  const { templates } = door.deps.store;
  await assertRoom(door, shelf, template.name);
  if (!(await templates.putVersion(shelf.id, template.description, version))) throw badParameter('version already exists');
  const kept = await templates.version(shelf.id, template.name, version.tag);
  return json({
    message: 'new version of the template has been stored',
    template: { ...shown(shelf, template), version: shownVersion(shelf, kept ?? version) },
  });
}

async function assertRoom(door: Door, shelf: Shelf, name: string): Promise<void> {
  const versions = await door.deps.store.templates.listVersions(shelf.id, name);
  if (versions.length >= VERSIONS_MAX) throw badParameter(`too many versions, max is ${VERSIONS_MAX}`);
}

async function required(door: Door, shelf: Shelf, name: string, tag: string): Promise<TemplateVersion> {
  const version = await door.deps.store.templates.version(shelf.id, name, tag.toLowerCase());
  if (version === undefined) throw new NotFound('template version not found');
  return version;
}

async function one(door: Door, shelf: Shelf, template: TemplateFacts, call: Call): Promise<Answer> {
  const version = await required(door, shelf, template.name, call.param('tag'));
  return json({ template: { ...shown(shelf, template), version: shownVersion(shelf, version) } });
}

async function change(door: Door, shelf: Shelf, { name }: TemplateFacts, call: Call): Promise<Answer> {
  const tag = call.param('tag').toLowerCase();
  const [source, comment, headers] = [sourceOf(call), textOf(call, 'comment'), headersOf(door, call)];
  const isChanged = await door.deps.store.templates.changeVersion(shelf.id, name, tag, {
    ...(source !== undefined && { source }),
    ...(comment !== undefined && { comment }),
    ...(headers !== undefined && { headers }),
    // There is always one that is active: it ends being so when another begins.
    ...(readBoolean(call.body.form.get('active')) === true && { isActive: true }),
  });
  if (!isChanged) throw new NotFound('template version not found');
  return json({ message: 'version has been updated', template: { name, version: { tag } } });
}

async function remove(door: Door, shelf: Shelf, { name }: TemplateFacts, call: Call): Promise<Answer> {
  const tag = call.param('tag').toLowerCase();
  if (!(await door.deps.store.templates.deleteVersion(shelf.id, name, tag))) throw new NotFound('template version not found');
  return json({ message: 'version has been deleted', template: { name, version: { tag } } });
}

/** Over a version that is there the copy is written: it stays active if it was. */
async function copy(door: Door, shelf: Shelf, template: TemplateFacts, call: Call): Promise<Answer> {
  const { templates } = door.deps.store;
  const from = await required(door, shelf, template.name, call.param('tag'));
  const tag = nameOf(call.param('copy'), 'tag');
  const comment = (call.query.get('comment') ?? textOf(call, 'comment') ?? from.comment).slice(0, 1000);
  const { name, source, headers } = from;
  if (!(await templates.changeVersion(shelf.id, name, tag, { source, headers, comment }))) {
    await assertRoom(door, shelf, name);
    const version = { name, tag, source, engine: from.engine, headers, comment, isActive: false, createdMs: door.deps.clock.nowMs() };
    await templates.putVersion(shelf.id, template.description, version);
  }
  const version = shownVersion(shelf, await required(door, shelf, name, tag));
  return json({ message: 'version has been copied', version, template: version });
}
