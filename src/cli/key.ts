/** postrider key add|list|revoke */
import { parseDuration } from '#base/units.ts';
import type { ApiKey } from '#store/store.ts';
import { chosenAccount, knownDomain, withAccounts } from './administration.ts';
import { Failure, UsageError } from './command.ts';
import type { Command } from './command.ts';
import { json, stamp, table } from './table.ts';

const ROLES: readonly ApiKey['role'][] = ['admin', 'basic', 'developer', 'sending'];
const ACCOUNT_OPTION = { type: 'string', value: 'ID', help: 'account, by id or name; needed when there are several' } as const;

export const keyAdd: Command = {
  name: 'key add',
  parameters: '',
  summary: 'Makes an API key and prints it, which happens only this once',
  details: 'With --domain it is a sending key of that domain. Without, it is a key of the account.',
  examples: [
    'postrider key add --description "web shop"',
    'postrider key add --domain mail.example.org',
    'postrider key add --role developer --expires 90d',
  ],
  options: {
    account: ACCOUNT_OPTION,
    domain: { type: 'string', value: 'NAME', help: 'limit it to sending for this domain' },
    role: { type: 'string', value: 'ROLE', help: `${ROLES.join(', ')}; default: admin, or sending for a domain` },
    description: { type: 'string', value: 'TEXT', help: 'what it is for' },
    expires: { type: 'string', value: 'TIME', help: 'ends after this time, such as 90d' },
  },
  takes: [0, 0],
  printsData: true,
  async run({ config, text, json: asJson, terminal }) {
    const role = ROLES.find((known) => known === text('role'));
    if (text('role') !== undefined && role === undefined)
      throw new UsageError(`--role ${text('role') ?? ''}: expected one of ${ROLES.join(', ')}`);
    const expiresAtMs = expiry(text('expires'));
    const { key, secret } = await withAccounts(config(), async ({ accounts }) => {
      const name = text('domain');
      const domain = name === undefined ? undefined : await knownDomain(accounts, name);
      const given = text('account');
      const accountId = domain !== undefined && given === undefined ? domain.accountId : (await chosenAccount(accounts, given)).id;
      if (domain !== undefined && domain.accountId !== accountId) throw new Failure(`the domain ${domain.name} belongs to another account`);
      return accounts.createKey({
        accountId,
        ...(domain === undefined ? {} : { domainId: domain.id }),
        ...(role === undefined ? {} : { role }),
        ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
        description: text('description') ?? '',
      });
    });
    terminal.out(asJson ? json({ ...facts(key), apiKey: secret }) : `key id   ${key.id}\nAPI key  ${secret}\n`);
    return 0;
  },
};

export const keyList: Command = {
  name: 'key list',
  parameters: '',
  summary: 'Lists the API keys of an account (not the keys themselves, which are not kept)',
  examples: ['postrider key list', 'postrider key list --account shop'],
  options: { account: ACCOUNT_OPTION },
  takes: [0, 0],
  printsData: true,
  async run({ config, text, json: asJson, terminal }) {
    const { keys, names } = await withAccounts(config(), async ({ accounts }) => {
      const account = await chosenAccount(accounts, text('account'));
      const names = new Map((await accounts.listDomains(account.id)).map((domain) => [domain.id, domain.name]));
      return { keys: await accounts.listKeys(account.id), names };
    });
    const rows = keys.map((key) => [
      key.id,
      key.role,
      key.domainId === undefined ? 'all' : (names.get(key.domainId) ?? '?'),
      stamp(key.createdMs),
      key.expiresAtMs === undefined ? 'never' : stamp(key.expiresAtMs),
      key.description,
    ]);
    terminal.out(
      asJson ? json(keys.map(facts)) : table(['id', 'role', 'domains', 'created (UTC)', 'expires', 'description'], rows) || 'no key\n',
    );
    return 0;
  },
};

export const keyRevoke: Command = {
  name: 'key revoke',
  parameters: 'KEY-ID',
  summary: 'Ends an API key, within two seconds, also on open connections',
  examples: ['postrider key revoke 1f2e3d4c-5b6a7988'],
  options: { account: ACCOUNT_OPTION },
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, text, json: asJson, terminal }) {
    const [id = ''] = positionals;
    await withAccounts(config(), async ({ accounts }) => {
      const given = text('account');
      const candidates = given === undefined ? await accounts.listAccounts() : [await chosenAccount(accounts, given)];
      for (const account of candidates) if (await accounts.revokeKey(account.id, id)) return;
      throw new Failure(`there is no key ${id}; "postrider key list" shows the ids`);
    });
    terminal.out(asJson ? json({ id, revoked: true }) : `key ${id} is revoked\n`);
    return 0;
  },
};

function expiry(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  const ms = parseDuration(given);
  if (ms === undefined || ms === 0) throw new UsageError(`--expires ${given}: expected a duration such as 90d`);
  return Date.now() + ms;
}

function facts(key: ApiKey): object {
  return {
    id: key.id,
    accountId: key.accountId,
    kind: key.kind,
    role: key.role,
    domainId: key.domainId ?? null,
    description: key.description,
    createdAt: new Date(key.createdMs).toISOString(),
    expiresAt: key.expiresAtMs === undefined ? null : new Date(key.expiresAtMs).toISOString(),
  };
}
