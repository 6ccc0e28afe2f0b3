/**
 * /v1/alerts: who is told when a threshold is reached, a DNS record breaks or a domain comes to another pool. Three calls have a second, shorter path, because the SDK for Go asks
 * there; it also reads the ids as UUIDs.
 */
import { json, NO_CONTENT } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { Json } from '#api/conventions/domain-json.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { type Fields, fieldsOf } from '#api/conventions/json-fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  alertBody,
  alertChanged,
  alertOne,
  alertSettings,
  alertTypes,
  emailTestBody,
  signingKeyAnswer,
  webhookTestBody,
} from '#api/shapes/alerts.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { randomUuid } from '#base/random.ts';
import { parsePath } from '#mail/address.ts';
import { badParameter } from '#model/errors.ts';
import type { AlertChannel, AlertSetting } from '#store/alert-store.ts';
import { ALERT_TYPES, ALERT_TYPES_ELSEWHERE } from '#webhooks/alerts.ts';

/** P9: of one account, and addresses in one. */
const SETTINGS_MAX = 100;
const EMAILS_MAX = 20;
const URL_MAX = 2048;

export function alerts(door: Door): Endpoint[] {
  const url = '/v1/alerts';
  const settings = `${url}/settings`;
  const one = `${settings}/events/:id`;
  return [
    ...[`${url}/events`, url].map((path): Endpoint => ({
      method: 'GET',
      url: path,
      summary: 'What alerts there are',
      right: 'read',
      answer: alertTypes,
      handle: () => json({ events: ALERT_TYPES }),
    })),
    {
      method: 'GET',
      url: settings,
      summary: 'Who is told of what',
      right: 'administer',
      answer: alertSettings,
      handle: (call) => list(door, call),
    },
    ...[`${settings}/events`, settings].map((path): Endpoint => ({
      method: 'POST',
      url: path,
      summary: 'Tell a URL, or addresses, of something',
      right: 'administer',
      json: alertBody,
      answer: alertOne,
      handle: (call) => create(door, call),
    })),
    {
      method: 'PUT',
      url: one,
      summary: 'Change who is told of what',
      right: 'administer',
      json: alertBody,
      answer: alertChanged,
      handle: (call) => change(door, call),
    },
    ...[one, `${settings}/:id`].map((path): Endpoint => ({
      method: 'DELETE',
      url: path,
      summary: 'Tell nobody of it',
      right: 'administer',
      handle: (call) => remove(door, call),
    })),
    {
      method: 'PUT',
      url: `${settings}/webhooks/signing_key`,
      summary: 'Make the key anew that alerts are signed with',
      right: 'administer',
      answer: signingKeyAnswer,
      handle: async ({ principal }) => json({ signing_key: await door.deps.alertKeys.renewAlertKey(principal.accountId) }),
    },
    {
      method: 'POST',
      url: `${url}/webhooks/test`,
      summary: 'Tell a URL of something that did not happen',
      right: 'administer',
      json: webhookTestBody,
      answer: messageAnswer,
      handle: (call) => test(door, call, 'webhook'),
    },
    {
      method: 'POST',
      url: `${url}/email/test`,
      summary: 'Tell addresses of something that did not happen',
      right: 'administer',
      json: emailTestBody,
      answer: messageAnswer,
      handle: (call) => test(door, call, 'email'),
    },
  ];
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { accountId } = call.principal;
  const [settings, key] = await Promise.all([door.deps.store.alerts.listAlerts(accountId), door.deps.alertKeys.alertKey(accountId)]);
  return json({ events: settings.map(shown), webhooks: { signing_key: key }, slack: {} });
}

function shown({ id, eventType, channel, targets }: AlertSetting): Json {
  return {
    id,
    event_type: eventType,
    channel,
    settings: channel === 'email' ? { emails: targets } : { url: targets[0] },
    disabled_at: null,
  };
}

async function create(door: Door, call: Call): Promise<Answer> {
  const made = { id: randomUuid(), accountId: call.principal.accountId, createdMs: door.deps.clock.nowMs(), ...settingGiven(door, call) };
  if (!(await door.deps.store.alerts.createAlert(made, SETTINGS_MAX))) throw badParameter(`an account has ${SETTINGS_MAX} alerts at most`);
  return json(shown(made));
}

async function change(door: Door, call: Call): Promise<Answer> {
  const { accountId } = call.principal;
  const id = call.param('id');
  if (!(await door.deps.store.alerts.listAlerts(accountId)).some((setting) => setting.id === id)) throw new NotFound('Alert not found');
  const given = settingGiven(door, call);
  if (!(await door.deps.store.alerts.changeAlert(accountId, id, given))) throw new NotFound('Alert not found');
  return json({ message: 'Alert updated', ...shown({ id, accountId, createdMs: 0, ...given }) });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const id = call.param('id');
  const isGone =
    id.length <= 64 && id.isWellFormed() && (await door.deps.store.alerts.deleteAlert(call.principal.accountId, id.replaceAll('\0', '')));
  if (!isGone) throw new NotFound('Alert not found');
  return NO_CONTENT;
}

async function test(door: Door, call: Call, channel: AlertChannel): Promise<Answer> {
  const fields = fieldsOf(call, door.limits);
  const trouble = await door.deps.testAlert(call.principal.accountId, channel, typeOf(fields), targetsOf(channel, fields));
  if (trouble !== undefined) throw badParameter(`the test was not told: ${trouble}`);
  return json({ message: 'success' });
}

function settingGiven(door: Door, call: Call): Pick<AlertSetting, 'eventType' | 'channel' | 'targets'> {
  const fields = fieldsOf(call, door.limits);
  const eventType = typeOf(fields);
  const channel = fields.text('channel');
  if (channel === 'slack') throw badParameter('Slack is not offered for alerts; use a webhook or an address');
  if (channel !== 'webhook' && channel !== 'email') throw badParameter("'channel' is webhook or email");
  return { eventType, channel, targets: targetsOf(channel, fields.object('settings')) };
}

function typeOf(fields: Fields): string {
  const type = fields.text('event_type');
  if (type === undefined) throw badParameter("'event_type' is required");
  const all = [...ALERT_TYPES, ...ALERT_TYPES_ELSEWHERE];
  if (!all.includes(type)) throw badParameter(`'event_type' is one of ${ALERT_TYPES.join(', ')}`);
  return type;
}

function targetsOf(channel: AlertChannel, fields: Fields): readonly string[] {
  if (channel === 'webhook') {
    const url = fields.text('url') ?? '';
    if (url.length > URL_MAX || !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
      throw badParameter("'url' is not a URL of http or https");
    return [url];
  }
  const emails = [...new Set(fields.texts('emails').map((text) => parsePath(text.trim(), { allowNull: false })?.address ?? ''))];
  if (emails.length === 0 || emails.includes('')) throw badParameter("'emails' is a list of addresses");
  if (emails.length > EMAILS_MAX) throw badParameter(`'emails' has ${EMAILS_MAX} addresses at most`);
  return emails;
}
