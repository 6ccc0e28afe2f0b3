/** Spam filters at the door, spoken to as rspamd and spamd want it, by servers that follow a script; and mail that goes round in circles. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { silentLog } from '#base/log.ts';
import { createSpamFilters } from '#inbound/spam.ts';
import type { SpamOptions } from '#inbound/spam.ts';
import { bring, MESSAGE, openInboundDoor } from './inbound-kit.ts';
import type { InboundDoorRig } from './inbound-kit.ts';

interface Asked {
  readonly path: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

async function startRspamd(t: TestContext, answer: (asked: Asked) => { readonly status?: number; readonly text: string } | 'silence') {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const question = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() };
      asked.push(question);
      const said = answer(question);
      if (said === 'silence') return;
      response.writeHead(said.status ?? 200, { 'content-type': 'application/json' }).end(said.text);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function startSpamd(t: TestContext, answer: (question: string) => string) {
  const asked: string[] = [];
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('end', () => {
      asked.push(text);
      socket.end(answer(text));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { asked, at: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } };
}

const verdict = (action: string, score: number, symbols: readonly string[] = []): { readonly text: string } => ({
  text: JSON.stringify({
    action,
    score,
    required_score: 15,
    symbols: Object.fromEntries(symbols.map((name) => [name, { name, score: 1 }])),
  }),
});

/** What a filter is given that answers; one that does not has another. */
const PATIENT_MS = 60_000;

function doorWith(t: TestContext, spam: Partial<SpamOptions>, action: 'disabled' | 'block' | 'tag'): Promise<InboundDoorRig> {
  const filters = createSpamFilters({ timeoutMs: PATIENT_MS, onFailure: 'accept', ...spam }, silentLog);
  return openInboundDoor(t, { receive: { spam: filters, spamActionOf: async () => action } });
}

test('rspamd is told the envelope and the whole message; tagging writes what it says', async (t) => {
  const rspamd = await startRspamd(t, () => verdict('add header', 7.25, ['R_SPF_FAIL', 'BAYES_SPAM', 'bad\r\nname']));
  const { greeted, taken } = await doorWith(t, { rspamd: rspamd.url }, 'tag');
  const forged = `X-Mailgun-Sflag: No\r\nX-Mailgun-Sscore: -50\r\n`;
  assert.match(await bring(await greeted(), forged + MESSAGE, { to: ['bob@ours.test', 'amy@ours.test'] }), /^250 /);
  const [asked] = rspamd.asked;
  assert.equal(asked?.path, '/checkv2');
  assert.deepEqual(
    [asked?.headers['ip'], asked?.headers['helo'], asked?.headers['from'], asked?.headers['rcpt'], asked?.headers['mta-tag']],
    ['127.0.0.1', 'client.test', 'ann@sender.test', 'bob@ours.test, amy@ours.test', 'mx.ours.test'],
  );
  assert.ok(asked?.body.startsWith('Received: from client.test ([127.0.0.1])') && asked.body.endsWith(forged + MESSAGE));
  const text = taken[0]?.bytes.toString() ?? '';
  assert.match(text, /^X-Mailgun-Sflag: Yes\r\nX-Mailgun-Sscore: 7\.25\r\nX-Mailgun-Spam-Rules: R_SPF_FAIL, BAYES_SPAM\r\n/m);
  assert.doesNotMatch(text, /Sflag: No|-50/);
  assert.deepEqual(taken[0]?.spam, { isSpam: true, score: 7.25, rules: ['R_SPF_FAIL', 'BAYES_SPAM'] });
});

test('blocking refuses spam, puts off what rspamd wants to see again, and lets the rest in', async (t) => {
  let action = 'reject';
  const rspamd = await startRspamd(t, () => verdict(action, 3));
  const { greeted, taken } = await doorWith(t, { rspamd: rspamd.url }, 'block');
  const talk = await greeted();
  assert.match(await bring(talk), /^550 5\.7\.1 .*spam/);
  action = 'greylist';
  assert.match(await bring(talk), /^451 4\.7\.1 /);
  action = 'no action';
  assert.match(await bring(talk), /^250 /);
  assert.match(taken[0]?.bytes.toString() ?? '', /^X-Mailgun-Sflag: No\r$/m);
});

