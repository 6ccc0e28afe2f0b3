/** Unsubscribing from mail of the running program: what the captured mail offers is followed as people, mailbox providers, mail programs and scanners do, and what comes of it is seen. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { authenticate } from 'mailauth';
import { readLeaves } from '#mail/text-leaves.ts';
import { BOT_RULES } from '#tracking/bots.ts';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { hourLasts } from '../kit/hour.ts';
import { DOMAIN, Installation, type Fields, submit } from '../kit/installation.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';
import { bring } from './inbound-kit.ts';

const BASE = 'https://mail.ours.test';
const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36';
const HTML = '<html><body><p>Hello</p><a href="%unsubscribe_url%">Enough</a></body></html>';

// Statistics of a day are compared.
await hourLasts(120_000);
const home = await Installation.make(
  { after },
  {
    'sandbox.capture': 'true',
    // Who writes is looked for once, and in this process.
    'dns.timeout': '30s',
    'dkim.sign': 'true',
    'http.public_url': BASE,
    'smtp.inbound': '127.0.0.1:0',
    'inbound.greeting_delay': '0s',
    'inbound.authentication': 'false',
    'webhooks.allow_networks': '127.0.0.0/8',
  },
  { zone: { 'reader.test': { A: ['127.0.0.1'] } } },
);
const server = await home.start();
// Here, as a list is known everywhere a moment after it was made.
const LIST = `circle@${DOMAIN}`;
await server.mustCall('POST', '/v3/lists', { address: LIST });

interface Mail {
  readonly raw: string;
  readonly text: string;
  readonly html: string;
}
interface Captured {
  readonly id: number;
  readonly recipients: readonly string[];
}

async function captured(address: string): Promise<Captured[]> {
  const { body } = await server.mustCall('GET', '/v1/sandbox/messages?limit=300');
  return (body['items'] as Captured[]).filter(({ recipients }) => recipients.includes(address));
}

/** What the address got, as soon as it is there. */
async function mailTo(address: string): Promise<Mail> {
  const found = await until(async () => (await captured(address))[0], `mail to ${address}`);
  const { body } = await server.mustCall('GET', `/v1/sandbox/messages/${found.id}`);
  return { ...(body as unknown as Mail), raw: (await server.mustCall('GET', `/v1/sandbox/messages/${found.id}/raw`)).text };
}

function ampOf(raw: string): string {
  let amp = '';
  readLeaves(Buffer.from(raw, 'latin1'), (octets, kind) => {
    if (kind === 'amp') amp += octets;
  });
  return amp;
}

/** Of the last message that has one. */
function linkIn(text: string): string {
  const link = /https:\/\/mail\.ours\.test\/u\/[\w-]+/.exec(text)?.[0];
  assert.ok(link, text);
  return link;
}

function field(raw: string, name: string): string | undefined {
  const header = raw.slice(0, raw.indexOf('\r\n\r\n') + 2);
  return new RegExp(`^${name}: ((?:.|\\r\\n[ \\t])*)\\r\\n`, 'im').exec(header)?.[1]?.replace(/\r\n[ \t]/g, ' ');
}

function follow(link: string, init: RequestInit = {}): Promise<Response> {
  return fetch(link.replace(BASE, server.url), {
    redirect: 'error',
    ...init,
    headers: { 'user-agent': CHROME, ...(init.headers as Record<string, string> | undefined) },
  });
}

const press = (link: string, fields: Record<string, string> | [string, string][]): Promise<Response> =>
  follow(link, { method: 'POST', body: new URLSearchParams(fields) });

async function unsubscribeOf(address: string): Promise<readonly string[] | undefined> {
  const { status, body } = await server.call('GET', `/v3/${DOMAIN}/unsubscribes/${address}`);
  return status === 404 ? undefined : (body['tags'] as string[]);
}

