/** Opens and clicks in the running program: mail that was sent over the API and by SMTP is captured, its pixel is loaded and its links are followed, and what came of it is seen. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation, submit } from '../kit/installation.ts';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { hourLasts } from '../kit/hour.ts';
import { until } from '../kit/until.ts';

const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36';
const HTML =
  '<html><body><p>Hello</p><a href="https://shop.example/?a=1&amp;b=2">Shop</a> <a href="https://help.example/" disable-tracking=true>Help</a></body></html>';

// Statistics of a day are compared.
await hourLasts(120_000);
const home = await Installation.make(
  { after },
  {
    'sandbox.capture': 'true',
    'dkim.sign': 'true',
    // The tests do within milliseconds what people do later.
    'tracking.human_after': '0s',
    'webhooks.allow_networks': '127.0.0.0/8',
  },
);
const server = await home.start();
// Before any mail: which domains have lists is remembered for a while.
const LIST = `list@${DOMAIN}`;
await server.mustCall('POST', '/v3/lists', { address: LIST });

interface Captured {
  readonly id: number;
  readonly recipients: readonly string[];
}
interface Mail {
  readonly raw: string;
  readonly text: string;
  readonly html: string;
  readonly dkim: readonly { readonly result: string }[];
}

/** What the address got, as soon as it is there. */
async function mailTo(address: string): Promise<Mail> {
  const found = await until(async () => {
    const { body } = await server.mustCall('GET', '/v1/sandbox/messages?limit=300');
    return (body['items'] as Captured[]).find(({ recipients }) => recipients.includes(address));
  }, `mail to ${address}`);
  const { body } = await server.mustCall('GET', `/v1/sandbox/messages/${found.id}`);
  return { ...(body as unknown as Mail), raw: (await server.mustCall('GET', `/v1/sandbox/messages/${found.id}/raw`)).text };
}

const linksIn = (text: string): string[] => text.match(/http:\/\/127\.0\.0\.1:\d+\/c\/[\w-]+/g) ?? [];
const pixelIn = (html: string): string => (/http:\/\/127\.0\.0\.1:\d+\/o\/[\w-]+/.exec(html) ?? [''])[0];
const visit = (url: string, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { redirect: 'manual', ...init, headers: { 'user-agent': CHROME, ...(init.headers as Record<string, string> | undefined) } });

interface Event {
  readonly event: string;
  readonly recipient: string;
  readonly url?: string;
  readonly ip?: string;
  readonly tags?: readonly string[];
  readonly geolocation?: unknown;
  readonly 'client-info'?: Readonly<Record<string, string>>;
  readonly message: { readonly headers: Readonly<Record<string, string>> };
}

/** The events of one kind and recipient, once there are so many. */
async function events(kind: string, recipient: string, count: number): Promise<Event[]> {
  return until(async () => {
    const { body } = await server.mustCall(
      'GET',
      `/v3/${DOMAIN}/events?ascending=yes&event=${kind}&recipient=${encodeURIComponent(recipient)}`,
    );
    const items = body['items'] as Event[];
    assert.ok(items.length <= count, `${items.length} events ${kind}`);
    return items.length === count && items;
  }, `${count} events ${kind} of ${recipient}`);
}

async function metrics(
  names: readonly string[],
  more: object,
): Promise<{ dimensions: { value: string }[]; metrics: Record<string, unknown> }[]> {
  const response = await fetch(`${server.url}/v1/analytics/metrics`, {
    method: 'POST',
    headers: { ...server.authorization(), 'content-type': 'application/json' },
    body: JSON.stringify({ duration: '1d', resolution: 'day', metrics: names, ...more }),
  });
  assert.equal(response.status, 200);
  return ((await response.json()) as { items: never[] }).items;
}

test('mail of a domain that counts nothing is what it was', async () => {
  await server.send('plain@x.example', { html: HTML, text: 'See https://shop.example/' });
  const { html, text } = await mailTo('plain@x.example');
  assert.equal(html.trim(), HTML);
  assert.equal(text.trim(), 'See https://shop.example/');
});

