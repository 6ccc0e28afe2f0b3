/** Routes of the running program: mail that other servers bring is posted, kept, told and sent on as the account's rules say, and nothing of it is lost on the way. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, test } from 'node:test';
import { DOMAIN } from '../kit/installation.ts';
import type { Received } from '../kit/http-receiver.ts';
import { until } from '../kit/until.ts';
import { bringTo, formOf, ours, startRoutes } from './inbound-routes-kit.ts';

const rig = await startRoutes({ after });
const { there, url } = rig;

const LETTER = [
  'From: Ann <ann@sender.test>',
  `To: Bob <bob@${DOMAIN}>`,
  'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=',
  'Message-ID: <1@sender.test>',
  'X-Tag: one',
  'X-Tag: two',
  '',
  'Yes, that is fine.',
  '',
  '-- ',
  'Ann',
  '',
  'On Mon, 12 Oct 2026 at 10:00, Bob <bob@ours.test> wrote:',
  '> Is it fine?',
  '',
].join('\r\n');

const WITH_FILES = [
  'From: Ann <ann@sender.test>',
  `To: bob@${DOMAIN}`,
  'Subject: Files',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=outer',
  '',
  '--outer',
  'Content-Type: multipart/related; boundary=inner',
  '',
  '--inner',
  'Content-Type: text/html; charset=iso-8859-1',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  '<p>Sch=F6n <img src=3D"cid:pic@x"></p><div class=3D"gmail_quote">On Monday Bob wrote:<blockquote>Old</blockquote></div>',
  '--inner',
  'Content-Type: image/png; name="pic.png"',
  'Content-ID: <pic@x>',
  'Content-Disposition: inline; filename="pic.png"',
  'Content-Transfer-Encoding: base64',
  '',
  'iVBORw0KGgo=',
  '--inner--',
  '--outer',
  'Content-Type: application/pdf',
  `Content-Disposition: attachment; filename*=utf-8''%C3%BC%22ber.pdf`,
  'Content-Transfer-Encoding: base64',
  '',
  'JVBERi0xLjc=',
  '--outer--',
  '',
].join('\r\n');

async function posted(path: string, count = 1): Promise<Received[]> {
  return until(() => (there.at(path).length >= count ? there.at(path) : undefined), `${count} posted to ${path}`);
}

interface ShownEvent extends Record<string, unknown> {
  readonly event: string;
  readonly recipient?: string;
}

interface Routed extends ShownEvent {
  readonly flags: Readonly<Record<string, boolean>>;
  readonly routes: readonly { readonly expression: string; readonly match: object }[];
  readonly storage: { readonly url: string };
  readonly envelope: { readonly transport: string };
}

async function events(kind: string): Promise<readonly ShownEvent[]> {
  const { body } = await rig.server.mustCall('GET', `/v3/${DOMAIN}/events?event=${kind}&limit=300`);
  return body['items'] as ShownEvent[];
}

async function signingKey(): Promise<string> {
  return String((await rig.server.mustCall('GET', '/v5/accounts/http_signing_key')).body['http_signing_key']);
}

test('forward posts a form with the fields that receivers know, signed, and tells of the delivery over HTTP', async () => {
  await rig.routes([`match_recipient("bob@")`, `forward("${url('/plain?token=secret')}")`]);
  assert.match(await bringTo(rig.server, ours('bob'), LETTER), /^250 /);
  const [received] = await posted('/plain');
  assert.ok(received);
  assert.equal(received.headers['content-type'], 'application/x-www-form-urlencoded');
  const { fields } = await formOf(received);
  const value = (name: string): string | undefined => fields.find(([each]) => each === name)?.[1];
  const names = fields.map(([name]) => name);
  assert.deepEqual(names.slice(0, 4), ['recipient', 'sender', 'from', 'subject']);
  assert.deepEqual(['recipient', 'sender', 'from', 'subject'].map(value), [
    ours('bob'),
    'ann@sender.test',
    'Ann <ann@sender.test>',
    'Grüße',
  ]);
  assert.match(value('body-plain') ?? '', /^Yes, that is fine\.\n\n-- \nAnn\n/);
  assert.equal(value('stripped-text'), 'Yes, that is fine.');
  assert.equal(value('stripped-signature'), '-- \nAnn');
  for (const absent of ['body-html', 'stripped-html', 'attachment-count', 'content-id-map', 'attachments', 'event'])
    assert.equal(value(absent), undefined);
  assert.deepEqual(
    fields.filter(([name]) => name === 'X-Tag').map(([, tag]) => tag),
    ['one', 'two'],
  );
  assert.equal(value('X-Mailgun-Incoming'), 'Yes');
  assert.equal(value('Message-ID'), '<1@sender.test>');
  const headers = JSON.parse(value('message-headers') ?? '') as [string, string][];
  assert.deepEqual(headers.at(-1), ['X-Tag', 'two']);
  assert.ok(headers.some(([name, text]) => name === 'Subject' && text === 'Grüße'));
  assert.match(value('timestamp') ?? '', /^\d{10}$/);
  const hmac = createHmac('sha256', await signingKey()).update(`${value('timestamp')}${value('token')}`);
  assert.equal(hmac.digest('hex'), value('signature'));
  const delivered = await until(async () => (await events('delivered')).find(({ recipient }) => recipient === ours('bob')), 'it is told');
  assert.deepEqual(delivered['envelope'] as object, { transport: 'http', sender: 'ann@sender.test', targets: url('/plain?…') });
  assert.equal((delivered['delivery-status'] as { code: number }).code, 200);
  const [accepted] = (await events('accepted')) as [Routed];
  assert.equal(accepted.flags['is-routed'], true);
  assert.equal(accepted.flags['is-authenticated'], false);
  assert.deepEqual(
    accepted.routes.map(({ expression, match }) => [expression, match]),
    [['match_recipient("bob@")', { recipient: ours('bob') }]],
  );
});

test('files are posted in their order, with a map of those that the HTML shows', async () => {
  await rig.routes(['catch_all()', `forward("${url('/files')}")`]);
  assert.match(await bringTo(rig.server, ours('bob'), WITH_FILES), /^250 /);
  const [received] = await posted('/files');
  assert.match(String(received?.headers['content-type']), /^multipart\/form-data; boundary=/);
  const { fields, files } = await formOf(received as Received);
  const all = Object.fromEntries(fields);
  assert.equal(all['attachment-count'], '2');
  assert.deepEqual([...files.keys()], ['attachment-1', 'attachment-2']);
  assert.deepEqual(
    [...files.values()].map(({ name, type }) => [name, type]),
    [
      ['pic.png', 'image/png'],
      ['ü"ber.pdf', 'application/pdf'],
    ],
  );
  assert.equal(Buffer.from(await (files.get('attachment-2') as File).arrayBuffer()).toString(), '%PDF-1.7');
  assert.deepEqual(JSON.parse(all['content-id-map'] ?? ''), { '<pic@x>': 'attachment-1' });
  assert.match(all['body-html'] ?? '', /^<p>Schön .*gmail_quote/s);
  assert.equal(all['stripped-html']?.trim(), '<p>Schön <img src="cid:pic@x"></p>');
  assert.match(all['body-plain'] ?? '', /^Schön/);
});

test('a URL that ends in mime gets the message as it is, and nothing that was read of it', async () => {
  await rig.routes(['catch_all()', `forward("${url('/in/mime')}")`]);
  assert.match(await bringTo(rig.server, ours('bob'), LETTER), /^250 /);
  const [received] = await posted('/in/mime');
  const { fields } = await formOf(received as Received);
  assert.deepEqual(
    fields.map(([name]) => name),
    ['recipient', 'sender', 'from', 'subject', 'body-mime', 'timestamp', 'token', 'signature'],
  );
  const [, mime = ''] = fields[4] ?? [];
  assert.match(mime, /^Return-Path: <ann@sender\.test>\r\n/);
  assert.ok(mime.endsWith(LETTER));
});

test('so does one whose path ends in mime and a slash, as those of Django do', async () => {
  await rig.routes(['catch_all()', `forward("${url('/django/inbound_mime/')}")`]);
  assert.match(await bringTo(rig.server, ours('bob'), LETTER), /^250 /);
  const [received] = await posted('/django/inbound_mime/');
  const { fields } = await formOf(received as Received);
  assert.ok(new Map(fields).get('body-mime')?.endsWith(LETTER));
});

test('routes run by priority until one says stop, catch_all only where none before matched, with what their filters caught', async () => {
  await rig.routes(
    ['catch_all()', `forward("${url('/caught')}")`, 9],
    [`match_recipient("(?P<user>[^+@]+)\\+(.*)@")`, `forward("${url('/p2/\\g<user>/\\2')}")`, 2],
    [`match_header("subject", "(.*)urgent")`, [`forward("${url('/p3')}")`, 'stop()'], 3],
    [`match_recipient(".*")`, `forward("${url('/p4')}")`, 4],
  );
  assert.match(await bringTo(rig.server, ours('eve+a/b?c'), LETTER), /^250 /);
  await posted('/p4');
  await posted('/p2');
  assert.deepEqual(
    there.at('/p2').map(({ path }) => path),
    ['/p2/eve/a%2Fb%3Fc'],
  );
  assert.equal(there.at('/p3').length, 0);
  assert.match(await bringTo(rig.server, ours('eve+2'), LETTER.replace(/Subject: .*/, 'Subject: most urgent')), /^250 /);
  await posted('/p3');
  await posted('/p2', 2);
  assert.equal(there.at('/p4').length, 1, 'the route that says stop was the last');
  assert.equal(there.at('/caught').length, 0);
});

