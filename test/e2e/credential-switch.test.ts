/** An SMTP login that is switched off over the API or by the command line: nobody logs in with it, also who is connected sends no more, and its password is what it was when it is on again. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation, type Server } from '../kit/installation.ts';
import type { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';

// Nobody is trusted for the address that they come from.
const home = await Installation.make({ after }, { 'smtp.trusted': '[]', 'smtp.auth_without_tls': 'loopback' });
const server = await home.start();
const LOGIN = `app@${DOMAIN}`;
const PASSWORD = 'long and secret';
const PATH = `/v3/domains/${DOMAIN}/credentials`;

async function loggingIn(password = PASSWORD): Promise<readonly [talk: SmtpTalk, reply: string]> {
  const talk = await server.smtp();
  return [talk, await talk.say(`AUTH PLAIN ${Buffer.from(`\0${LOGIN}\0${password}`).toString('base64')}`)];
}

function mailFrom(talk: SmtpTalk): Promise<string> {
  return talk.say(`MAIL FROM:<${LOGIN}>`);
}

async function logins(of: Server): Promise<unknown> {
  return (await of.mustCall('GET', PATH)).body['items'];
}

test('a login that is switched off is refused at once, also on a connection that is open, and works as before when it is on again', async () => {
  await server.mustCall('POST', PATH, { login: 'app', password: PASSWORD });
  const [open, admitted] = await loggingIn();
  assert.match(admitted, /^235 /);
  assert.match(await mailFrom(open), /^250 /);
  assert.match(await open.say('RSET'), /^250 /);

  const off = await server.mustCall('PUT', `${PATH}/app`, { disabled: 'yes' });
  assert.deepEqual(off.body, { message: 'Login disabled' });
  assert.match(await mailFrom(open), /^(535|421) /);
  assert.match((await loggingIn())[1], /^535 /);
  assert.partialDeepStrictEqual(await logins(server), [{ login: LOGIN, disabled: true }]);

  // A new password is no way around it.
  await server.mustCall('PUT', `${PATH}/app`, { password: 'another secret' });
  assert.match((await loggingIn('another secret'))[1], /^535 /);
  await server.mustCall('PUT', `${PATH}/app`, { password: PASSWORD });

  assert.deepEqual((await server.mustCall('PUT', `${PATH}/app`, { disabled: 'no' })).body, { message: 'Login enabled' });
  const [again, reply] = await loggingIn();
  assert.match(reply, /^235 /);
  assert.match(await mailFrom(again), /^250 /);
  assert.doesNotMatch(JSON.stringify(await logins(server)), /disabled/);
});

test('the command line does the same for a server that runs', async () => {
  const [open] = await loggingIn();
  const off = await home.command('credential', 'disable', LOGIN);
  assert.deepEqual([off.status, off.out], [0, `login ${LOGIN} is disabled\n`], off.error);
  await until(async () => !(await mailFrom(open)).startsWith('250') || !(await open.say('RSET')).startsWith('250'), 'it sends no more');
  assert.match((await loggingIn())[1], /^535 /);
  assert.match((await home.command('credential', 'list')).out, new RegExp(`${LOGIN} .*disabled`));
  assert.equal((await home.command('credential', 'enable', LOGIN)).status, 0);
  await until(async () => (await loggingIn())[1].startsWith('235'), 'it is let in again');
  assert.match((await home.command('credential', 'disable', `nobody@${DOMAIN}`)).error, /there is no login nobody@/);
});

test('what is no yes or no, and a login that is not there, change nothing', async () => {
  assert.equal((await server.call('PUT', `${PATH}/app`, { disabled: 'perhaps' })).status, 400);
  assert.equal((await server.call('PUT', `${PATH}/nobody`, { disabled: 'yes' })).status, 404);
  assert.match((await loggingIn())[1], /^235 /);
});