async function eventsOf(address: string, kind: string): Promise<Record<string, unknown>[]> {
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?event=${kind}&recipient=${encodeURIComponent(address)}&limit=300`);
  return body['items'] as Record<string, unknown>[];
}

async function failureOf(address: string): Promise<{ code: number } | undefined> {
  return (await eventsOf(address, 'failed'))[0]?.['delivery-status'] as { code: number } | undefined;
}

/** Sent by the API; what the address got. */
async function sent(address: string, fields: Fields = {}): Promise<Mail> {
  await server.send(address, fields);
  return mailTo(address);
}

async function track(fields: Record<string, string>): Promise<void> {
  await server.mustCall('PUT', `/v3/domains/${DOMAIN}/tracking/unsubscribe`, fields);
}

test('a link in a message leads to a page that says what will happen, and its button does it, once: the next message is not sent, a webhook is told, and it can be taken back', async (t) => {
  const there = await startHttpReceiver();
  t.after(() => there.close());
  await server.mustCall('POST', `/v3/domains/${DOMAIN}/webhooks`, { id: 'unsubscribed', url: `http://127.0.0.1:${there.port}/hook` });
  const to = 'ann@reader.test';
  const mail = await sent(to, { html: HTML, text: 'Enough? %unsubscribe_url%', 'o:tag': 'weekly' });
  const link = linkIn(mail.html);
  assert.equal(linkIn(mail.text), link);
  assert.doesNotMatch(mail.raw, /%\w*unsubscribe/);
  assert.doesNotMatch(Buffer.from(link.split('/').at(-1) as string, 'base64url').toString('latin1'), /ann|reader/);

  const page = await follow(link);
  const shown = await page.text();
  assert.equal(page.status, 200);
  assert.match(shown, /<h1>Unsubscribe<\/h1>/);
  assert.match(shown, /no more mail from <bdi>ours\.test<\/bdi>/);
  assert.match(shown, /<bdi>a…@reader\.test<\/bdi>/);
  assert.doesNotMatch(shown, /ann@/);
  assert.doesNotMatch(shown, /<script|<img|<link|https?:\/\//);
  assert.equal(page.headers.get('set-cookie'), null);
  assert.match(page.headers.get('content-security-policy') ?? '', /^default-src 'none'; style-src 'sha256-.*frame-ancestors 'none'$/);
  assert.equal(page.headers.get('cache-control'), 'no-store');
  assert.match(page.headers.get('x-robots-tag') ?? '', /noindex/);
  assert.equal(await unsubscribeOf(to), undefined);

  for (const round of [1, 2]) {
    const done = await press(link, { do: 'unsubscribe' });
    assert.equal(done.status, 200, `round ${round}`);
    assert.match(await done.text(), /<h1>You are unsubscribed<\/h1>/);
    assert.deepEqual(await unsubscribeOf(to), ['*']);
  }
  const [event, ...others] = await eventsOf(to, 'unsubscribed');
  assert.deepEqual(others, []);
  assert.deepEqual(event?.['tags'], ['weekly']);
  assert.equal(event?.['ip'], '127.0.0.1');
  assert.equal((event?.['client-info'] as Record<string, string> | undefined)?.['client-name'], 'Chrome');
  await until(() => there.received.length === 1, 'the webhook');
  const told = JSON.parse(String(there.received[0]?.body)) as { 'event-data': { event: string; recipient: string; id: string } };
  assert.deepEqual([told['event-data'].event, told['event-data'].recipient, told['event-data'].id], ['unsubscribed', to, event?.['id']]);
  await server.send(to);
  await until(async () => (await failureOf(to))?.code === 606, 'the next message to be suppressed');

  assert.match(await (await press(link, { do: 'subscribe' })).text(), /<h1>You are subscribed again<\/h1>/);
  assert.equal(await unsubscribeOf(to), undefined);
  await server.send(to, { subject: 'again' });
  await until(async () => (await captured(to)).length === 2, 'mail again');
  await press(link, { do: 'unsubscribe' });
  assert.deepEqual(await unsubscribeOf(to), ['*']);
  assert.equal((await eventsOf(to, 'unsubscribed')).length, 1);
});

test('mail of a domain whose unsubscribe tracking is on gets its footers and the fields for one click, both signed; one click suffices', async () => {
  await track({
    active: 'yes',
    html_footer: '<p><a href="%unsubscribe_url%">Genug gelesen? Für immer</a></p>',
    text_footer: '\nEnough: %unsubscribe_url%\n',
  });
  try {
    const to = 'bob@reader.test';
    const mail = await sent(to, { html: '<html><body><p>Hello</p></body></html>' });
    const link = linkIn(mail.html);
    assert.match(mail.html, /<p>Hello<\/p><p><a href="https:[^"]*">Genug gelesen\? F(?:ü|&#252;)r immer<\/a><\/p><\/body>/);
    assert.match(mail.text, new RegExp(`^Hello\\.\\s+Enough: ${link}$`, 'm'));
    const offered = field(mail.raw, 'List-Unsubscribe') ?? '';
    assert.match(offered, /^<mailto:unsubscribe\+[a-z2-7]+@ours\.test>, <https:\/\/mail\.ours\.test\/u\/[\w-]+>$/);
    assert.equal(field(mail.raw, 'List-Unsubscribe-Post'), 'List-Unsubscribe=One-Click');
    for (const name of ['List-Unsubscribe', 'List-Unsubscribe-Post'])
      assert.match(await signedFields(mail.raw), new RegExp(`(?:^|: )${name}(?::|$)`, 'i'));

    // As a mailbox provider does it: no cookies, nothing read before, in either form.
    const click = await follow(linkIn(offered), {
      method: 'POST',
      body: 'List-Unsubscribe=One-Click',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    assert.equal(click.status, 200);
    assert.deepEqual(await unsubscribeOf(to), ['*']);
    const other = await sent('bea@reader.test');
    const multipart = new FormData();
    multipart.append('List-Unsubscribe', 'One-Click');
    assert.equal((await follow(linkIn(field(other.raw, 'List-Unsubscribe') ?? ''), { method: 'POST', body: multipart })).status, 200);
    assert.deepEqual(await unsubscribeOf('bea@reader.test'), ['*']);

    const own = await sent('cy@reader.test', { 'h:List-Unsubscribe': '<https://elsewhere.test/bye>' });
    assert.equal(field(own.raw, 'List-Unsubscribe'), '<https://elsewhere.test/bye>');
    assert.equal(field(own.raw, 'List-Unsubscribe-Post'), undefined);
    const without = await sent('dot@reader.test', { 'o:tracking-unsubscribe': 'no', html: '<p>Hello</p>' });
    assert.doesNotMatch(without.raw, /unsubscribe/i);
  } finally {
    await track({ active: 'no' });
  }
  const plain = await sent('eve@reader.test', { html: '<p>Hello</p>' });
  assert.doesNotMatch(plain.raw, /unsubscribe/i);
});

/** h= of the signature that a verifier of others finds good. */
async function signedFields(raw: string): Promise<string> {
  const { body } = await server.mustCall('GET', `/v3/domains/${DOMAIN}`);
  const records = body['sending_dns_records'] as { record_type: string; name: string; value: string }[];
  const { dkim } = await authenticate(Buffer.from(raw, 'latin1'), {
    ip: '127.0.0.1',
    disableArc: true,
    disableDmarc: true,
    disableBimi: true,
    resolver: async (name: string, type: string) => {
      const found = records.find((record) => record.record_type === type && record.name === name);
      if (found === undefined) throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' });
      return [[found.value]];
    },
  });
  const [result] = dkim.results;
  assert.equal(result?.status.result, 'pass');
  return (result as unknown as { signingHeaders: { keys: string } }).signingHeaders.keys;
}

test('nothing that only looks unsubscribes anybody: GET, HEAD, prefetching, scanners that follow every link', async () => {
  const to = 'fay@reader.test';
  const link = linkIn((await sent(to, { text: '%unsubscribe_url% %tag_unsubscribe_url%' })).text);
  const agents = new Set(BOT_RULES.flatMap(({ samples }) => samples));
  assert.ok(agents.size > 20);
  for (const agent of agents) {
    const looked = await follow(link, { headers: { 'user-agent': agent } });
    await looked.arrayBuffer();
    assert.equal(looked.status, 200);
  }
  for (const headers of [{ 'sec-purpose': 'prefetch;prerender' }, { purpose: 'prefetch' }, { 'x-moz': 'prefetch' }])
    await (await follow(link, { headers })).arrayBuffer();
  const head = await follow(link, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
  for (const query of ['?List-Unsubscribe=One-Click', '?do=unsubscribe']) await (await follow(link + query)).arrayBuffer();
  for (const body of ['', 'do=nothing', 'List-Unsubscribe=Two-Clicks'])
    assert.equal((await follow(link, { method: 'POST', body })).status, 400, body);
  for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH']) assert.equal((await follow(link, { method })).status, 404);
  assert.equal(await unsubscribeOf(to), undefined);
  assert.deepEqual(await eventsOf(to, 'unsubscribed'), []);
});

test('a link that is changed, cut or made up is told as not valid, in the language of who reads it, and does nothing', async () => {
  const to = 'gus@reader.test';
  const link = linkIn((await sent(to, { text: '%unsubscribe_url%' })).text);
  const token = link.slice(link.lastIndexOf('/') + 1);
  const middle = token.length >> 1;
  const changed = token.slice(0, middle) + (token[middle] === 'A' ? 'B' : 'A') + token.slice(middle + 1);
  for (const wrong of [changed, token.slice(0, -1), `${token}A`, 'x', 'a'.repeat(5000), '%00', '..%2f..', encodeURIComponent('<script>')]) {
    const answered = await press(`${BASE}/u/${wrong}`, { do: 'unsubscribe' });
    assert.equal(answered.status, 404, wrong);
    assert.doesNotMatch(await answered.text(), /<script/);
  }
  const german = await follow(`${BASE}/u/${changed}`, { headers: { 'accept-language': 'xx, de-CH;q=0.9, en;q=0.1' } });
  assert.match(await german.text(), /<html lang="de" dir="ltr">[^]*Dieser Link ist ungültig/);
  assert.equal(german.headers.get('content-language'), 'de');
  assert.equal(await unsubscribeOf(to), undefined);
});

test('who presses a button again and again is told to wait, and nobody else is', async () => {
  const [link, other] = [
    linkIn((await sent('hal1@reader.test', { text: '%unsubscribe_url%' })).text),
    linkIn((await sent('hal2@reader.test', { text: '%unsubscribe_url%' })).text),
  ];
  const statuses: number[] = [];
  for (let i = 0; i < 60 && statuses.at(-1) !== 429; i++)
    statuses.push((await press(link, { do: i % 2 === 0 ? 'unsubscribe' : 'subscribe' })).status);
  assert.equal(statuses.at(-1), 429);
  assert.ok(statuses.length > 20, `${statuses.length}`);
  assert.equal((await press(other, { do: 'unsubscribe' })).status, 200);
  assert.equal((await follow(link)).status, 200);
});

test('tags can be unsubscribed from alone, each by itself, and other mail still comes', async () => {
  const to = 'hal@reader.test';
  const mail = await sent(to, { text: '%tag_unsubscribe_url%', 'o:tag': ['news', 'offers <b>'] });
  const link = linkIn(mail.text);
  const page = await (await follow(link)).text();
  assert.match(page, /no more mail from <bdi>ours\.test<\/bdi> about:/);
  assert.match(page, /value="news" +checked/);
  assert.match(page, /value="offers &lt;b&gt;" +checked/);
  const saved = await (
    await press(link, [
      ['do', 'choose'],
      ['keep', 'news'],
    ])
  ).text();
  assert.match(saved, /Your choices are saved/);
  assert.match(saved, /value="news" +checked/);
  assert.doesNotMatch(saved, /value="offers &lt;b&gt;" +checked/);
  assert.deepEqual(await unsubscribeOf(to), ['offers <b>']);
  await server.send(to, { 'o:tag': 'offers <b>' });
  await until(async () => (await failureOf(to))?.code === 606, 'mail with the tag to be suppressed');
  await server.send(to, { 'o:tag': 'news' });
  await until(async () => (await captured(to)).length === 2, 'mail with the other tag');

  assert.match(await (await press(link, { do: 'unsubscribe' })).text(), /You are unsubscribed/);
  assert.deepEqual(await unsubscribeOf(to), ['news', 'offers <b>']);
  assert.match(await (await press(link, { do: 'unsubscribe-all' })).text(), /will send you no more mail\./);
  assert.deepEqual(await unsubscribeOf(to), ['*']);
  await press(link, [
    ['do', 'choose'],
    ['keep', 'news'],
    ['keep', 'never heard of'],
  ]);
  assert.deepEqual(await unsubscribeOf(to), ['offers <b>']);
  assert.equal((await eventsOf(to, 'unsubscribed')).length, 3);
});

test('mail to the address that a message names unsubscribes, but what a program answers there does not', async () => {
  const door = Number((server.program.doors.get('inbound')?.[0] ?? '').split(':').at(-1));
  const to = 'ida@reader.test';
  const mail = await sent(to, {
    text: 'Or write to %unsubscribe_email%',
    'h:List-Unsubscribe': '<mailto:%unsubscribe_email%?subject=bye>, <%unsubscribe_url%>',
  });
  const mailbox = /write to (unsubscribe\+[a-z2-7]+@ours\.test)/.exec(mail.text)?.[1] ?? '';
  assert.equal(
    field(mail.raw, 'List-Unsubscribe'),
    `<mailto:${mailbox}?subject=bye>, <${linkIn(field(mail.raw, 'List-Unsubscribe') ?? '')}>`,
  );
  assert.equal(field(mail.raw, 'List-Unsubscribe-Post'), 'List-Unsubscribe=One-Click');
  const letter = (more: string): string =>
    `From: ida@reader.test\r\nTo: ${mailbox}\r\nMessage-ID: <1@reader.test>\r\n${more}Subject: bye\r\n\r\nbye\r\n`;
  const talk = await SmtpTalk.open(door);
  await talk.say('EHLO reader.test');
  assert.match(await bring(talk, letter('Auto-Submitted: auto-replied\r\n'), { from: to, to: [mailbox] }), /^250 /);
  assert.match(await bring(talk, letter(''), { from: '', to: [mailbox] }), /^250 /);
  assert.equal(await unsubscribeOf(to), undefined);
  await talk.say(`MAIL FROM:<${to}>`);
  assert.match(await talk.say(`RCPT TO:<unsubscribe+${'a'.repeat(30)}@ours.test>`), /^550 5\.1\.1 /);
  await talk.say('RSET');
  assert.match(await bring(talk, letter(''), { from: to, to: [mailbox.toUpperCase()] }), /^250 /);
  assert.deepEqual(await unsubscribeOf(to), ['*']);
  assert.equal((await eventsOf(to, 'unsubscribed')).length, 1);
});

test('mail that is handed in by SMTP, in any encoding, has the variables too, and each recipient an address of their own', async () => {
  const smtp = await server.smtp();
  const encoded = Buffer.from('<p><a href="%unsubscribe_url%">Enough</a></p>').toString('base64');
  const body = [
    'MIME-Version: 1.0',
    'Content-Type: multipart/alternative; boundary=b',
    'From: app@ours.test',
    'Subject: x',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'Gr=C3=BC=C3=9Fe %unsub=',
    'scribe_url% und mehr',
    '--b',
    'Content-Type: text/html; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    '',
    encoded,
    '--b--',
  ].join('\r\n');
  const pair = ['joe@reader.test', 'kim@reader.test'];
  assert.match(await submit(smtp, pair, body), /^250 /);
  const [joe, kim] = [await mailTo(pair[0] as string), await mailTo(pair[1] as string)];
  assert.match(joe.text, /^Grüße https:\/\/mail\.ours\.test\/u\/[\w-]+ und mehr/);
  assert.equal(linkIn(joe.text), linkIn(joe.html));
  assert.notEqual(linkIn(joe.text), linkIn(kim.text));
  await press(linkIn(kim.html), { do: 'unsubscribe' });
  assert.deepEqual([await unsubscribeOf('joe@reader.test'), await unsubscribeOf('kim@reader.test')], [undefined, ['*']]);
});

test('an AMP part has the variables as well, also where it alone has them, and its links stay as they are', async () => {
  await server.sendBatch(['ona@reader.test', 'pia@reader.test'], {
    text: 'Hello',
    html: '<p>Hello <a href="https://shop.test/">Shop</a></p>',
    'amp-html':
      '<html amp4email><body><a href="%tag_unsubscribe_url%">No</a><a href="https://shop.test/?a=1&amp;b=2">Shop</a></body></html>',
    'o:tag': 'weekly',
    'o:tracking-clicks': 'yes',
    'recipient-variables': '{"ona@reader.test": {}, "pia@reader.test": {}}',
  });
  const [ona, pia] = [ampOf((await mailTo('ona@reader.test')).raw), ampOf((await mailTo('pia@reader.test')).raw)];
  assert.match(ona, /<a href="https:\/\/mail\.ours\.test\/u\/[\w-]+">No<\/a><a href="https:\/\/shop\.test\/\?a=1&amp;b=2">Shop<\/a>/);
  assert.notEqual(linkIn(ona), linkIn(pia));
  await press(linkIn(ona), { do: 'unsubscribe' });
  assert.deepEqual(await unsubscribeOf('ona@reader.test'), ['weekly']);
});

test('one message by SMTP may ask for footers and fields that its domain does not ask for', async () => {
  const smtp = await server.smtp();
  const message = 'From: app@ours.test\r\nX-Mailgun-Track-Unsubscribe: yes\r\nX-Mailgun-Tag: smtp\r\nSubject: x\r\n\r\nHello';
  assert.match(await submit(smtp, ['kit@reader.test'], message), /^250 /);
  const mail = await mailTo('kit@reader.test');
  assert.doesNotMatch(mail.raw, /X-Mailgun-Track/i);
  assert.match(mail.text, /Enough: https:/);
  await press(linkIn(field(mail.raw, 'List-Unsubscribe') ?? ''), { 'List-Unsubscribe': 'One-Click' });
  assert.deepEqual(await unsubscribeOf('kit@reader.test'), ['*']);
  // Captured, and written down as delivered a moment later.
  await until(async () => (await eventsOf('kit@reader.test', 'delivered')).length === 1, 'the delivery');
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/tag/stats?tag=smtp&event=unsubscribed&event=delivered&duration=1d`);
  const totals = (body['stats'] as Record<string, { total: number }>[]).map((each) => [
    each['delivered']?.total,
    each['unsubscribed']?.total,
  ]);
  assert.deepEqual(
    totals.reduce(([delivered = 0, unsubscribed = 0], [more = 0, others = 0]) => [delivered + more, unsubscribed + others]),
    [1, 1],
  );
});

test('each of a batch has an address of their own, also where a template puts it in, and counted links leave it alone', async () => {
  await server.mustCall('POST', `/v3/${DOMAIN}/templates`, {
    name: 'bye',
    template: '<p>Dear {{name}}</p><a href="{{link}}">Enough</a> <a href="https://shop.test/">Shop</a>',
  });
  const pair = ['lea@reader.test', 'max@reader.test'];
  await server.sendBatch(pair, {
    template: 'bye',
    'v:name': '%recipient.name%',
    'v:link': '%unsubscribe_url%',
    text: '',
    'recipient-variables': JSON.stringify({ 'lea@reader.test': { name: 'Lea' }, 'max@reader.test': { name: 'Max' } }),
    'o:tracking-clicks': 'yes',
  });
  const [lea, max] = [await mailTo(pair[0] as string), await mailTo(pair[1] as string)];
  assert.match(lea.html, /Dear Lea/);
  assert.match(lea.html, /href="https:\/\/mail\.ours\.test\/c\//);
  assert.notEqual(linkIn(lea.html), linkIn(max.html));
  await press(linkIn(max.html), { do: 'unsubscribe' });
  assert.deepEqual(await unsubscribeOf('max@reader.test'), ['*']);
});

test('members of a mailing list leave it by one click, and are mailed otherwise', async () => {
  const to = 'ned@reader.test';
  await server.mustCall('POST', `/v3/lists/${LIST}/members`, { address: to });
  const subscribed = async (): Promise<unknown> =>
    ((await server.mustCall('GET', `/v3/lists/${LIST}/members/${to}`)).body['member'] as Record<string, unknown>)['subscribed'];
  await server.send(LIST, { text: 'Leave: %mailing_list_unsubscribe_url%' });
  const mail = await mailTo(to);
  assert.equal(field(mail.raw, 'List-Id'), `<circle.${DOMAIN}>`);
  assert.equal(field(mail.raw, 'List-Unsubscribe-Post'), 'List-Unsubscribe=One-Click');
  assert.match(await (await follow(linkIn(mail.text))).text(), /leave the mailing list <bdi>circle@ours\.test<\/bdi>/);
  await press(linkIn(field(mail.raw, 'List-Unsubscribe') ?? ''), { 'List-Unsubscribe': 'One-Click' });
  assert.equal(await subscribed(), false);
  assert.equal(await unsubscribeOf(to), undefined);
  const [event] = await eventsOf(to, 'unsubscribed');
  assert.equal((event?.['mailing-list'] as Record<string, string> | undefined)?.['address'], LIST);
  assert.match(await (await press(linkIn(mail.text), { do: 'subscribe' })).text(), /subscribed again/);
  assert.equal(await subscribed(), true);
});