test('what no route may take is refused at RCPT, and what the header decides at the end of the message', async () => {
  await rig.routes(
    [`match_recipient("only@") and match_header("x-key", "open")`, `forward("${url('/keyed')}")`],
    ['match_recipient("^drop@")', 'stop()'],
  );
  assert.match(await bringTo(rig.server, ours('nobody'), LETTER), /^550 5\.1\.1 /);
  assert.match(await bringTo(rig.server, ours('only'), LETTER), /^550 5\.1\.1 /);
  assert.match(await bringTo(rig.server, ours('only'), `X-Key: open\r\n${LETTER}`), /^250 /);
  await posted('/keyed');
  assert.match(await bringTo(rig.server, ours('drop'), LETTER), /^250 /);
  assert.match(await bringTo(rig.server, [ours('drop'), ours('only')], LETTER), /^452 4\.5\.3 /);
});

test('a receiver that fails is asked again, signed afresh; one that says 406 is not, and both are told', async () => {
  await rig.routes(
    ['match_recipient("again@")', `forward("${url('/again')}")`],
    ['match_recipient("never@")', `forward("${url('/never')}")`],
  );
  there.answerWith(({ path }, response) => {
    const isFirst = path === '/again' && there.at('/again').length === 1;
    response.writeHead(path === '/never' ? 406 : isFirst ? 500 : 200).end();
  });
  assert.match(await bringTo(rig.server, ours('again'), LETTER), /^250 /);
  assert.match(await bringTo(rig.server, ours('never'), LETTER), /^250 /);
  const [first, second] = await posted('/again', 2);
  const tokenOf = async (received: Received | undefined): Promise<unknown> =>
    Object.fromEntries((await formOf(received as Received)).fields)['token'];
  assert.notEqual(await tokenOf(first), await tokenOf(second));
  assert.deepEqual(
    [first, second].map((each) => each?.headers['x-postrider-attempt']),
    ['1', '2'],
  );
  const failed = await until(async () => {
    const found = (await events('failed')).filter(({ recipient }) => recipient === ours('never') || recipient === ours('again'));
    return found.length === 2 ? found : undefined;
  }, 'both are told');
  assert.deepEqual(failed.map(({ recipient, severity, reason }) => [recipient, severity, reason]).sort(), [
    [ours('again'), 'temporary', 'generic'],
    [ours('never'), 'permanent', 'generic'],
  ]);
  assert.equal(there.at('/never').length, 1);
  there.answerWith((_received, response) => void response.end());
});

