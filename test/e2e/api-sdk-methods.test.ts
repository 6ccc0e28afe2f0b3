/**
 * Every public method of mailgun.js against this server, in an order in which each finds what it works on. A method that is in no list below fails the
 * test, so that a release of the SDK with more is seen. What is not offered is refused with a sentence; what is not served yet stands in NOT_SERVED,
 * and one that works is to be taken out of it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { type ApiRig, startRig } from './api-kit.ts';

const D = 'example.org';
const LIST = 'all@example.org';
const ANN = 'ann@example.net';

/** What calls leave for later ones. */
type Found = Record<string, string>;
interface Step {
  readonly call: string;
  readonly args: (found: Found) => readonly unknown[];
  readonly keep?: (answer: unknown, found: Found) => void;
}

function step(call: string, ...args: readonly unknown[]): Step {
  return { call, args: () => args };
}

const letter = { from: `a@${D}`, to: [ANN], subject: 'Hello', text: 'Hi', 'o:tag': ['spring', 'autumn'] };
const yesterday = new Date(Date.now() - 86_400_000);
const tomorrow = new Date(Date.now() + 86_400_000);

const STEPS: readonly Step[] = [
  step('messages.create', D, letter),
  step('events.get', D, { limit: 1 }),
  { call: 'messages.retrieveStoredEmail', args: (found) => [D, found['key']] },
  { call: 'messages.resendEmail', args: (found) => [D, found['key'], ANN] },
  step('messages.getMessagesQueueStatus', D),

  step('domains.create', { name: 'made.example' }),
  step('domains.list', { limit: 10 }),
  step('domains.get', D),
  step('domains.update', D, { spam_action: 'tag' }),
  step('domains.verify', D),
  step('domains.getConnection', D),
  step('domains.updateConnection', D, { require_tls: true, skip_verification: false }),
  step('domains.getTracking', D),
  step('domains.updateTracking', D, 'open', { active: 'yes' }),
  step('domains.domainTracking.getTracking', D),
  step('domains.domainTracking.updateTracking', D, 'click', { active: 'htmlonly' }),
  step('domains.domainTracking.updateTracking', D, 'unsubscribe', {
    active: true,
    html_footer: '<a href="%unsubscribe_url%">x</a>',
    text_footer: '%unsubscribe_url%',
  }),
  step('domains.domainTracking.get', 'email.example.org'),
  step('domains.domainTracking.generate', 'email.example.org'),
  step('domains.domainTracking.regenerate', 'email.example.org'),
  step('domains.updateDKIMAuthority', D, { self: 'true' }),
  step('domains.updateDKIMSelector', D, { dkimSelector: 'chosen' }),
  step('domains.updateWebPrefix', D, { webPrefix: 'mail' }),
  step('domains.getIps', D),
  step('domains.domainKeys.create', { signingDomain: D, selector: 'second', bits: '1024' }),
  step('domains.domainKeys.list', D),
  step('domains.domainKeys.listAll', { signingDomain: D, limit: 5 }),
  step('domains.domainKeys.activate', D, 'second'),
  step('domains.domainKeys.deactivate', D, 'second'),
  step('domains.domainKeys.destroy', D, 'second'),
  step('domains.domainKeys.updateDKIMAuthority', D, { self: 'true' }),
  step('domains.domainKeys.updateDKIMSelector', D, { dkimSelector: 'chosen2' }),
  step('domains.domainCredentials.create', D, { login: 'ann', password: '0123456789abcdef' }),
  step('domains.domainCredentials.list', D),
  step('domains.domainCredentials.update', D, 'ann', { password: '0123456789abcdefg' }),
  step('domains.domainCredentials.destroy', D, 'ann'),
  step('domains.domainCredentials.destroyAll', D),
  step('domains.domainTemplates.create', D, { name: 'receipt', description: 'a receipt', template: 'Hi {{name}}', tag: 'v1' }),
  step('domains.domainTemplates.list', D, { limit: 5 }),
  step('domains.domainTemplates.get', D, 'receipt', { active: 'yes' }),
  step('domains.domainTemplates.update', D, 'receipt', { description: 'changed' }),
  step('domains.domainTemplates.createVersion', D, 'receipt', { template: 'Hello {{name}}', tag: 'v2', active: 'yes' }),
  step('domains.domainTemplates.listVersions', D, 'receipt', { limit: 5 }),
  step('domains.domainTemplates.getVersion', D, 'receipt', 'v2'),
  step('domains.domainTemplates.updateVersion', D, 'receipt', 'v2', { comment: 'better' }),
  step('domains.domainTemplates.destroyVersion', D, 'receipt', 'v2'),
  step('domains.domainTemplates.destroy', D, 'receipt'),
  step('domains.domainTemplates.destroyAll', D),
  step('domains.domainTags.list', D, { limit: 5 }),
  step('domains.domainTags.get', D, 'spring'),
  step('domains.domainTags.update', D, 'spring', 'the spring letter'),
  step('domains.domainTags.statistic', D, 'spring', { event: 'accepted' }),
  step('domains.domainTags.countries', D, 'spring'),
  step('domains.domainTags.providers', D, 'spring'),
  step('domains.domainTags.devices', D, 'spring'),
  step('tags.list', { pagination: { limit: 10 } }),
  step('tags.limits'),
  step('tags.update', 'spring', 'a description'),
  step('domains.domainTags.destroy', D, 'spring'),

  step('stats.getDomain', D, { event: ['accepted', 'delivered'], duration: '1d', resolution: 'hour' }),
  step('stats.getAccount', { event: ['accepted'], start: yesterday, end: tomorrow }),
  step('metrics.getAccount', { resolution: 'hour', duration: '1d', metrics: ['accepted_count'], dimensions: ['time'] }),
  step('metrics.getAccountUsage', { resolution: 'day', duration: '1d', metrics: ['processed_count'], dimensions: ['time'] }),
  step('logs.list', {
    start: yesterday,
    end: tomorrow,
    events: ['accepted'],
    filter: { AND: [{ attribute: 'domain', comparator: '=', values: [{ label: D, value: D }] }] },
  }),
  step('bounceClassification.list', {
    start: yesterday,
    end: tomorrow,
    dimensions: ['entity-name'],
    metrics: ['critical_bounce_count'],
    resolution: 'day',
  }),

  ...['bounces', 'unsubscribes', 'complaints', 'whitelists'].flatMap((kind) => [
    step('suppressions.create', D, kind, kind === 'whitelists' ? { address: ANN } : [{ address: ANN }]),
    step('suppressions.list', D, kind, { limit: 5 }),
    step('suppressions.get', D, kind, ANN),
    step('suppressions.destroy', D, kind, ANN),
    step('suppressions.upload', D, kind, { data: Buffer.from('address\nfile@example.net\n'), filename: 'some.csv' }),
    step('suppressions.destroyAll', D, kind),
  ]),

  step('webhooks.create', D, 'delivered', ['https://hooks.example.net/delivered'], false),
  step('webhooks.list', D, {}),
  step('webhooks.get', D, 'delivered'),
  step('webhooks.update', D, 'delivered', ['https://hooks.example.net/changed']),
  step('webhooks.destroy', D, 'delivered'),

  {
    call: 'routes.create',
    args: () => [{ priority: '1', description: 'x', expression: 'match_recipient("a@example.org")', action: ['stop()'] }],
    keep: (answer, found) => (found['route'] = textAt(answer, 'id')),
  },
  step('routes.list', { limit: 5 }),
  { call: 'routes.get', args: (found) => [found['route']] },
  {
    call: 'routes.update',
    args: (found) => [found['route'], { priority: '2', description: 'y', expression: 'catch_all()', action: ['stop()'] }],
  },
  step('routes.matchAddress', 'a@example.org'),
  { call: 'routes.destroy', args: (found) => [found['route']] },

  step('validate.get', ANN),

  step('lists.create', { address: LIST, name: 'All', access_level: 'members' }),
  step('lists.list', { limit: 5 }),
  step('lists.listByAddress', { limit: 5 }),
  step('lists.get', LIST),
  step('lists.update', LIST, { name: 'Everybody' }),
  step('lists.members.createMember', LIST, { address: ANN, name: 'Ann', vars: '{"a":1}', subscribed: true, upsert: 'yes' }),
  step('lists.members.createMembers', LIST, { members: [{ address: 'bob@example.net' }], upsert: 'yes' }),
  step('lists.members.listMembers', LIST, { limit: 5 }),
  step('lists.members.listMembersByAddress', LIST, { limit: 5 }),
  step('lists.members.getMember', LIST, ANN),
  step('lists.members.updateMember', LIST, ANN, { name: 'Ann B.' }),
  step('lists.members.upload', LIST, { data: Buffer.from('address\nfile@example.net\n'), filename: 'some.csv' }),
  step('lists.members.destroyMember', LIST, ANN),
  step('lists.destroy', LIST),

  step('ips.list', {}),
  step('ips.get', '192.0.2.1'),
  {
    call: 'ip_pools.create',
    args: () => [{ name: 'letters', description: 'x', ips: ['192.0.2.1'] }],
    keep: (answer, found) => (found['pool'] = textAt(answer, 'pool_id')),
  },
  step('ip_pools.list'),
  { call: 'ip_pools.get', args: (found) => [found['pool']] },
  { call: 'ip_pools.update', args: (found) => [found['pool'], { name: 'changed', description: 'y' }] },
  { call: 'ip_pools.addIp', args: (found) => [found['pool'], '192.0.2.2'] },
  { call: 'ip_pools.removeIp', args: (found) => [found['pool'], '192.0.2.2'] },
  { call: 'ip_pools.addIps', args: (found) => [found['pool'], ['192.0.2.2']] },
  { call: 'domains.linkIpPool', args: (found) => [D, found['pool']] },
  { call: 'ip_pools.linkedDomains', args: (found) => [found['pool'], {}] },
  { call: 'ip_pools.unlinkDomainPool', args: (found) => [D, found['pool']] },
  { call: 'domains.linkIpPool', args: (found) => [D, found['pool']] },
  step('domains.unlinkIpPoll', D, { ip: '192.0.2.1' }),
  step('domains.assignIp', D, '192.0.2.2'),
  step('domains.deleteIp', D, '192.0.2.2'),

  { call: 'subaccounts.create', args: () => ['branch'], keep: (answer, found) => (found['branch'] = textAt(answer, 'subaccount', 'id')) },
  step('subaccounts.list', { limit: 5 }),
  ...(['get', 'disable', 'enable'] as const).map((name): Step => ({
    call: `subaccounts.${name}`,
    args: (found) => [found['branch']],
  })),
  { call: 'subaccounts.setMonthlySendingLimit', args: (found) => [found['branch'], 1000] },
  { call: 'subaccounts.getMonthlySendingLimit', args: (found) => [found['branch']] },
  { call: 'subaccounts.updateSubaccountFeature', args: (found) => [found['branch'], { sending: true }] },
  { call: 'ip_pools.delegate', args: (found) => [found['pool'], found['branch']] },
  { call: 'ip_pools.revokeDelegation', args: (found) => [found['pool'], found['branch']] },
  { call: 'ip_pools.destroy', args: (found) => [found['pool'], {}] },
  { call: 'subaccounts.destroy', args: (found) => [found['branch']] },

  step('ip_pools.removeIpFromDomainPool', D, '192.0.2.1'),
  step('ip_pools.removeDomainPool', D),
  step('validate.multipleValidation.create', 'x', { file: { data: Buffer.from('email\nx@example.net\n'), filename: 'some.csv' } }),
  step('validate.multipleValidation.list'),
  step('validate.multipleValidation.get', 'x'),
  step('validate.multipleValidation.destroy', 'x'),
  step('accountManagement.updateAccountFeature', { ai_insights: { enabled: true } }),
  step('apiKeys.regeneratePublicKey'),
  step('dkimManagement.update', D, { rotation_enabled: true, rotation_interval: '30d' }),
  step('dkimManagement.rotateImmediately', D),
  step('customMessageLimit.set', 1000),
  step('customMessageLimit.get'),
  step('customMessageLimit.enable'),
  step('customMessageLimit.destroy'),
  step('accountManagement.updateAccountSettings', { name: 'Main' }),
  step('accountManagement.createWebhookSigningKey'),
  step('accountManagement.getWebhookSigningKey'),
  step('accountManagement.addSandboxAuthorizedRecipient', ANN),
  step('accountManagement.getSandboxAuthorizedRecipients'),
  step('accountManagement.removeSandboxAuthorizedRecipient', ANN),
  {
    call: 'apiKeys.create',
    args: () => [{ role: 'basic', description: 'x' }],
    keep: (answer, found) => (found['apiKey'] = textAt(answer, 'key', 'id')),
  },
  step('apiKeys.list', {}),
  { call: 'apiKeys.destroy', args: (found) => [found['apiKey']] },
  step('tags.destroy', 'autumn'),
  step('domains.destroy', 'made.example'),
];