test('no filter is asked about mail of a domain that wants none', async (t) => {
  const rspamd = await startRspamd(t, () => verdict('reject', 20));
  const { greeted, taken } = await doorWith(t, { rspamd: rspamd.url }, 'disabled');
  assert.match(await bring(await greeted()), /^250 /);
  assert.equal(rspamd.asked.length, 0);
  assert.doesNotMatch(taken[0]?.bytes.toString() ?? '', /Sflag/);
});

test('a filter that is down, silent, broken or endless does not stop mail, unless it shall', async (t) => {
  const answers: readonly (() => ReturnType<Parameters<typeof startRspamd>[1]>)[] = [
    () => 'silence',
    () => ({ status: 500, text: '{}' }),
    () => ({ text: 'not json' }),
    () => ({ text: '[]' }),
    () => ({ text: '{"action":"reject"}' }),
    () => ({ text: `{"action":"reject","score":20,"x":"${'y'.repeat(5_000_000)}"}` }),
  ];
  for (const answer of answers) {
    const { url } = await startRspamd(t, answer);
    const { greeted, taken } = await doorWith(t, { rspamd: url, timeoutMs: 300 }, 'block');
    assert.match(await bring(await greeted()), /^250 /);
    assert.doesNotMatch(taken[0]?.bytes.toString() ?? '', /Sflag/);
    const strict = await doorWith(t, { rspamd: url, timeoutMs: 300, onFailure: 'defer' }, 'block');
    assert.match(await bring(await strict.greeted()), /^451 4\.7\.1 /);
  }
  const { greeted } = await doorWith(t, { rspamd: 'http://127.0.0.1:9', timeoutMs: 300 }, 'tag');
  assert.match(await bring(await greeted()), /^250 /);
});

test('SpamAssassin is asked by its protocol', async (t) => {
  let isSpam = true;
  const spamd = await startSpamd(t, () =>
    isSpam
      ? 'SPAMD/1.1 0 EX_OK\r\nContent-length: 22\r\nSpam: True ; 15.5 / 5.0\r\n\r\nGTUBE,URIBL_BLOCKED\r\n'
      : 'SPAMD/1.1 0 EX_OK\r\nSpam: False ; -1.2 / 5.0\r\n\r\n',
  );
  const { greeted, taken } = await doorWith(t, { spamassassin: spamd.at }, 'tag');
  const talk = await greeted();
  await bring(talk);
  isSpam = false;
  await bring(talk);
  const [question = ''] = spamd.asked;
  const [head = '', ...rest] = question.split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  assert.equal(head, `SYMBOLS SPAMC/1.5\r\nContent-length: ${body.length}`);
  assert.ok(body.endsWith(MESSAGE));
  assert.deepEqual(
    taken.map(({ spam }) => spam),
    [
      { isSpam: true, score: 15.5, rules: ['GTUBE', 'URIBL_BLOCKED'] },
      { isSpam: false, score: -1.2, rules: [] },
    ],
  );
});

test('spamd that answers with trouble, nothing or too much does not stop mail; large mail is not shown to it', async (t) => {
  for (const answer of [
    'SPAMD/1.1 76 EX_PROTOCOL\r\nSpam: True ; 15.5 / 5.0\r\n\r\n',
    '',
    'SPAMD/1.1 0 EX_OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\n',
    'x'.repeat(100_000),
  ]) {
    const { at } = await startSpamd(t, () => answer);
    const { greeted, taken } = await doorWith(t, { spamassassin: at }, 'block');
    assert.match(await bring(await greeted()), /^250 /, answer.slice(0, 40));
    assert.equal(taken[0]?.spam, undefined);
  }
  const spamd = await startSpamd(t, () => 'SPAMD/1.1 0 EX_OK\r\nSpam: True ; 15.5 / 5.0\r\n\r\n');
  const { greeted } = await doorWith(t, { spamassassin: spamd.at }, 'block');
  assert.match(await bring(await greeted(), `${MESSAGE}${`${'x'.repeat(78)}\r\n`.repeat(7000)}`), /^250 /);
  assert.equal(spamd.asked.length, 0);
});