interface Kept extends Record<string, unknown> {
  readonly attachments: readonly { readonly url: string; readonly name: string; readonly size: number; readonly 'content-type': string }[];
}

test('store keeps a message, tells of it by a form without files, and it is read, sent again and deleted through the API', async () => {
  await rig.routes(['catch_all()', `store(notify="${url('/stored')}")`]);
  assert.match(await bringTo(rig.server, [ours('keep'), ours('also')], WITH_FILES), /^250 /);
  const [first] = await posted('/stored', 2);
  const { fields } = await formOf(first as Received);
  const told = Object.fromEntries(fields);
  assert.equal(told['domain'], DOMAIN);
  assert.equal(told['attachment-count'], undefined);
  const messageUrl = String(told['message-url']);
  assert.ok(messageUrl.startsWith(`${rig.server.url}/v3/domains/${DOMAIN}/messages/`));
  const listed = JSON.parse(told['attachments'] ?? '') as Kept['attachments'];
  assert.deepEqual(
    listed.map(({ name, size }) => [name, size]),
    [
      ['pic.png', 8],
      ['ü"ber.pdf', 8],
    ],
  );
  assert.deepEqual(JSON.parse(told['content-id-map'] ?? ''), { '<pic@x>': listed[0] });
  const stored = await events('stored');
  assert.equal(stored.length, 2);
  assert.equal((stored[0] as Routed).storage.url, messageUrl);

  const path = messageUrl.slice(rig.server.url.length);
  const { body } = await rig.server.mustCall('GET', path);
  const kept = body as Kept;
  assert.deepEqual(kept.attachments, listed);
  assert.deepEqual(kept['content-id-map'], { '<pic@x>': listed[0] });
  assert.deepEqual(kept['message-headers'], JSON.parse(told['message-headers'] ?? ''));
  for (const name of [
    'sender',
    'from',
    'subject',
    'body-plain',
    'stripped-text',
    'body-html',
    'stripped-html',
    'Message-Id',
    'Content-Type',
  ])
    assert.equal(kept[name], told[name] ?? kept[name], name);
  assert.equal(kept['recipients'], `${ours('keep')}, ${ours('also')}`);
  const raw = await rig.server.mustCall('GET', path, undefined, { accept: 'message/rfc2822' });
  assert.ok(String(raw.body['body-mime']).endsWith(WITH_FILES));
  const file = await fetch(listed[1]?.url ?? '', { headers: rig.server.authorization() });
  assert.equal(await file.text(), '%PDF-1.7');

  await rig.server.mustCall('POST', path, { to: 'again@x.test' });
  await until(() => rig.home.sink.transactions.some(({ recipients }) => recipients[0]?.address === 'again@x.test'), 'it is sent again');
  await rig.server.mustCall('DELETE', path);
  assert.equal((await rig.server.call('GET', path)).status, 404);
});

