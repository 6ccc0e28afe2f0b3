/** o:archive-to on the running program: a copy of what was delivered is posted, octet by octet, whatever happens to us or to the receiver in between. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { freePort } from '../kit/free-port.ts';
import { DOMAIN, Installation, type Server, submit } from '../kit/installation.ts';
import { type HttpReceiver, startHttpReceiver } from '../kit/http-receiver.ts';
import { until } from '../kit/until.ts';

const SETTINGS = {
  'webhooks.allow_networks': '127.0.0.0/8',
  'webhooks.retry': '200ms',
  'dkim.sign': 'true',
  'dkim.ed25519': 'true',
};
const home = await Installation.make({ after }, SETTINGS, { zone: { 'hooks.test': { A: ['127.0.0.1'] } } });
const there = await startHttpReceiver();
after(() => there.close());
let server = await home.start();

const url = (path: string, receiver: HttpReceiver = there): string => `http://hooks.test:${receiver.port}${path}`;

/** What the recipient's server got for the address, as it stood between DATA and the final dot. */
function delivered(address: string): Buffer {
  const transaction = home.sink.transactions.find(({ recipients }) => recipients.some((recipient) => recipient.address === address));
  assert.ok(transaction, `${address} got nothing`);
  return transaction.bytes;
}

async function archivedOf(messageId: string, of: Server = server): Promise<{ status: string; facts: string[] }[]> {
  return (await of.recipients(messageId)).map(({ status, entries }) => ({
    status,
    facts: entries.filter(({ event }) => event === 'archived').map(({ text = '' }) => text),
  }));
}

/** The facts about copies of its only recipient, as soon as one of them matches. */
async function told(messageId: string, pattern: RegExp, of: Server = server): Promise<string[]> {
  return until(async () => {
    const [only] = await archivedOf(messageId, of);
    return only?.facts.some((fact) => pattern.test(fact)) === true && only.facts;
  }, `the timeline says ${pattern.source}`);
}

test('the copy is what the recipient’s server got: signatures, variables, conversion and all', async () => {
  home.sink.configure({ eightBitMime: false });
  await server.send('plain@x.test', { 'o:archive-to': url('/plain'), text: 'Dots:\n.\n..two\nand an end without newline' });
  await server.send('eight@x.test', { 'o:archive-to': url('/eight'), text: 'Grüße 🙂', subject: 'Grüße', 'v:order': '7' });
  await server.send(['ann@x.test', 'bob@x.test'], {
    'o:archive-to': url('/batch'),
    text: 'Dear %recipient.name%',
    'recipient-variables': JSON.stringify({ 'ann@x.test': { name: 'Ann Ö' }, 'bob@x.test': { name: 'Bob' } }),
  });
  const raw = `From: app@${DOMAIN}\nTo: raw@x.test\nSubject: raw\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nÄ raw one`;
  await server.mustCall('POST', `/v3/${DOMAIN}/messages.mime`, { to: 'raw@x.test', message: raw, 'o:archive-to': url('/mime') });
  const talk = await server.smtp();
  await submit(talk, ['smtp@x.test'], `From: app@${DOMAIN}\r\nSubject: by SMTP\r\nX-Mailgun-Archive-To: ${url('/smtp')}\r\n\r\n..One dot`);
  talk.end();

  const paths = {
    'plain@x.test': '/plain',
    'eight@x.test': '/eight',
    'ann@x.test': '/batch',
    'bob@x.test': '/batch',
    'raw@x.test': '/mime',
    'smtp@x.test': '/smtp',
  };
  for (const [address, path] of Object.entries(paths)) {
    const copy = await until(
      () => there.at(path).find(({ headers }) => headers['x-postrider-recipient'] === address),
      `a copy for ${address}`,
    );
    assert.equal(copy.method, 'POST');
    assert.equal(copy.headers['content-type'], 'application/mime');
    assert.equal(copy.headers['x-postrider-attempt'], '1');
    assert.equal(copy.body.toString('latin1'), delivered(address).toString('latin1'), address);
    assert.match(copy.body.toString('latin1'), /^DKIM-Signature: /);
  }
  assert.equal(there.received.length, Object.keys(paths).length);
  assert.equal(new Set(there.received.map(({ headers }) => headers['x-postrider-delivery'])).size, there.received.length);
  assert.match(delivered('eight@x.test').toString('latin1'), /=C3=BC|R3LDvMOfZS/);
  home.sink.configure({});
});