test('what is sent with tracking has a pixel and links of its recipient, signed, and both lead where they should', async () => {
  const id = await server.send('ann@x.example', {
    html: HTML,
    text: 'See https://shop.example/now.',
    'o:tracking': 'yes',
    'o:tag': 'news',
  });
  const mail = await mailTo('ann@x.example');
  assert.deepEqual(new Set(mail.dkim.map(({ result }) => result)), new Set(['pass']));
  assert.match(mail.html, /<a href="https:\/\/help\.example\/" disable-tracking=true>/);

  const opened = await visit(pixelIn(mail.html));
  assert.equal(opened.status, 200);
  assert.equal(opened.headers.get('content-type'), 'image/gif');
  assert.match(opened.headers.get('cache-control') ?? '', /no-store/);
  assert.deepEqual([...new Uint8Array(await opened.arrayBuffer()).slice(0, 6)], [...Buffer.from('GIF89a')]);

  const [inHtml = ''] = linksIn(mail.html);
  const clicked = await visit(inHtml, { headers: { 'x-forwarded-for': '203.0.113.9' } });
  assert.deepEqual([clicked.status, clicked.headers.get('location')], [302, 'https://shop.example/?a=1&b=2']);
  assert.equal(clicked.headers.get('referrer-policy'), 'no-referrer');
  assert.match(clicked.headers.get('x-robots-tag') ?? '', /noindex/);
  const [inText = ''] = linksIn(mail.text);
  assert.equal((await visit(inText)).headers.get('location'), 'https://shop.example/now');

  const [open] = await events('opened', 'ann@x.example', 1);
  assert.deepEqual(open?.['client-info'], {
    'client-type': 'browser',
    'client-os': 'Linux',
    'device-type': 'desktop',
    'client-name': 'Chrome',
    'user-agent': CHROME,
    bot: '',
  });
  assert.equal(open.ip, '127.0.0.1', 'nobody is believed about their address');
  assert.deepEqual(open.geolocation, { country: 'Unknown', region: 'Unknown', city: 'Unknown' });
  assert.deepEqual([open.tags, open.message], [['news'], { headers: { 'message-id': id } }]);
  const clicks = await events('clicked', 'ann@x.example', 2);
  assert.deepEqual(new Set(clicks.map(({ url }) => url)), new Set(['https://shop.example/?a=1&b=2', 'https://shop.example/now']));
});