/** Refused with a sentence that says what to use instead. */
const NOT_OFFERED: readonly Step[] = [
  step('accountManagement.resendActivationEmail'),
  step('lists.validate', LIST),
  step('lists.validationResult', LIST),
  step('lists.cancelValidation', LIST),
  step('inboxPlacements.runTest', { from: 'a@x.example', subject: 'x', html: 'x' }),
  step('inboxPlacements.seedsLists.list', {}),
  step('inboxPlacements.seedsLists.get', 'x'),
  step('inboxPlacements.seedsLists.create', { name: 'x' }),
  step('inboxPlacements.seedsLists.update', 'x', { name: 'y' }),
  step('inboxPlacements.seedsLists.destroy', 'x'),
  step('inboxPlacements.seedsLists.attributes.list'),
  step('inboxPlacements.seedsLists.attributes.get', 'x'),
  step('inboxPlacements.seedsLists.filters.list'),
  step('inboxPlacements.results.list', {}),
  step('inboxPlacements.results.get', 'x'),
  step('inboxPlacements.results.destroy', 'x'),
  step('inboxPlacements.results.getResultByShareId', 'x'),
  step('inboxPlacements.results.attributes.list'),
  step('inboxPlacements.results.attributes.get', 'x'),
  step('inboxPlacements.results.filters.list'),
  step('inboxPlacements.results.sharing.get', 'x'),
  step('inboxPlacements.results.sharing.update', 'x', { enabled: true }),
  step('inboxPlacements.providers.list'),
];

