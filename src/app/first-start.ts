/**
 * The first start: a store without any account gets one, with an API key; and where mail is captured (sandbox.capture) a sandbox domain with an SMTP
 * login, so that something can be sent at once. What is secret is shown in the answer of that one start; in development mode it is also kept in
 * DATA/dev-credentials.json (mode 0600), so that each start can show it again.
 *
 * Of nodes that start at once on a new store one does this, and the others wait until it has.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Accounts } from '#accounts/accounts.ts';
import type { Log } from '#base/log.ts';
import { randomHex } from '#base/random.ts';
import type { Account, AccountStore } from '#store/store.ts';
import { storePlace } from '#store/store-url.ts';
import type { Config } from './config.ts';

export const SANDBOX_DOMAIN = 'sandbox.postrider.test';
const ACCOUNT_NAME = 'main';
const LOGIN = 'app';
/** Facts of the store: who makes the first account, and that it was made. */
const TURN = 'first-start';
const DONE = 'first-start-done';
/** A node that began and has not ended within this time has died. */
const TURN_MS = 10_000;
const LOOK_EVERY_MS = 100;

type Facts = Pick<AccountStore, 'setting' | 'settingOnce'>;

/** What a new user needs to send the first message. */
export interface FirstCredentials {
  readonly accountId: number;
  readonly apiKey: string;
  /** The sandbox, where there is one. */
  readonly domain?: string;
  readonly smtpLogin?: string;
  readonly smtpPassword?: string;
}

/** The credentials, when they were made now or are kept for development; else undefined. */
export async function firstStart(config: Config, accounts: Accounts, facts: Facts, log: Log): Promise<FirstCredentials | undefined> {
  // An embedded store has one server at a time.
  if (storePlace(config.store.url).kind !== 'postgres') return credentials(config, accounts, log);
  const isFirst = await takeTurn(accounts, facts);
  const made = await credentials(config, accounts, log);
  if (isFirst) await facts.settingOnce(DONE, 'yes');
  return made;
}

async function credentials(config: Config, accounts: Accounts, log: Log): Promise<FirstCredentials | undefined> {
  const kept = config.isDev ? readKept(config) : undefined;
  const [first] = await accounts.listAccounts();
  if (first !== undefined) await noteIgnoredKey(config, accounts, log);
  if (first !== undefined && !config.isDev) return undefined;
  if (first !== undefined && kept !== undefined && (await stillWork(config, kept, accounts))) return kept;
  const made = await make(config, accounts, first ?? (await accounts.createAccount(ACCOUNT_NAME)), kept?.smtpLogin);
  if (config.isDev) writeFileSync(keptPath(config), `${JSON.stringify(made, undefined, 2)}\n`, { mode: 0o600 });
  return made;
}

/** Whether the first account is this process's to make; if another's, resolves when it is made. */
async function takeTurn(accounts: Accounts, facts: Facts): Promise<boolean> {
  const mark = randomHex(8);
  const hasAccounts = (await accounts.listAccounts()).length > 0;
  const turn = hasAccounts ? await facts.setting(TURN) : await facts.settingOnce(TURN, mark);
  if (turn === mark) return true;
  // A store that was made by hand, with "account add", knows of no turns.
  if (turn === undefined) return false;
  for (const deadlineMs = performance.now() + TURN_MS; performance.now() < deadlineMs; await pause(LOOK_EVERY_MS))
    if ((await facts.setting(DONE)) !== undefined) return false;
  return true;
}

/** `login`: the one that this data directory had. */
async function make(config: Config, accounts: Accounts, account: Account, login: string | undefined): Promise<FirstCredentials> {
  const wanted = config.firstApiKey;
  const isThere = wanted !== undefined && (await accounts.authenticateKey(wanted)) !== undefined;
  const apiKey =
    wanted !== undefined && isThere
      ? wanted
      : (
          await accounts.createKey({
            accountId: account.id,
            description: 'made at the first start',
            ...(wanted === undefined ? {} : { secret: wanted }),
          })
        ).secret;
  if (!config.sandbox.capture) return { accountId: account.id, apiKey };
  const domain = (await accounts.addDomain(account.id, SANDBOX_DOMAIN, 'sandbox')) ?? (await accounts.domainFor(SANDBOX_DOMAIN));
  if (domain === undefined) throw new Error(`the sandbox domain ${SANDBOX_DOMAIN} is taken and cannot be found`);
  const first = `${LOGIN}@${domain.name}`;
  const isTaken = login !== first && (await accounts.listCredentials(domain.id)).some((credential) => credential.login === first);
  // Another node's developer has that one: giving it a new password would take it away.
  const name = isTaken ? `${LOGIN}-${randomHex(3)}` : LOGIN;
  const smtpPassword = await accounts.putCredential(domain, name, undefined);
  return { accountId: account.id, apiKey, domain: domain.name, smtpLogin: `${name}@${domain.name}`, smtpPassword };
}

