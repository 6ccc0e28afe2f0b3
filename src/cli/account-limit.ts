/** postrider account limit: what one account may send and ask, on all nodes together. */
import type { AccountLimits } from '#store/grant-store.ts';
import { chosenAccount, withAccounts } from './administration.ts';
import { UsageError } from './command.ts';
import type { Command } from './command.ts';
import { json } from './table.ts';

type Name = keyof AccountLimits;

const OPTIONS: readonly (readonly [option: string, name: Name, what: string])[] = [
  ['per-hour', 'recipientsPerHour', 'recipients in an hour of the clock (UTC)'],
  ['per-day', 'recipientsPerDay', 'recipients in a day (UTC)'],
  ['per-month', 'recipientsPerMonth', 'recipients in a month of the calendar (UTC)'],
  ['requests-per-second', 'requestsPerSecond', 'API requests in a second'],
];
const LIMIT_MAX = 10_000_000_000;

export const accountLimit: Command = {
  name: 'account limit',
  parameters: 'ID',
  summary: 'Shows or sets how much an account may send and ask, on all nodes together',
  details:
    'Each is a number, "none" for no limit, or "default" for what the settings say (limits.recipients_per_hour, recipients_per_day, requests_per_second). What is not given stays as it is. A running server follows within two seconds.',
  examples: [
    'postrider account limit shop --per-hour 5000 --per-day 40000',
    'postrider account limit 3 --per-hour none',
    'postrider account limit shop',
  ],
  options: Object.fromEntries(
    OPTIONS.map(([option, , what]) => [option, { type: 'string' as const, value: 'N', help: `${what}; "none" or "default"` }]),
  ),
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, json: asJson, text, terminal }) {
    const given = OPTIONS.flatMap(([option, name]) => {
      const value = text(option);
      return value === undefined ? [] : [[name, limitOf(option, value)] as const];
    });
    const { account, limits } = await withAccounts(config(), async ({ accounts, store }) => {
      const account = await chosenAccount(accounts, positionals[0]);
      const before = await store.grants.limitsOf(account.id);
      if (given.length === 0) return { account, limits: before };
      const limits: AccountLimits = { ...before, ...Object.fromEntries(given) };
      await store.grants.setLimits(account.id, limits);
      return { account, limits };
    });
    terminal.out(
      asJson
        ? json({ id: account.id, name: account.name, limits: limitsJson(limits) })
        : `account ${account.id} (${account.name})\n${OPTIONS.map(([, name, what]) => `  ${limitText(limits, name)} ${what}\n`).join('')}`,
    );
    return 0;
  },
};

/** undefined: as the settings say. 0: none. */
function limitOf(option: string, value: string): number | undefined {
  if (value === 'default') return undefined;
  if (value === 'none') return 0;
  const limit = /^\d{1,11}$/.test(value) ? Number(value) : 0;
  if (limit < 1 || limit > LIMIT_MAX)
    throw new UsageError(`--${option}: given ${value}, expected a number from 1 to ${LIMIT_MAX}, "none" or "default"`);
  return limit;
}

/** As it is set for the account itself. */
export function limitText(limits: AccountLimits, name: Name): string {
  const limit = limits[name];
  return limit === undefined ? 'default' : limit === 0 ? 'none' : String(limit);
}

/** null: as the settings say; "none" is said in words, for 0 would be read as nothing at all. */
export function limitsJson(limits: AccountLimits): Readonly<Record<Name, number | 'none' | null>> {
  return Object.fromEntries(OPTIONS.map(([, name]) => [name, limits[name] === 0 ? 'none' : (limits[name] ?? null)])) as Record<
    Name,
    number | 'none' | null
  >;
}