test('people and machines are counted apart, and what is unique is so for each', async () => {
  await server.send('bob@x.example', { html: HTML, 'o:tracking': 'yes', 'o:tag': 'counted' });
  const { html } = await mailTo('bob@x.example');
  const pixel = pixelIn(html);
  for (const userAgent of ['Mozilla/5.0', 'Mozilla/5.0', CHROME, CHROME, CHROME])
    await (await visit(pixel, { headers: { 'user-agent': userAgent } })).arrayBuffer();
  const [link = ''] = linksIn(html);
  await visit(link, { method: 'HEAD' });
  await visit(link, { headers: { 'sec-purpose': 'prefetch' } });
  await visit(link);
  const bots = (await events('opened', 'bob@x.example', 5)).map((event) => event['client-info']?.['bot']);
  assert.deepEqual(bots.toSorted(), ['', '', '', 'apple', 'apple']);
  assert.equal((await events('clicked', 'bob@x.example', 3)).filter((event) => event['client-info']?.['bot'] === 'generic').length, 2);

  const names = ['opened_count', 'unique_opened_count', 'clicked_count', 'unique_clicked_count'];
  const tag = { attribute: 'tag', comparator: '=', values: [{ value: 'counted' }] };
  const [all] = await metrics(names, { dimensions: ['tag'], filter: { AND: [tag] } });
  assert.deepEqual(all?.metrics, { opened_count: 5, unique_opened_count: 1, clicked_count: 3, unique_clicked_count: 1 });
  const people = { attribute: 'bot', comparator: '=', values: [{ value: '' }] };
  const [human] = await metrics(names, { dimensions: ['tag'], filter: { AND: [tag, people] } });
  assert.deepEqual(human?.metrics, { opened_count: 3, unique_opened_count: 1, clicked_count: 1, unique_clicked_count: 1 });
  const byBot = await metrics(names, { dimensions: ['bot'], filter: { AND: [tag] } });
  assert.deepEqual(Object.fromEntries(byBot.map(({ dimensions, metrics: counts }) => [dimensions[0]?.value, counts])), {
    '': { opened_count: 3, unique_opened_count: 1, clicked_count: 1, unique_clicked_count: 1 },
    apple: { opened_count: 2, unique_opened_count: 1, clicked_count: 0, unique_clicked_count: 0 },
    generic: { opened_count: 0, unique_opened_count: 0, clicked_count: 2, unique_clicked_count: 1 },
  });
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/tag/stats?tag=counted&event=opened&event=clicked&duration=1d`);
  const totals = (body['stats'] as Record<string, { total: number; unique: number }>[]).filter((each) => (each['opened']?.total ?? 0) > 0);
  assert.deepEqual(
    totals.map(({ opened, clicked }) => [opened, clicked]),
    [
      [
        { total: 5, unique: 1 },
        { total: 3, unique: 1 },
      ],
    ],
  );
});

test('logs can be asked for what machines did, and the older aggregates know devices', async () => {
  await server.send('lea@x.example', { html: HTML, 'o:tracking': 'yes', 'o:tag': 'devices' });
  const { html } = await mailTo('lea@x.example');
  const phone =
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1';
  for (const userAgent of [phone, 'Mozilla/5.0']) await visit(pixelIn(html), { headers: { 'user-agent': userAgent } });
  await events('opened', 'lea@x.example', 2);
  const logs = async (attribute: string, value: string): Promise<unknown[]> => {
    const response = await fetch(`${server.url}/v1/analytics/logs`, {
      method: 'POST',
      headers: { ...server.authorization(), 'content-type': 'application/json' },
      body: JSON.stringify({
        duration: '1d',
        events: ['opened'],
        filter: {
          AND: [
            { attribute: 'recipient', comparator: '=', values: [{ value: 'lea@x.example' }] },
            { attribute, comparator: '=', values: [{ value }] },
          ],
        },
      }),
    });
    return ((await response.json()) as { items: { 'client-info': { 'user-agent': string } }[] }).items.map(
      (item) => item['client-info']['user-agent'],
    );
  };
  assert.deepEqual(await logs('bot', 'apple'), ['Mozilla/5.0']);
  assert.deepEqual(await logs('bot', ''), [phone]);
  assert.deepEqual(await logs('device', 'mobile'), [phone]);
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/tag/stats/aggregates?tag=devices&type=devices`);
  assert.equal((body['device'] as Record<string, Record<string, number>>)['mobile']?.['unique_opened'], 1);
});

test('each member of a mailing list has links of their own', async () => {
  for (const address of ['m1@x.example', 'm2@x.example']) await server.mustCall('POST', `/v3/lists/${LIST}/members`, { address });
  await server.send(LIST, { html: HTML, 'o:tracking': 'yes' });
  const [first, second] = [await mailTo('m1@x.example'), await mailTo('m2@x.example')];
  assert.equal(linksIn(first.html).length, 1);
  assert.notDeepEqual(linksIn(first.html), linksIn(second.html));
  await visit(linksIn(second.html)[0] as string);
  await events('clicked', 'm2@x.example', 1);
});

test('SMTP mail is counted by its headers, which do not leave with it, and each recipient has links of their own', async () => {
  const talk = await server.smtp();
  const text = [
    `From: app@${DOMAIN}`,
    'To: cid@x.example',
    'Subject: By SMTP',
    'X-Mailgun-Track: yes',
    'X-Mailgun-Track-Opens: no',
    'MIME-Version: 1.0',
    'Content-Type: text/html; charset=utf-8',
    '',
    HTML,
  ].join('\r\n');
  assert.match(await submit(talk, ['cid@x.example', 'dan@x.example'], text), /^250/);
  const [cid, dan] = [await mailTo('cid@x.example'), await mailTo('dan@x.example')];
  assert.doesNotMatch(cid.raw, /X-Mailgun-Track/i);
  assert.equal(pixelIn(cid.html), '');
  assert.notDeepEqual(linksIn(cid.html), linksIn(dan.html));
  await visit(linksIn(dan.html)[0] as string);
  assert.equal((await events('clicked', 'dan@x.example', 1))[0]?.url, 'https://shop.example/?a=1&b=2');
  await events('clicked', 'cid@x.example', 0);
});