test('each recipient of one transaction has its copy, and only those that were delivered to', async () => {
  const messageId = await server.send(['one@x.test', 'two@x.test', '550-at-rcpt@x.test'], { 'o:archive-to': url('/several?token=secret') });
  await until(() => there.at('/several').length === 2, 'two copies');
  assert.deepEqual(
    there
      .at('/several')
      .map(({ headers }) => headers['x-postrider-recipient'])
      .sort(),
    ['one@x.test', 'two@x.test'],
  );
  const stories = await until(async () => {
    const all = await archivedOf(messageId);
    return all.filter(({ facts }) => facts.length > 0).length === 2 && all;
  }, 'both are told');
  assert.deepEqual(stories.find(({ status }) => status === 'failed')?.facts, []);
  const [fact] = stories.find(({ status }) => status === 'delivered')?.facts ?? [];
  assert.equal(fact, `a copy was posted to ${url('/several')}?…: HTTP 200`);
});

test('a receiver that fails is posted to again, with the same copy under the same number', async () => {
  let left = 2;
  there.answerWith(({ path }, response) => void response.writeHead(path === '/again' && left-- > 0 ? 503 : 200).end());
  const messageId = await server.send('again@x.test', { 'o:archive-to': url('/again') });
  const facts = await told(messageId, /^a copy was posted/);
  assert.equal(facts.length, 3);
  assert.match(facts[0] as string, /^a copy could not be posted to http:\/\/hooks\.test:\d+\/again, post 1: HTTP 503; tried again at 20/);
  const posts = there.at('/again');
  assert.deepEqual(
    posts.map(({ headers }) => headers['x-postrider-attempt']),
    ['1', '2', '3'],
  );
  assert.equal(new Set(posts.map(({ headers, body }) => `${headers['x-postrider-delivery']} ${body.toString('latin1')}`)).size, 1);
  there.answerWith((_received, response) => void response.end());
});

test('the metrics count what was posted, and what waits for it', async () => {
  let text = '';
  const count = (name: string): number => Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\d+)$`, 'm').exec(text)?.[1]);
  await until(async () => {
    ({ text } = await server.call('GET', '/metrics'));
    return count('postrider_outbox_entries') === 0;
  }, 'what came of all posts is written');
  assert.equal(count('postrider_posts_total{result="done"}'), there.received.length - 2);
  assert.equal(count('postrider_posts_total{result="failed"}'), 2);
  assert.equal(count('postrider_posts_total{result="given_up"}'), 0);
});

test('406 ends it at once', async () => {
  there.answerWith((_received, response) => void response.writeHead(406).end());
  const messageId = await server.send('enough@x.test', { 'o:archive-to': url('/enough') });
  assert.deepEqual(await told(messageId, /./), [`no copy was posted to ${url('/enough')}, given up: HTTP 406`]);
  there.answerWith((_received, response) => void response.end());
});

test('test mode delivers nothing, so there is no copy', async () => {
  const messageId = await server.send('nobody@x.test', { 'o:archive-to': url('/testmode'), 'o:testmode': 'yes' });
  await until(async () => (await archivedOf(messageId))[0]?.status === 'delivered', 'it counts as delivered');
  const marker = await server.send('marker@x.test', { 'o:archive-to': url('/marker') });
  await told(marker, /^a copy was posted/);
  assert.deepEqual(there.at('/testmode'), []);
});

test('a slow receiver has its turns and no more, and holds up nobody else', async () => {
  const slow = await startHttpReceiver();
  // To the end: its port is not to be another's while something is posted there.
  after(() => slow.close());
  slow.answerWith(() => undefined);
  // The slow one is not given up while the test runs: it can only be passed by.
  server = await restarted({ 'webhooks.concurrency': '2', 'webhooks.connections': '6', 'webhooks.timeout': '5m' });
  const to = Array.from({ length: 12 }, (_, n) => `slow${n}@x.test`);
  const messageId = await server.send(to, { 'o:archive-to': `http://127.0.0.1:${slow.port}/` });
  await until(() => slow.received.length >= 2, 'the slow one is being posted to');
  await server.send('quick@x.test', { 'o:archive-to': url('/quick') });
  await until(() => there.at('/quick').length === 1, 'the quick one has its copy');
  assert.equal(slow.received.length, 2, 'it waited for the slow one');
  assert.equal(slow.open.peak, 2);
  slow.answerWith((_received, response) => void response.end());
  server = await restarted();
  await until(
    async () => (await archivedOf(messageId)).every(({ facts }) => facts.some((fact) => fact.startsWith('a copy was posted'))),
    'the slow one has its copies in the end',
  );
});

