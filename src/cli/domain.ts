/** postrider domain add|list|records|verify|rotate-dkim */
import type { DnsRecord, RecordCheck } from '#accounts/dns-records.ts';
import { dkimName } from '#mail/dkim.ts';
import { AppError } from '#model/errors.ts';
import type { Domain } from '#store/store.ts';
import { chosenAccount, knownDomain, withAccounts } from './administration.ts';
import type { Command } from './command.ts';
import { withTxtLookUp } from './look-up-txt.ts';
import { json, plain, stamp, table } from './table.ts';

export const domainAdd: Command = {
  name: 'domain add',
  parameters: 'NAME',
  summary: 'Adds a sender domain with its DKIM keys, and prints the DNS records to publish',
  examples: ['postrider domain add mail.example.org', 'postrider domain add mail.example.org --account shop'],
  options: { account: { type: 'string', value: 'ID', help: 'account, by id or name; needed when there are several' } },
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, text, json: asJson, terminal }) {
    const [name = ''] = positionals;
    const { domain, records } = await withAccounts(config(), async ({ accounts }) => {
      const account = await chosenAccount(accounts, text('account'));
      const domain = await accounts.addDomain(account.id, name);
      if (domain === undefined) throw new AppError('already-exists', { what: `Domain ${name}` });
      return { domain, records: await accounts.dnsRecords(domain) };
    });
    if (asJson) terminal.out(json({ ...facts(domain), records: records.map(recordFacts) }));
    else
      terminal.out(
        `domain ${domain.name} is added to account ${domain.accountId}\n\n${recordsText(records)}\nThen: postrider domain verify ${domain.name}  (the records as lines of a zone file: postrider domain records ${domain.name} --zone)\n`,
      );
    return 0;
  },
};

export const domainList: Command = {
  name: 'domain list',
  parameters: '',
  summary: 'Lists the sender domains, of one account or of all',
  examples: ['postrider domain list', 'postrider domain list --account shop --json'],
  options: { account: { type: 'string', value: 'ID', help: 'only those of this account' } },
  takes: [0, 0],
  printsData: true,
  async run({ config, text, json: asJson, terminal }) {
    const domains = await withAccounts(config(), async ({ accounts }) => {
      const given = text('account');
      return accounts.listDomains(given === undefined ? undefined : (await chosenAccount(accounts, given)).id);
    });
    const rows = domains.map((d) => [d.name, d.accountId, d.type, d.state, stamp(d.createdMs)]);
    terminal.out(asJson ? json(domains.map(facts)) : table(['name', 'account', 'type', 'state', 'created (UTC)'], rows) || 'no domain\n');
    return 0;
  },
};

export const domainRecords: Command = {
  name: 'domain records',
  parameters: 'NAME',
  summary: 'Prints the DNS records that a domain must publish',
  examples: ['postrider domain records mail.example.org', 'postrider domain records mail.example.org --zone >> db.example.org'],
  options: { zone: { type: 'boolean', help: 'lines for a zone file, and nothing else' } },
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, flag, json: asJson, terminal }) {
    const { domain, records } = await withAccounts(config(), async ({ accounts }) => {
      const domain = await knownDomain(accounts, positionals[0] ?? '');
      return { domain, records: await accounts.dnsRecords(domain) };
    });
    if (asJson) terminal.out(json({ ...facts(domain), records: records.map(recordFacts) }));
    else terminal.out(flag('zone') ? records.map((record) => `${record.zoneLine}\n`).join('') : recordsText(records));
    return 0;
  },
};

export const domainVerify: Command = {
  name: 'domain verify',
  parameters: 'NAME',
  summary: 'Looks the records of a domain up in DNS; a domain whose DKIM key is there may send',
  details:
    'Also ends a DKIM rotation: new keys that are seen in DNS sign from then on. Exit status 1 while a required record is not right.',
  examples: ['postrider domain verify mail.example.org'],
  options: {},
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, json: asJson, terminal }) {
    const settings = config();
    const { domain, checks, isRotated } = await withAccounts(settings, async ({ accounts }) => {
      const domain = await knownDomain(accounts, positionals[0] ?? '');
      return withTxtLookUp(settings, (lookUp) => accounts.verifyDomain(domain, lookUp));
    });
    const isRight = checks.every((check) => check.state === 'ok' || !check.record.isRequired);
    if (asJson) {
      terminal.out(
        json({
          ...facts(domain),
          isRotated,
          records: checks.map((check) => ({
            ...recordFacts(check.record),
            found: check.found,
            check: check.state,
            trouble: check.trouble ?? null,
          })),
        }),
      );
    } else {
      terminal.out(`${table(['record', 'name', 'result'], checks.map(checkRow))}\n`);
      if (isRotated) terminal.out('The new DKIM keys sign from now on. Keep the records of the former ones for a week.\n');
      terminal.out(`domain ${domain.name} is ${domain.state}\n`);
      if (!isRight) terminal.out(`\n${recordsText(checks.filter((c) => c.state !== 'ok' && c.record.isRequired).map((c) => c.record))}`);
    }
    return isRight ? 0 : 1;
  },
};

export const domainRotate: Command = {
  name: 'domain rotate-dkim',
  parameters: 'NAME',
  summary: 'Makes new DKIM keys for a domain and prints the records to add; the present keys sign until those are seen in DNS',
  details:
    'Publish the new records beside the old ones, then run "postrider domain verify NAME": from then on the new keys sign. Asked again before that, the same new keys are printed.',
  examples: ['postrider domain rotate-dkim mail.example.org'],
  options: {},
  takes: [1, 1],
  printsData: true,
  async run({ config, positionals, json: asJson, terminal }) {
    const { domain, records } = await withAccounts(config(), async ({ accounts }) => {
      const domain = await knownDomain(accounts, positionals[0] ?? '');
      const coming = new Set((await accounts.rotateDkim(domain)).map((key) => dkimName(key.selector, domain.name)));
      return { domain, records: (await accounts.dnsRecords(domain)).filter((record) => coming.has(record.name)) };
    });
    if (asJson) terminal.out(json({ ...facts(domain), records: records.map(recordFacts) }));
    else terminal.out(`${recordsText(records)}\nThen: postrider domain verify ${domain.name}\n`);
    return 0;
  },
};

function facts(domain: Domain): object {
  return {
    id: domain.id,
    name: domain.name,
    accountId: domain.accountId,
    type: domain.type,
    state: domain.state,
    createdAt: new Date(domain.createdMs).toISOString(),
  };
}

function recordFacts(record: DnsRecord): object {
  const { purpose, type, name, value, strings, zoneLine, isRequired } = record;
  return { purpose, type, name, value, strings, zoneLine, isRequired };
}

function recordsText(records: readonly DnsRecord[]): string {
  return records
    .map(
      (record) =>
        `${record.purpose.toUpperCase()} (${record.isRequired ? 'required' : 'recommended'})  ${record.advice}\n  ${record.type}  ${record.name}\n  ${record.value}\n`,
    )
    .join('\n');
}

function checkRow({ record, state, found, trouble }: RecordCheck): string[] {
  const result = state === 'ok' ? 'ok' : `${record.isRequired ? 'NOT OK' : 'advice'}: ${trouble ?? state}`;
  const shown = state === 'different' && found[0] !== undefined ? ` (found ${plain(found[0]).slice(0, 80)})` : '';
  return [record.purpose, record.name, result + shown];
}
