/**
 * What comes back and a crash: a complaint that was answered 250 stands with its event, its suppression and its webhook, however soon the program was killed after it (P1, P7). Opens and
 * clicks are answered before they are written, and may be lost with the process; but what stands was told, and none stands that was not made.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { DOMAIN, Installation, type Server } from '../kit/installation.ts';
import { until } from '../kit/until.ts';
import { bringTo } from './inbound-routes-kit.ts';

const BASE = 'https://mail.ours.test';
const COUNT = 12;
/** The kill comes as soon as so many complaints were answered; the others are on their way then. */
const ANSWERED = 4;

const home = await Installation.make(
  { after },
  {
    'sandbox.capture': 'true',
    'http.public_url': BASE,
    'smtp.inbound': '127.0.0.1:0',
    'inbound.greeting_delay': '0s',
    'inbound.authentication': 'false',
    'inbound.unknown_sender': 'accept',
    'webhooks.allow_networks': '127.0.0.0/8',
    'webhooks.retry': '300ms',
    // What a killed process had claimed is due again after this and a little more.
    'webhooks.timeout': '1s',
  },
);
let server: Server = await home.start();

interface Sent {
  readonly address: string;
  readonly returnPath: string;
  readonly link: string;
  readonly pixel: string;
}

async function sent(address: string): Promise<Sent> {
  await server.send(address, { html: '<p>Hello <a href="https://shop.test/">Shop</a></p>', 'o:tracking': 'yes' });
  const found = await until(async () => {
    const { body } = await server.mustCall('GET', '/v1/sandbox/messages?limit=300');
    return (body['items'] as { id: number; sender: string; recipients: string[] }[]).find(({ recipients }) => recipients.includes(address));
  }, `mail to ${address}`);
  const { body } = await server.mustCall('GET', `/v1/sandbox/messages/${found.id}`);
  const html = String(body['html']);
  const path = (kind: string): string => new RegExp(`${BASE}(/${kind}/[\\w-]+)`).exec(html)?.[1] ?? assert.fail(html);
  return { address, returnPath: found.sender, link: path('c'), pixel: path('o') };
}

const complaint = (): string =>
  [
    'From: complaints@mx.example.net',
    'Subject: abuse report',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=feedback-report; boundary=b',
    '',
    '--b',
    '',
    'A complaint.',
    '--b',
    'Content-Type: message/feedback-report',
    '',
    'Feedback-Type: abuse',
    'User-Agent: Example/1.0',
    'Version: 1',
    '',
    '--b--',
    '',
  ].join('\r\n');

async function eventsOf(kind: string): Promise<{ readonly id: string; readonly recipient: string }[]> {
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?event=${kind}&limit=300`);
  return body['items'] as { id: string; recipient: string }[];
}

test('a complaint that was answered stands and is told though the program is killed at once; of opens and clicks what stands is told', async (t) => {
  const receiver = await startHttpReceiver();
  t.after(() => receiver.close());
  await server.mustCall('POST', '/v1/webhooks', {
    url: `http://127.0.0.1:${receiver.port}/told`,
    event_types: ['complained', 'opened', 'clicked'],
  });
  const mails = await Promise.all(Array.from({ length: COUNT }, (_, n) => sent(`reader${n}@x.test`)));

  const answered: string[] = [];
  const enough = Promise.withResolvers<void>();
  const complaints = mails.map(async ({ address, returnPath }) => {
    const reply = await bringTo(server, returnPath, complaint(), '').catch(() => '');
    if (!reply.startsWith('250')) return;
    answered.push(address);
    if (answered.length >= ANSWERED) enough.resolve();
  });
  const visits = mails.flatMap(({ link, pixel }) =>
    [link, pixel].map((path) =>
      fetch(`${server.url}${path}`, {
        redirect: 'manual',
        headers: { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0' },
      })
        .then((response) => response.arrayBuffer())
        .catch(() => undefined),
    ),
  );
  await Promise.race([enough.promise, Promise.all(complaints)]);
  await server.kill();
  await home.store.cutConnections();
  await Promise.all([...complaints, ...visits]);
  assert.ok(answered.length >= ANSWERED, `${answered.length} complaints were answered`);

  server = await home.start();
  const complained = await until(async () => {
    const found = await eventsOf('complained');
    return found.length > 0 ? found : undefined;
  }, 'what stands is read');
  for (const address of answered) {
    assert.equal(complained.filter(({ recipient }) => recipient === address).length, 1, `${address} complained once`);
    assert.equal((await server.call('GET', `/v3/${DOMAIN}/complaints/${address}`)).status, 200, `${address} is suppressed`);
  }
  const stand = [...complained, ...(await eventsOf('opened')), ...(await eventsOf('clicked'))];
  const told = (): Set<string> =>
    new Set(receiver.at('/told').map(({ body }) => (JSON.parse(body.toString()) as { 'event-data': { id: string } })['event-data'].id));
  await until(() => stand.every(({ id }) => told().has(id)), 'all that stands is told');
  // What was told by now stands by now.
  const ids = [...told()];
  const known = new Set((await Promise.all(['complained', 'opened', 'clicked'].map(eventsOf))).flat().map(({ id }) => id));
  assert.deepEqual(
    ids.filter((id) => !known.has(id)),
    [],
  );
  assert.ok(stand.length - complained.length <= visits.length);

  // What was lost was one visit: the link still leads on, and counts.
  const [{ link, address } = assert.fail()] = mails;
  const before = (await eventsOf('clicked')).filter(({ recipient }) => recipient === address).length;
  const again = await fetch(`${server.url}${link}`, { redirect: 'manual' });
  assert.equal(again.headers.get('location'), 'https://shop.test/');
  await until(async () => (await eventsOf('clicked')).filter(({ recipient }) => recipient === address).length === before + 1, 'it counts');
});
