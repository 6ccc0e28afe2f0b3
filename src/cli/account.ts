/** postrider account add|list */
import { limitsJson, limitText } from './account-limit.ts';
import { chosenAccount, withAccounts } from './administration.ts';
import type { Command } from './command.ts';
import { json, stamp, table } from './table.ts';

export const accountAdd: Command = {
  name: 'account add',
  parameters: 'NAME',
  summary: 'Adds an account and prints its id and its API key, which is shown only this once',
  examples: ['postrider account add shop', 'postrider account add shop --json'],
  options: {},
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, json: asJson, terminal }) {
    const [name = ''] = positionals;
    const { account, key, secret } = await withAccounts(config(), async ({ accounts }) => {
      const account = await accounts.createAccount(name);
      return { account, ...(await accounts.createKey({ accountId: account.id, description: 'made with the account' })) };
    });
    terminal.out(
      asJson
        ? json({ id: account.id, name: account.name, apiKey: secret, keyId: key.id })
        : `account  ${account.id}  ${account.name}\nAPI key  ${secret}\n`,
    );
    return 0;
  },
};

export const accountList: Command = {
  name: 'account list',
  parameters: '',
  summary: 'Lists the accounts',
  examples: ['postrider account list'],
  options: { account: { type: 'string', value: 'ID', help: 'only this one' } },
  takes: [0, 0],
  printsData: true,
  async run({ config, json: asJson, text, terminal }) {
    const only = text('account');
    const list = await withAccounts(config(), async ({ accounts, store }) => {
      const chosen = only === undefined ? await accounts.listAccounts() : [await chosenAccount(accounts, only)];
      return Promise.all(chosen.map(async (account) => ({ ...account, limits: await store.grants.limitsOf(account.id) })));
    });
    const rows = list.map((a) => [
      a.id,
      a.name,
      stamp(a.createdMs),
      a.isDisabled ? 'disabled' : 'active',
      limitText(a.limits, 'recipientsPerHour'),
      limitText(a.limits, 'recipientsPerDay'),
      limitText(a.limits, 'requestsPerSecond'),
    ]);
    terminal.out(
      asJson
        ? json(
            list.map((a) => ({
              id: a.id,
              name: a.name,
              createdAt: new Date(a.createdMs).toISOString(),
              isDisabled: a.isDisabled,
              limits: limitsJson(a.limits),
            })),
          )
        : table(['id', 'name', 'created (UTC)', 'state', 'recipients/hour', 'recipients/day', 'requests/s'], rows) || 'no account yet\n',
    );
    return 0;
  },
};