test('what its submitter signed is left as it is, until the message itself asks for counting', async (t) => {
  const active = (value: string, footer = {}): Promise<unknown> =>
    Promise.all([
      server.mustCall('PUT', `/v3/domains/${DOMAIN}/tracking/open`, { active: value }),
      server.mustCall('PUT', `/v3/domains/${DOMAIN}/tracking/click`, { active: value }),
      server.mustCall('PUT', `/v3/domains/${DOMAIN}/tracking/unsubscribe`, { active: value, ...footer }),
    ]);
  await active('yes', { html_footer: '<p>Leave</p>', text_footer: 'Leave' });
  t.after(() => active('no'));
  const talk = await server.smtp();
  const text = (...fields: string[]): string =>
    [...fields, `From: app@${DOMAIN}`, 'Subject: Signed', 'MIME-Version: 1.0', 'Content-Type: text/html', '', HTML].join('\r\n');
  const signature = `DKIM-Signature: v=1; a=rsa-sha256; d=${DOMAIN}; s=own; h=From:Subject; bh=AAAA; b=AAAA`;
  assert.match(await submit(talk, ['sealed@x.example'], text(signature)), /^250/);
  assert.match(await submit(talk, ['asked@x.example'], text(signature, 'X-Mailgun-Track: yes')), /^250/);
  assert.match(await submit(talk, ['unsigned@x.example'], text()), /^250/);
  const sealed = await mailTo('sealed@x.example');
  assert.equal(sealed.html.trim(), HTML);
  assert.doesNotMatch(sealed.raw, /^List-Unsubscribe/im);
  const asked = await mailTo('asked@x.example');
  assert.notEqual(pixelIn(asked.html), '');
  assert.doesNotMatch(asked.html, /Leave/);
  const unsigned = await mailTo('unsigned@x.example');
  assert.equal(linksIn(unsigned.html).length, 1);
  assert.match(unsigned.html, /Leave/);
});

test('in a batch what was filled in for a recipient is what is counted', async () => {
  await server.sendBatch(['eve@x.example'], {
    html: '<a href="https://shop.example/%recipient.id%">x</a> <a href="https://shop.example/%recipient.none%">y</a>',
    'recipient-variables': JSON.stringify({ 'eve@x.example': { id: 'e-1' } }),
    'o:tracking-clicks': 'htmlonly',
  });
  const { html } = await mailTo('eve@x.example');
  assert.match(html, /https:\/\/shop\.example\/%recipient\.none%/);
  assert.deepEqual(await Promise.all(linksIn(html).map(async (link) => (await visit(link)).headers.get('location'))), [
    'https://shop.example/e-1',
  ]);
});

test("a domain's settings hold for its mail, until a message says otherwise", async () => {
  const path = `/v3/domains/${DOMAIN}/tracking`;
  try {
    await server.mustCall('PUT', `${path}/open`, { active: 'yes', place_at_the_top: 'yes' });
    await server.mustCall('PUT', `${path}/click`, { active: 'htmlonly', utm: 'utm_source=news&utm_medium=email' });
    const shown = (await server.mustCall('GET', path)).body['tracking'] as Record<string, unknown>;
    assert.deepEqual(shown['click'], { active: 'htmlonly', utm: 'utm_source=news&utm_medium=email' });
    for (const utm of ['utm_source', 'a=b c', 'a=<b>', 'a=b&&c=d', 'x'.repeat(600)])
      assert.equal((await server.call('PUT', `${path}/click`, { utm })).status, 400, utm);
    await server.send('fay@x.example', { html: HTML, text: 'https://shop.example/' });
    await server.send('gus@x.example', { html: HTML, 'o:tracking': 'no' });
    const fay = await mailTo('fay@x.example');
    assert.match(fay.html, /<body><img width="1" height="1"/);
    assert.deepEqual(linksIn(fay.text), []);
    assert.equal(
      (await visit(linksIn(fay.html)[0] as string)).headers.get('location'),
      'https://shop.example/?a=1&b=2&utm_source=news&utm_medium=email',
    );
    assert.equal((await mailTo('gus@x.example')).html.trim(), HTML);
  } finally {
    await server.mustCall('PUT', `${path}/open`, { active: 'no', place_at_the_top: 'no' });
    await server.mustCall('PUT', `${path}/click`, { active: 'no', utm: '' });
  }
});