/** A key was revoked or the store replaced since: then new ones are made. */
async function stillWork(config: Config, kept: FirstCredentials, accounts: Accounts): Promise<boolean> {
  if ((await accounts.authenticateKey(kept.apiKey)) === undefined) return false;
  if (!config.sandbox.capture) return true;
  if (kept.domain === undefined || kept.smtpLogin === undefined) return false;
  const domain = await accounts.domainFor(kept.domain);
  if (domain === undefined) return false;
  return (await accounts.listCredentials(domain.id)).some((credential) => credential.login === kept.smtpLogin);
}

async function noteIgnoredKey(config: Config, accounts: Accounts, log: Log): Promise<void> {
  if (config.firstApiKey === undefined || (await accounts.authenticateKey(config.firstApiKey)) !== undefined) return;
  log.warn({}, 'POSTRIDER_API_KEY is not a key of this installation and was ignored: it is used at the first start only');
}

function keptPath(config: Config): string {
  return join(config.data, 'dev-credentials.json');
}

function readKept(config: Config): FirstCredentials | undefined {
  try {
    const kept = JSON.parse(readFileSync(keptPath(config), 'utf8')) as Partial<FirstCredentials>;
    return typeof kept.apiKey === 'string' && typeof kept.accountId === 'number' ? (kept as FirstCredentials) : undefined;
  } catch {
    // Not there, or damaged by hand: new credentials are made.
    return undefined;
  }
}

/** Where the listeners are, as clients reach them. */
export interface Doors {
  readonly http: string;
  readonly smtp?: { readonly host: string; readonly port: number };
}

/** A call that sends, ready to paste. */
function curlCommand({ apiKey, domain }: { readonly apiKey: string; readonly domain: string }, url: string): string {
  return [
    `curl -s --user 'api:${apiKey}' ${url}/v3/${domain}/messages \\`,
    `  -F from='Shop <shop@${domain}>' -F to=alice@example.com \\`,
    "  -F subject='Your receipt' -F text='Thank you.'",
  ].join('\n');
}

/** Ready to paste: a call that sends, and the settings of an SMTP client. */
export function welcome(credentials: FirstCredentials, doors: Doors): string {
  const { apiKey, domain, smtpLogin, smtpPassword } = credentials;
  if (domain === undefined) {
    return [
      'First start: an account was made. This is its API key, shown only this once:',
      '',
      `  ${apiKey}`,
      '',
      'Next: postrider domain add YOUR.DOMAIN, publish the DNS records that it prints, and postrider domain verify YOUR.DOMAIN.',
      '',
    ].join('\n');
  }
  const lines = [
    'Send a message by the API:',
    '',
    ...curlCommand({ apiKey, domain }, doors.http)
      .split('\n')
      .map((line) => `  ${line}`),
    '',
  ];
  if (doors.smtp !== undefined && smtpLogin !== undefined) {
    lines.push(
      'or by SMTP:',
      '',
      `  host ${doors.smtp.host}, port ${doors.smtp.port}, STARTTLS (self-signed certificate)`,
      `  login ${smtpLogin}`,
      `  password ${smtpPassword ?? ''}`,
      '',
    );
  }
  lines.push(`See what arrived: ${doors.http}/  (mail is captured, nothing leaves this machine)`, '');
  return lines.join('\n');
}

/** In development, on loopback, the page at / needs no key. */
export function openPage(config: Config, credentials: FirstCredentials | undefined, smtp: { address: string; port: number } | undefined) {
  const [http] = config.http.listen;
  if (!config.isDev || credentials === undefined || http === undefined) return undefined;
  if (!config.http.listen.every(({ host }) => host === '127.0.0.1' || host === '::1' || host === 'localhost')) return undefined;
  const { smtpLogin, smtpPassword, domain } = credentials;
  if (domain === undefined) return undefined;
  const isKnown = smtp !== undefined && smtpLogin !== undefined && smtpPassword !== undefined;
  return {
    accountId: credentials.accountId,
    curl: curlCommand(
      { ...credentials, domain },
      config.http.publicUrl ?? `http://${http.host === '::1' ? '[::1]' : http.host}:${http.port}`,
    ),
    smtp: isKnown ? { host: smtp.address, port: smtp.port, login: smtpLogin, password: smtpPassword } : undefined,
  };
}
