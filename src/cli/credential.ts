/** postrider credential add|list|disable|enable|delete */
import { knownDomain, withAccounts } from './administration.ts';
import { Failure, UsageError } from './command.ts';
import type { Command } from './command.ts';
import { json, stamp, table } from './table.ts';

export const credentialAdd: Command = {
  name: 'credential add',
  parameters: 'LOGIN@DOMAIN',
  summary: 'Makes an SMTP login, or gives an existing one a new password',
  details: 'Without --password one is made up and printed, which happens only this once.',
  examples: ['postrider credential add app@mail.example.org', 'postrider credential add app@mail.example.org --password "a long one"'],
  options: { password: { type: 'string', value: 'P', help: 'its password' } },
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, text, json: asJson, terminal }) {
    const [login, domainName] = parts(positionals[0] ?? '');
    const given = text('password');
    const { full, password } = await withAccounts(config(), async ({ accounts }) => {
      const domain = await knownDomain(accounts, domainName);
      return { full: `${login.toLowerCase()}@${domain.name}`, password: await accounts.putCredential(domain, login, given) };
    });
    if (asJson) terminal.out(json({ login: full, ...(given === undefined ? { password } : {}) }));
    else terminal.out(`login     ${full}\n${given === undefined ? `password  ${password}\n` : ''}`);
    return 0;
  },
};

export const credentialList: Command = {
  name: 'credential list',
  parameters: '[DOMAIN]',
  summary: 'Lists SMTP logins, of one domain or of all',
  examples: ['postrider credential list', 'postrider credential list mail.example.org'],
  options: {},
  takes: [0, 1],
  printsData: true,
  async run({ config, positionals, json: asJson, terminal }) {
    const list = await withAccounts(config(), async ({ accounts }) => {
      const [name] = positionals;
      const domains = name === undefined ? await accounts.listDomains() : [await knownDomain(accounts, name)];
      const lists = [];
      for (const domain of domains)
        for (const credential of await accounts.listCredentials(domain.id)) lists.push({ domain: domain.name, credential });
      return lists;
    });
    terminal.out(
      asJson
        ? json(
            list.map(({ domain, credential: c }) => ({
              login: c.login,
              domain,
              createdAt: new Date(c.createdMs).toISOString(),
              isDisabled: c.isDisabled === true,
            })),
          )
        : table(
            ['login', 'domain', 'created (UTC)', 'state'],
            list.map(({ domain, credential: c }) => [c.login, domain, stamp(c.createdMs), c.isDisabled === true ? 'disabled' : 'active']),
          ) || 'no login\n',
    );
    return 0;
  },
};

export const credentialDelete: Command = {
  name: 'credential delete',
  parameters: 'LOGIN@DOMAIN',
  summary: 'Ends an SMTP login, within two seconds, also on open connections',
  examples: ['postrider credential delete app@mail.example.org'],
  options: {},
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, json: asJson, terminal }) {
    const [login, domainName] = parts(positionals[0] ?? '');
    await withAccounts(config(), async ({ accounts }) => {
      if (await accounts.deleteCredential(await knownDomain(accounts, domainName), login)) return;
      throw new Failure(`there is no login ${login}@${domainName}; "postrider credential list ${domainName}" shows them`);
    });
    terminal.out(asJson ? json({ login: `${login}@${domainName}`, deleted: true }) : `login ${login}@${domainName} is deleted\n`);
    return 0;
  },
};

export const credentialDisable = setting('disable', true, 'Switches an SMTP login off, within two seconds, also on open connections');
export const credentialEnable = setting('enable', false, 'Undoes that; the password is what it was');

function setting(word: string, isDisabled: boolean, summary: string): Command {
  return {
    name: `credential ${word}`,
    parameters: 'LOGIN@DOMAIN',
    summary,
    examples: [`postrider credential ${word} app@mail.example.org`],
    options: {},
    takes: [1, 1],
    printsData: true,
    async run({ config, positionals, json: asJson, terminal }) {
      const [login, domainName] = parts(positionals[0] ?? '');
      const full = await withAccounts(config(), async ({ accounts }) => {
        const domain = await knownDomain(accounts, domainName);
        if (await accounts.setCredentialDisabled(domain, login, isDisabled)) return `${login.toLowerCase()}@${domain.name}`;
        throw new Failure(`there is no login ${login}@${domainName}; "postrider credential list ${domainName}" shows them`);
      });
      terminal.out(asJson ? json({ login: full, isDisabled }) : `login ${full} is ${word}d\n`);
      return 0;
    },
  };
}

function parts(given: string): readonly [login: string, domain: string] {
  const at = given.lastIndexOf('@');
  if (at < 1 || at === given.length - 1) throw new UsageError(`"${given}" is not a login; one looks like app@mail.example.org`);
  return [given.slice(0, at), given.slice(at + 1)];
}