test('a webhook is told of opens and clicks', async (t) => {
  const receiver = await startHttpReceiver();
  t.after(() => receiver.close());
  for (const id of ['opened', 'clicked'])
    await server.mustCall('POST', `/v3/domains/${DOMAIN}/webhooks`, { id, url: `http://127.0.0.1:${receiver.port}/${id}` });
  await server.send('hal@x.example', { html: HTML, 'o:tracking': 'yes' });
  const { html } = await mailTo('hal@x.example');
  await visit(pixelIn(html));
  await visit(linksIn(html)[0] as string);
  const [told] = await until(() => receiver.at('/clicked').length > 0 && receiver.at('/clicked'), 'the click');
  const data = (JSON.parse((told as { body: Buffer }).body.toString()) as { 'event-data': Event })['event-data'];
  assert.deepEqual([data.event, data.recipient, data.url], ['clicked', 'hal@x.example', 'https://shop.example/?a=1&b=2']);
  await until(() => receiver.at('/opened').length === 1, 'the open');
});

test('the copy that is posted is what was sent, links and all', async (t) => {
  const receiver = await startHttpReceiver();
  t.after(() => receiver.close());
  await server.send('kim@x.example', { html: HTML, 'o:tracking': 'yes', 'o:archive-to': `http://127.0.0.1:${receiver.port}/copies` });
  const { raw } = await mailTo('kim@x.example');
  const [copy] = await until(() => receiver.at('/copies').length > 0 && receiver.at('/copies'), 'the copy');
  assert.equal(linksIn(raw.replaceAll('=\r\n', '')).length, 1);
  // The server that took it put its own field above.
  assert.ok(raw.endsWith((copy as { body: Buffer }).body.toString()));
});

test('a token that is forged, cut or of another kind leads nowhere', async () => {
  await server.send('ida@x.example', { html: HTML, 'o:tracking': 'yes' });
  const { html } = await mailTo('ida@x.example');
  const [link = ''] = linksIn(html);
  const forged = Buffer.from(link.slice(link.lastIndexOf('/') + 1), 'base64url')
    .toString('latin1')
    .replace('shop.example', 'evil.example');
  for (const url of [
    `${server.url}/c/${Buffer.from(forged, 'latin1').toString('base64url')}`,
    `${link.slice(0, -1)}${link.endsWith('A') ? 'B' : 'A'}`,
    `${link}x`,
    link.slice(0, -2),
    link.replace('/c/', '/o/'),
    pixelIn(html).replace('/o/', '/c/'),
    `${server.url}/c/https://evil.example`,
    `${server.url}/c/${encodeURIComponent('https://evil.example')}`,
    `${server.url}/c/x?url=https://evil.example`,
  ]) {
    const response = await visit(url);
    assert.deepEqual([response.status, response.headers.get('location')], [404, null], url);
  }
  await events('clicked', 'ida@x.example', 0);
});

test('links of mail whose content was deleted go on leading', async () => {
  const id = await server.send('jon@x.example', { html: HTML, 'o:tracking': 'yes' });
  const { html } = await mailTo('jon@x.example');
  const [stored] = (await server.mustCall('GET', `/v3/${DOMAIN}/events?event=accepted&message-id=${encodeURIComponent(id)}`)).body[
    'items'
  ] as { storage: { key: string } }[];
  await server.mustCall('DELETE', `/v3/domains/${DOMAIN}/messages/${stored?.storage.key}`);
  assert.equal((await visit(linksIn(html)[0] as string)).status, 302);
});

test('who tries many wrong links is no longer told that they are not known', async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, async (_, n) => (await visit(`${server.url}/c/wrong${n}`)).status));
  assert.deepEqual(new Set(answers), new Set([404, 429]));
});