/** Not called, with the reason. */
const NOT_CALLED: Readonly<Record<string, string>> = {
  'messages.clearMessagesQueue': 'it names a host of the hosted service itself and refuses every other',
};

const NOT_SERVED: readonly string[] = [
  'domains.domainTracking.get',
  'domains.domainTracking.generate',
  'domains.domainTracking.regenerate',
];

test('every public method of mailgun.js', async (t) => {
  await using rig = await startRig(
    {},
    {
      egress: [
        { name: 'a', address: '192.0.2.1', ehlo: 'a.example.org', pool: 'default' },
        { name: 'b', address: '192.0.2.2', ehlo: 'b.example.org', pool: 'default' },
      ],
    },
  );
  const client = new Mailgun(FormData).client({
    username: 'api',
    key: rig.tenant.key,
    url: rig.url,
    logger: { warn: () => undefined },
  } as never);
  const found: Found = {};
  await rig.store.accounts.setDomainState(rig.tenant.domain.id, 'active');
  for (const each of STEPS) {
    await t.test(each.call, async () => {
      if (each.call === 'messages.retrieveStoredEmail') found['key'] = await storedKey(rig);
      if (NOT_SERVED.includes(each.call)) {
        await assert.rejects(() => invoke(client, each, found), `${each.call} works and is to be taken out of NOT_SERVED`);
        return;
      }
      const answer = await invoke(client, each, found);
      each.keep?.(answer, found);
    });
  }
  for (const each of NOT_OFFERED) {
    await t.test(`${each.call} is refused`, async () => {
      await assert.rejects(
        () => invoke(client, each, found),
        (error: { status?: number; details?: string }) =>
          (error.status === 404 || error.status === 403) && (error.details ?? '').length > 'Not found'.length,
      );
    });
  }
  await t.test('there is no other method', () => {
    const known = new Set([...STEPS, ...NOT_OFFERED].map(({ call }) => call));
    assert.deepEqual(
      [...methodsOf(client)].filter((name) => !known.has(name) && NOT_CALLED[name] === undefined && !known.has(name)),
      [],
    );
  });
});