test('what could not be posted in time is given up', async () => {
  const gone = await freePort();
  server = await restarted({ 'webhooks.copies_give_up_after': '1s' });
  const messageId = await server.send('late@x.test', { 'o:archive-to': `http://us:secret@127.0.0.1:${gone}/late?key=secret` });
  const facts = await told(messageId, /given up/);
  assert.match(
    facts.at(-1) as string,
    /^no copy was posted to http:\/\/127\.0\.0\.1:\d+\/late\?…, given up: (cannot connect: 127\.0\.0\.1: connection refused|it could not be posted in time)$/,
  );
  const { error } = await server.stop();
  assert.match(error, /given up: nothing more is posted of it/);
  assert.doesNotMatch(error, /secret/);
  server = await home.start();
});

test('content that was deleted meanwhile is told, and nothing else is posted in its place', async () => {
  there.answerWith((_received, response) => void response.writeHead(500).end());
  const messageId = await server.send('deleted@x.test', { 'o:archive-to': url('/deleted') });
  await told(messageId, /^a copy could not be posted/);
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?event=delivered&recipient=deleted@x.test`);
  const [event] = body['items'] as { storage: { key: string } }[];
  await server.mustCall('DELETE', `/v3/domains/${DOMAIN}/messages/${event?.storage.key}`);
  const facts = await told(messageId, /given up/);
  assert.equal(facts.at(-1), `no copy was posted to ${url('/deleted')}, given up: the content of the message was deleted meanwhile`);
  there.answerWith((_received, response) => void response.end());
});

test('a kill between the delivery’s commit and the post loses no copy', async () => {
  server = await restarted({ 'node.services': 'accept,deliver,web' });
  const messageId = await server.send('killed@x.test', { 'o:archive-to': url('/killed') });
  await until(async () => (await archivedOf(messageId))[0]?.status === 'delivered', 'it is delivered');
  assert.deepEqual(there.at('/killed'), []);
  await server.kill();
  server = await home.start();
  await until(() => there.at('/killed').length === 1, 'the copy was posted');
  assert.equal(there.at('/killed')[0]?.body.toString('latin1'), delivered('killed@x.test').toString('latin1'));
});

test('a kill while it is being posted leads to one more post under the same number', async () => {
  there.answerWith(({ path }, response) => {
    if (path !== '/half' || there.at('/half').length > 1) response.end();
  });
  // It is claimed for as long as a post may take, and a little longer; so long it waits after the kill.
  server = await restarted({ 'webhooks.timeout': '5s' });
  const messageId = await server.send('half@x.test', { 'o:archive-to': url('/half') });
  await until(() => there.at('/half').length === 1, 'it is being posted');
  await server.kill();
  server = await home.start();
  await told(messageId, /^a copy was posted/);
  assert.deepEqual(
    there.at('/half').map(({ headers }) => headers['x-postrider-attempt']),
    ['1', '2'],
  );
  assert.equal(new Set(there.at('/half').map(({ headers }) => headers['x-postrider-delivery'])).size, 1);
});

test('nothing is posted to an address that is not allowed, straight or by a redirect', async (t) => {
  const outside = await startHttpReceiver({ address: '127.0.0.2' });
  t.after(() => outside.close());
  outside.answerWith((_received, response) => void response.writeHead(307, { location: url('/inside') }).end());
  server = await restarted({ 'webhooks.allow_networks': '127.0.0.2' });
  const connections = there.connectionCount();
  const straight = await server.send('straight@x.test', { 'o:archive-to': url('/inside') });
  const bent = await server.send('bent@x.test', { 'o:archive-to': `http://127.0.0.2:${outside.port}/` });
  assert.deepEqual(await told(straight, /given up/), [
    `no copy was posted to ${url('/inside')}, given up: nothing is posted to loopback addresses (see webhooks.allow_networks)`,
  ]);
  assert.match(
    (await told(bent, /given up/))[0] as string,
    /given up: redirected to http:\/\/hooks\.test:\d+\/inside: nothing is posted to loopback addresses/,
  );
  server = await restarted({ 'webhooks.allow_networks': '' });
  const unset = await server.send('unset@x.test', { 'o:archive-to': `http://[::ffff:7f00:1]:${there.port}/inside` });
  await told(unset, /nothing is posted to loopback addresses/);
  assert.equal(there.connectionCount(), connections);
});

async function restarted(settings: Readonly<Record<string, string>> = {}): Promise<Server> {
  await server.stop();
  return home.start(settings);
}
