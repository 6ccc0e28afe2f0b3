/** postrider template add|list|delete */
import { readFileSync } from 'node:fs';
import { AppError } from '#model/errors.ts';
import { createRenderer } from '#templates/render.ts';
import { knownDomain, withAccounts } from './administration.ts';
import { Failure, UsageError } from './command.ts';
import type { Command } from './command.ts';
import { json, stamp, table } from './table.ts';

const SOURCE_MAX = 1024 * 1024;

export const templateAdd: Command = {
  name: 'template add',
  parameters: 'DOMAIN NAME FILE',
  summary: 'Stores a Handlebars template of a domain, or a further version of it',
  details: 'FILE "-" is standard input. The first version is the active one. A version is never changed: give the next one another tag.',
  examples: [
    'postrider template add mail.example.org receipt receipt.html',
    'postrider template add mail.example.org receipt new.html --tag v2',
  ],
  options: {
    tag: { type: 'string', value: 'TAG', help: 'name of the version; default: initial' },
    description: { type: 'string', value: 'TEXT', help: 'what it is for' },
  },
  takes: [3, 3],
  printsData: true,
  async run({ config, positionals, text, json: asJson, terminal }) {
    const [domainName = '', given = '', file = ''] = positionals;
    const [name, tag] = [named(given), named(text('tag') ?? 'initial')];
    const source = sourceOf(file);
    createRenderer()(source, {}, 'html');
    await withAccounts(config(), async ({ store, accounts }) => {
      const domain = await knownDomain(accounts, domainName);
      const isNew = await store.templates.putVersion(domain.id, text('description') ?? '', {
        name,
        tag,
        source,
        engine: 'handlebars',
        comment: '',
        headers: {},
        isActive: (await store.templates.version(domain.id, name)) === undefined,
        createdMs: Date.now(),
      });
      if (!isNew) throw new AppError('already-exists', { what: `Version ${tag} of template ${name}` });
    });
    terminal.out(asJson ? json({ name, tag }) : `template ${name}, version ${tag}, is stored\n`);
    return 0;
  },
};

export const templateList: Command = {
  name: 'template list',
  parameters: 'DOMAIN',
  summary: 'Lists the templates of a domain',
  examples: ['postrider template list mail.example.org'],
  options: {},
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, json: asJson, terminal }) {
    const list = await withAccounts(config(), async ({ store, accounts }) =>
      store.templates.listTemplates((await knownDomain(accounts, positionals[0] ?? '')).id),
    );
    terminal.out(
      asJson
        ? json(list.map((t) => ({ name: t.name, description: t.description, createdAt: new Date(t.createdMs).toISOString() })))
        : table(
            ['name', 'created (UTC)', 'description'],
            list.map((t) => [t.name, stamp(t.createdMs), t.description]),
          ) || 'no template\n',
    );
    return 0;
  },
};

export const templateDelete: Command = {
  name: 'template delete',
  parameters: 'DOMAIN NAME',
  summary: 'Deletes a template with all its versions',
  examples: ['postrider template delete mail.example.org receipt'],
  options: {},
  takes: [2, 2],
  printsData: true,
  async run({ config, positionals, json: asJson, terminal }) {
    const [domainName = '', name = ''] = positionals;
    await withAccounts(config(), async ({ store, accounts }) => {
      const domain = await knownDomain(accounts, domainName);
      if (!(await store.templates.deleteTemplate(domain.id, name.toLowerCase())))
        throw new Failure(`there is no template ${name} of ${domain.name}`);
    });
    terminal.out(asJson ? json({ name, deleted: true }) : `template ${name} is deleted\n`);
    return 0;
  },
};

function named(given: string): string {
  const name = given.toLowerCase();
  if (!/^[a-z0-9][a-z0-9._-]{0,99}$/.test(name))
    throw new UsageError(`"${given}": a name has letters, digits, "." "_" "-", at most 100 of them`);
  return name;
}

function sourceOf(file: string): string {
  let source: string;
  try {
    source = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Failure(`${file} cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'})`);
  }
  if (source.length > SOURCE_MAX) throw new Failure(`${file} is larger than ${SOURCE_MAX} characters`);
  return source;
}
