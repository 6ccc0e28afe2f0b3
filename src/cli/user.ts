/** postrider user add|list|disable|enable: the people of an account. A key that is somebody's (POST /v1/keys with user_id) ends while they are disabled. */
import { publicId } from '#accounts/public-id.ts';
import { parsePath } from '#mail/address.ts';
import type { User } from '#store/access-store.ts';
import { chosenAccount, withAccounts } from './administration.ts';
import { Failure, UsageError } from './command.ts';
import type { Command } from './command.ts';
import { json, table } from './table.ts';

const ROLES: readonly User['role'][] = ['admin', 'developer', 'basic'];
const NAME_MAX = 100;
const USERS_MAX = 1000;
const ACCOUNT_OPTION = { type: 'string', value: 'ID', help: 'account, by id or name; needed when there are several' } as const;

export const userAdd: Command = {
  name: 'user add',
  parameters: 'EMAIL',
  summary: 'Adds somebody to the people of an account and prints their id, which a key may be bound to',
  examples: ['postrider user add ann@example.org --name Ann --role developer'],
  options: {
    account: ACCOUNT_OPTION,
    name: { type: 'string', value: 'NAME', help: 'how they are called' },
    role: { type: 'string', value: 'ROLE', help: `${ROLES.join(', ')}; default: basic` },
  },
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, text, json: asJson, terminal }) {
    const email = parsePath((positionals[0] ?? '').trim(), { allowNull: false })?.address.toLowerCase();
    if (email === undefined) throw new UsageError('the email is not an address; one looks like ann@example.org');
    const role = ROLES.find((known) => known === (text('role') ?? 'basic'));
    if (role === undefined) throw new UsageError(`--role ${text('role') ?? ''}: expected one of ${ROLES.join(', ')}`);
    const name = text('name') ?? '';
    if (name.length > NAME_MAX || /\p{Cc}/u.test(name))
      throw new UsageError(`--name: at most ${NAME_MAX} characters, without control characters`);
    const made = await withAccounts(config(), async ({ accounts, store }) => {
      const account = await chosenAccount(accounts, text('account'));
      const before = await store.access.listUsers(account.id);
      if (before.length >= USERS_MAX) throw new Failure(`the account has ${USERS_MAX} people, which is the most`);
      const wanted = { accountId: account.id, email, name, role, isDisabled: false, isMaster: before.length === 0, createdMs: Date.now() };
      const user = await store.access.createUser(wanted);
      if (user === undefined) throw new Failure(`${email} is one of the account's people already`);
      return user;
    });
    terminal.out(asJson ? json(facts(made)) : `user  ${publicId(made.id)}  ${made.email}\n`);
    return 0;
  },
};

export const userList: Command = {
  name: 'user list',
  parameters: '',
  summary: 'Lists the people of an account',
  examples: ['postrider user list --account shop'],
  options: { account: ACCOUNT_OPTION },
  takes: [0, 0],
  printsData: true,
  async run({ config, text, json: asJson, terminal }) {
    const list = await withAccounts(config(), async ({ accounts, store }) =>
      store.access.listUsers((await chosenAccount(accounts, text('account'))).id),
    );
    const rows = list.map((user) => [publicId(user.id), user.email, user.name, user.role, user.isDisabled ? 'disabled' : 'active']);
    terminal.out(asJson ? json(list.map(facts)) : table(['id', 'email', 'name', 'role', 'state'], rows) || 'nobody\n');
    return 0;
  },
};

export const userDisable = setting('disable', true, 'Ends the keys of one of the people of an account, within two seconds');
export const userEnable = setting('enable', false, 'Undoes that');

function setting(word: string, isDisabled: boolean, summary: string): Command {
  return {
    name: `user ${word}`,
    parameters: 'EMAIL',
    summary,
    examples: [`postrider user ${word} ann@example.org`],
    options: { account: ACCOUNT_OPTION },
    takes: [1, 1],
    printsData: true,
    async run({ config, positionals, text, json: asJson, terminal }) {
      const email = (positionals[0] ?? '').trim().toLowerCase();
      const id = await withAccounts(config(), async ({ accounts, store }) => {
        const account = await chosenAccount(accounts, text('account'));
        const user = (await store.access.listUsers(account.id)).find((known) => known.email === email);
        if (user === undefined) throw new Failure(`there is no user ${email}; "postrider user list" shows them`);
        await store.access.setUserDisabled(account.id, user.id, isDisabled);
        return publicId(user.id);
      });
      terminal.out(asJson ? json({ id, email, isDisabled }) : `user ${email} is ${word}d\n`);
      return 0;
    },
  };
}

function facts(user: User): object {
  const { name, email, role, isDisabled, isMaster } = user;
  return { id: publicId(user.id), email, name, role, isDisabled, isMaster };
}