test('a plain rule takes what its stars match, before routes, and counts as a match for catch_all', async () => {
  await rig.routes(['catch_all()', `forward("${url('/rest')}")`]);
  const rule = await rig.server.mustCall('POST', '/v3/forwards', {
    domain_name: DOMAIN,
    match: 'SALES-*@*',
    'forward.url': url('/ruled'),
    'forward.recipient': 'ruled@x.test',
    'forward.store': 'yes',
  });
  assert.match(await bringTo(rig.server, ours('sales-eu'), LETTER), /^250 /);
  assert.match(await bringTo(rig.server, ours('presales-eu'), LETTER), /^250 /);
  await posted('/ruled');
  const [rest] = await posted('/rest');
  assert.equal(Object.fromEntries((await formOf(rest as Received)).fields)['recipient'], ours('presales-eu'));
  await until(() => rig.home.sink.transactions.some(({ recipients }) => recipients[0]?.address === 'ruled@x.test'), 'it is sent on');
  assert.ok(
    (await events('stored')).some((event) => ((event as Routed)['message'] as { recipients: string[] }).recipients[0] === ours('sales-eu')),
  );
  await rig.server.mustCall('DELETE', `/v3/forwards/${String(rule.body['id'])}`);
  assert.match(await bringTo(rig.server, ours('sales-eu'), LETTER), /^250 /);
  await posted('/rest', 2);
});

test('webhooks are told of deliveries over HTTP, and of those that failed', async () => {
  await rig.routes(['match_recipient("told@")', `forward("${url('/told-of')}")`]);
  for (const id of ['accepted', 'delivered', 'temporary_fail'])
    await rig.server.mustCall('POST', `/v3/domains/${DOMAIN}/webhooks`, { id, url: url('/hook') });
  there.answerWith(({ path }, response) => {
    response.writeHead(path === '/told-of' && there.at('/told-of').length === 1 ? 500 : 200).end();
  });
  assert.match(await bringTo(rig.server, ours('told'), LETTER), /^250 /);
  const hooks = await posted('/hook', 3);
  const told = hooks.map(({ body }) => (JSON.parse(body.toString()) as { 'event-data': Routed })['event-data']);
  assert.deepEqual(
    told.map((event) => [event.event, event['severity'], event.recipient]),
    [
      ['accepted', undefined, ours('told')],
      ['failed', 'temporary', ours('told')],
      ['delivered', undefined, ours('told')],
    ],
  );
  assert.equal((told[2] as Routed).envelope.transport, 'http');
  for (const id of ['accepted', 'delivered', 'temporary_fail']) await rig.server.mustCall('DELETE', `/v3/domains/${DOMAIN}/webhooks/${id}`);
  there.answerWith((_received, response) => void response.end());
});

test('what was taken is posted after a kill between the reply and the post', async () => {
  await rig.routes(['catch_all()', [`forward("${url('/killed')}")`, 'forward("killed@x.test")']]);
  there.answerWith((_received, response) => void response.socket?.destroy());
  assert.match(await bringTo(rig.server, ours('bob'), WITH_FILES), /^250 /);
  await rig.server.kill();
  there.received.length = 0;
  there.answerWith((_received, response) => void response.end());
  rig.server = await rig.home.start();
  const [received] = await posted('/killed');
  assert.equal((await formOf(received as Received)).files.size, 2);
  await until(() => rig.home.sink.transactions.some(({ recipients }) => recipients[0]?.address === 'killed@x.test'), 'it is sent on');
});