async function invoke(client: unknown, { call, args }: Step, found: Found): Promise<unknown> {
  const names = call.split('.');
  const method = names.pop() as string;
  const owner = names.reduce<unknown>((inner, name) => (inner as Record<string, unknown>)[name], client);
  const given = args(found);
  assert.ok(!given.includes(undefined), 'a call before it left nothing to work on');
  return await (owner as Record<string, (...given: readonly unknown[]) => Promise<unknown>>)[method]?.(...given);
}

function textAt(value: unknown, ...path: readonly string[]): string {
  const text = path.reduce<unknown>((inner, name) => (inner as Record<string, unknown> | undefined)?.[name], value);
  assert.ok(typeof text === 'string' && text !== '', `no ${path.join('.')} in ${JSON.stringify(value)}`);
  return text;
}

async function storedKey(rig: ApiRig): Promise<string> {
  const response = await rig.fetch(`/v3/${D}/events?limit=1&event=accepted`);
  return textAt(((await response.json()) as { items: readonly unknown[] }).items[0], 'storage', 'key');
}

/** What the SDK does inside, which its type declarations do not show. */
const INTERNAL =
  /^(?:_|parse|prepare|handle|convert|validateQuery$|isValidIp$|getModel$|checkAndUpdateData$|requestListWithPages$|updateUrlAndQuery$|createWhiteList$|createUnsubscribe$)/;
/** Objects that are no part of the API. */
const OBJECTS = /^(?:request|headers|logger|models|attachmentsHandler|allowedKeysAF)$/;

function* methodsOf(owner: object, prefix = '', seen = new Set<object>()): Generator<string> {
  if (seen.has(owner)) return;
  seen.add(owner);
  const names = new Set<string>();
  for (let type = Object.getPrototypeOf(owner) as object; type !== Object.prototype; type = Object.getPrototypeOf(type) as object)
    for (const name of Object.getOwnPropertyNames(type)) names.add(name);
  for (const name of names) if (prefix !== '' && name !== 'constructor' && !INTERNAL.test(name)) yield prefix + name;
  for (const [name, inner] of Object.entries(owner))
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner) && !OBJECTS.test(name))
      yield* methodsOf(inner as object, `${prefix}${name}.`, seen);
}
