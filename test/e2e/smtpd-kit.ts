/**
 * The SMTP door on a real store for its tests: two accounts with a domain and a login each, and the real way in; nothing is delivered.
 * The store is opened once for a file of tests (keys and passwords take their time), a door for each test.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createAccounts } from '#accounts/accounts.ts';
import type { Accounts } from '#accounts/accounts.ts';
import { secretBox } from '#accounts/instance-secret.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Principal } from '#model/principal.ts';
import type { Submission, Submit } from '#model/submission.ts';
import { startSmtpd } from '#smtpd/smtpd.ts';
import type { Smtpd } from '#smtpd/open-listeners.ts';
import type { SmtpdDeps, SmtpdOptions } from '#smtpd/smtpd.ts';
import type { Domain } from '#store/store.ts';
import type { OpenedStore } from '#store/open.ts';
import { mayUseReversePath } from '#submission/senders.ts';
import { createSubmit } from '#submission/submit.ts';
import { htmlToText } from '#templates/html-text.ts';
import { createRenderer } from '#templates/render.ts';
import { TEST_CONTEXT } from '../kit/smtp-receiver.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { openTestStore } from '../kit/stores.ts';

export const PASSWORD = 'correct horse';
export const LOGIN = 'app@ours.test';
const DAY_MS = 86_400_000;

export interface World {
  readonly store: OpenedStore;
  readonly accounts: Accounts;
  /** "ours.test", with the login app@ours.test. */
  readonly domain: Domain;
  /** "theirs.test", of another account, with the login app@theirs.test. */
  readonly foreign: Domain;
  close(): Promise<void>;
}

export interface Door {
  readonly smtpd: Smtpd;
  /** What `submit` accepted, in order. */
  readonly accepted: { readonly principal: Principal; readonly submission: Submission }[];
  /** Of the first listener of that kind. */
  port(kind?: 'submission' | 'submissions'): number;
  /** Past EHLO, without TLS. */
  greeted(localAddress?: string): Promise<SmtpTalk>;
  /** Past AUTH. */
  loggedIn(login?: string): Promise<SmtpTalk>;
}

export async function openWorld(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-smtpd-'));
  const store = await openTestStore(directory, { mode: 'server' });
  const accounts = createAccounts({
    store: store.accounts,
    access: store.access,
    domains: store.domains,
    secret: secretBox(Buffer.alloc(32, 7)),
    dkim: { bits: 1024, ed25519: false },
    retentionMs: DAY_MS,
    sending: { hostname: 'mail.ours.test', addresses: [] },
  });
  return {
    store,
    accounts,
    domain: await makeTenant(accounts, 'ours', 'ours.test'),
    foreign: await makeTenant(accounts, 'theirs', 'theirs.test'),
    async close() {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
}

export async function openDoor(
  t: TestContext,
  world: World,
  options: Partial<SmtpdOptions> = {},
  deps: Partial<SmtpdDeps> = {},
): Promise<Door> {
  const { accounts } = world;
  const accepted: Door['accepted'] = [];
  const submit = submitInto(world.store, accounts);
  const smtpd = await startSmtpd({
    accounts,
    submit: async (principal, submission) => {
      const result = await submit(principal, submission);
      accepted.push({ principal, submission });
      return result;
    },
    mayUseSender: (principal, address) =>
      mayUseReversePath({ domainFor: accounts.domainFor, domainById: accounts.domainById, requireVerification: false }, principal, address),
    secureContext: () => TEST_CONTEXT,
    clock: systemClock,
    log: silentLog,
    ...deps,
    options: {
      hostname: 'mail.ours.test',
      submission: [{ host: '127.0.0.1', port: 0 }],
      submissions: [{ host: '127.0.0.1', port: 0 }],
      trusted: [],
      proxyFrom: [],
      authWithoutTls: 'loopback',
      bareNewlines: 'refuse',
      limits: {},
      memoryBytes: 100_000_000,
      tagsMax: 3,
      horizonMs: 3 * DAY_MS,
      ...options,
    },
  });
  t.after(() => smtpd.close());
  const port = (kind = 'submission'): number => smtpd.listeners.find((listener) => listener.kind === kind)?.port ?? 0;
  const greeted = async (localAddress?: string): Promise<SmtpTalk> => {
    const talk = await SmtpTalk.open(port(), { localAddress });
    await talk.say('EHLO client.test');
    return talk;
  };
  return {
    smtpd,
    accepted,
    port,
    greeted,
    async loggedIn(login = LOGIN) {
      const talk = await greeted();
      await talk.say(plainAuth(login, PASSWORD));
      return talk;
    },
  };
}

export function plainAuth(login: string, password: string): string {
  return `AUTH PLAIN ${Buffer.from(`\0${login}\0${password}`).toString('base64')}`;
}

async function makeTenant(accounts: Accounts, name: string, domainName: string): Promise<Domain> {
  const account = await accounts.createAccount(name);
  const domain = await accounts.addDomain(account.id, `${domainName}`);
  if (domain === undefined) throw new Error(`${domainName} is taken`);
  await accounts.putCredential(domain, 'app', PASSWORD);
  return domain;
}

function submitInto(store: OpenedStore, accounts: Accounts): Submit {
  return createSubmit({
    domainFor: accounts.domainFor,
    accept: async (message) => {
      const result = await store.mail.accept({
        ...message,
        recipients: message.recipients.map((recipient) => ({ ...recipient, isLeased: false })),
      });
      if (result.kind === 'ungranted') throw new Error('no grant was asked for');
      return result;
    },
    clock: systemClock,
    hostname: 'mail.ours.test',
    limits: {
      messageBytesMax: 25 * 1024 * 1024,
      headerBytesMax: 512 * 1024,
      recipientsMax: 1000,
      batchCopiesMax: 10_000,
      receivedMax: 50,
      apiLifetimeMs: DAY_MS / 3,
      smtpLifetimeMs: 5 * DAY_MS,
      idempotencyMs: DAY_MS,
    },
    requireVerification: false,
    templates: store.templates,
    render: createRenderer(),
    htmlToText,
    timeZone: 'UTC',
    maySendFrom: () => false,
    mayUsePool: (_accountId, pool) => pool === 'default',
  });
}
