/** postrider account networks: from where an account may be used. Whoever shut themselves out gets in again by it. */
import { chosenAccount, withAccounts } from './administration.ts';
import { Failure } from './command.ts';
import type { Command } from './command.ts';
import { json, table } from './table.ts';

export const accountNetworks: Command = {
  name: 'account networks',
  parameters: 'ID',
  summary: 'Shows or changes from where an account may be used, by the API and by SMTP logins',
  details: 'Without any network it may be used from anywhere. A running server follows within two seconds.',
  examples: [
    'postrider account networks shop',
    'postrider account networks shop --allow 192.0.2.0/24',
    'postrider account networks shop --remove 192.0.2.0/24',
  ],
  options: {
    allow: { type: 'string', value: 'CIDR', help: 'an address or a network to add' },
    remove: { type: 'string', value: 'CIDR', help: 'one to take away' },
    description: { type: 'string', value: 'TEXT', help: 'what --allow is for' },
  },
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, text, json: asJson, terminal }) {
    const networks = await withAccounts(config(), async ({ accounts }) => {
      const { id } = await chosenAccount(accounts, positionals[0]);
      const [allow, remove] = [text('allow'), text('remove')];
      if (allow !== undefined) await accounts.allowNetwork(id, allow, text('description') ?? '');
      if (remove !== undefined && !(await accounts.disallowNetwork(id, remove))) throw new Failure(`${remove} is not among the networks`);
      return accounts.networksOf(id);
    });
    const rows = networks.map(({ network, description }) => [network, description]);
    terminal.out(
      asJson
        ? json(networks.map(({ network, description }) => ({ network, description })))
        : table(['network', 'description'], rows) || 'it may be used from anywhere\n',
    );
    return 0;
  },
};