test('with two filters, mail is spam when either says so', async (t) => {
  const rspamd = await startRspamd(t, () => verdict('no action', 1, ['A']));
  const spamd = await startSpamd(t, () => 'SPAMD/1.1 0 EX_OK\r\nSpam: True ; 6 / 5.0\r\n\r\nB\r\n');
  const { greeted, taken } = await doorWith(t, { rspamd: rspamd.url, spamassassin: spamd.at }, 'tag');
  await bring(await greeted());
  assert.deepEqual(taken[0]?.spam, { isSpam: true, score: 6, rules: ['A', 'B'] });
});

test('too many hops are a loop', async (t) => {
  const { greeted, taken } = await openInboundDoor(t, { receive: { receivedMax: 5 } });
  const talk = await greeted();
  const hop = 'Received: from a.test by b.test; Mon, 1 Jan 2024 00:00:00 +0000\r\n';
  assert.match(await bring(talk, hop.repeat(6) + MESSAGE), /^554 5\.4\.6 /);
  assert.match(await bring(talk, hop.repeat(5) + MESSAGE), /^250 /);
  assert.equal(taken.length, 1);
});

test('who had the message before does not get it again; others do', async (t) => {
  const { greeted, taken } = await openInboundDoor(t);
  const talk = await greeted();
  const message = `Delivered-To: someone@else.test\r\nDelivered-To: <Bob@Ours.test>\r\n${MESSAGE}`;
  assert.match(await bring(talk, message), /^554 5\.4\.6 /);
  assert.match(await bring(talk, message, { to: ['bob@ours.test', 'amy@ours.test'] }), /^250 /);
  assert.deepEqual(
    taken.map(({ recipients }) => recipients.map(({ address }) => address)),
    [['amy@ours.test']],
  );
});

test('what was sent on again and again is a loop, though to new addresses each time', async (t) => {
  const { greeted, taken } = await openInboundDoor(t);
  const talk = await greeted();
  const sentOn = (times: number): string => Array.from({ length: times }, (_, index) => `Delivered-To: a${index}@ours.test\r\n`).join('');
  assert.match(await bring(talk, sentOn(10) + MESSAGE), /^250 /);
  assert.match(await bring(talk, sentOn(11) + MESSAGE), /^554 5\.4\.6 The message was sent on too many times/);
  assert.equal(taken.length, 1);
});

test('what a program wrote is known as that, so that nothing answers it', async (t) => {
  const { greeted, taken } = await openInboundDoor(t);
  const talk = await greeted();
  const automatic = [
    'Auto-Submitted: auto-replied\r\n',
    'Auto-Submitted: auto-generated (vacation)\r\n',
    'Precedence: bulk\r\n',
    'List-Id: <list.test>\r\n',
    'X-Auto-Response-Suppress: All\r\n',
  ];
  for (const field of automatic) await bring(talk, field + MESSAGE);
  for (const from of ['', 'MAILER-DAEMON@a.test', 'owner-list@a.test', 'list-request@a.test']) await bring(talk, MESSAGE, { from });
  assert.ok(
    taken.every(({ isAutomatic }) => isAutomatic),
    JSON.stringify(taken.map(({ isAutomatic }) => isAutomatic)),
  );
  for (const field of ['', 'Auto-Submitted: no\r\n', 'Precedence: first-class\r\n']) await bring(talk, field + MESSAGE);
  assert.deepEqual(
    taken.slice(-3).map(({ isAutomatic }) => isAutomatic),
    [false, false, false],
  );
});
