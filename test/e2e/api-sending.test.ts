import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { startRig } from './api-kit.ts';

const LETTER = { from: 'Ann <ann@example.org>', to: 'bob@example.net', subject: 'Hello', text: 'Hi Bob' };

function form(fields: Record<string, string | string[]>): URLSearchParams {
  const result = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) for (const item of [value].flat()) result.append(name, item);
  return result;
}

test('POST /v3/{domain}/messages', async (t) => {
  await using rig = await startRig();
  const send = (fields: Record<string, string | string[]>, headers?: Record<string, string>) =>
    rig.fetch('/v3/example.org/messages', { method: 'POST', body: form(fields), headers });
  const last = () => {
    const submission = rig.submissions.at(-1);
    assert.ok(submission !== undefined);
    return submission;
  };
  const refusal = async (fields: Record<string, string | string[]>): Promise<[number, string]> => {
    const response = await send(fields);
    return [response.status, ((await response.json()) as { message: string }).message];
  };

  await t.test('answers as Mailgun does, with its headers', async () => {
    const response = await send(LETTER);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
    assert.match(response.headers.get('x-ratelimit-remaining') ?? '', /^\d+$/);
    assert.match(response.headers.get('x-recipient-reset') ?? '', /^\d{13}$/);
    const body = (await response.json()) as { id: string; message: string };
    assert.deepEqual(Object.keys(body), ['id', 'message']);
    assert.match(body.id, /^<[^<>]+@example\.org>$/);
    assert.equal(body.message, 'Queued. Thank you.');
    assert.deepEqual(last().envelope.recipients, [{ address: 'bob@example.net' }]);
    assert.equal(last().envelope.sender, 'ann@example.org');
  });

  await t.test('takes lists as repeated names, name[] and name[0], and removes who is named twice', async () => {
    const body = form({
      from: 'a@example.org',
      text: 'x',
      'to[]': ['b@example.net, c@example.net'],
      'to[0]': 'b@EXAMPLE.net',
      'cc[1]': 'd@example.net',
      bcc: 'c@example.net',
    });
    const response = await rig.fetch('/v3/example.org/messages', { method: 'POST', body });
    assert.equal(response.status, 200);
    assert.deepEqual(
      last().envelope.recipients.map((recipient) => recipient.address),
      ['b@example.net', 'c@example.net', 'd@example.net'],
    );
  });

  await t.test('takes multipart with attachments and inline files as they are', async () => {
    const body = new FormData();
    for (const [name, value] of Object.entries(LETTER)) body.append(name, value);
    body.append('attachment', new File([Buffer.from([0, 1, 2, 13, 10, 255])], 'données.bin', { type: 'application/x-thing' }));
    body.append('inline', new File(['png'], 'logo.png', { type: 'image/png' }));
    assert.equal((await rig.fetch('/v3/example.org/messages', { method: 'POST', body })).status, 200);
    const { content } = last();
    assert.ok(content.kind === 'parts');
    assert.deepEqual(
      content.attachments.map((item) => [item.filename, item.contentType, [...item.bytes], item.contentId]),
      [
        ['données.bin', 'application/x-thing', [0, 1, 2, 13, 10, 255], undefined],
        ['logo.png', 'image/png', [...Buffer.from('png')], 'logo.png'],
      ],
    );
  });

  await t.test('reads options, variables and headers, and leaves structural headers out', async () => {
    await send({
      ...LETTER,
      'o:tag': ['a', 'b'],
      'o:testmode': 'True',
      'v:user': '{"id":1}',
      'h:Reply-To': 'c@example.org',
      'h:content-type': 'text/evil',
      'h:X-Note': 'one\r\ntwo',
    });
    const { options, content } = last();
    assert.deepEqual(options.tags, ['a', 'b']);
    assert.equal(options.testMode, true);
    assert.deepEqual(options.variables, { user: { id: 1 } });
    assert.ok(content.kind === 'parts');
    assert.deepEqual(content.headers, [
      ['Reply-To', 'c@example.org'],
      ['X-Note', 'one two'],
    ]);
  });

  await t.test('makes one message for each recipient when recipient-variables are given, even {}', async () => {
    await send({
      ...LETTER,
      to: ['Bob <bob@example.net>', 'eve@example.net'],
      cc: 'boss@example.org',
      'recipient-variables': '{"bob@example.net":{"id":7}}',
    });
    const { batch, envelope, content } = last();
    assert.equal(batch, true);
    assert.ok(content.kind === 'parts');
    assert.deepEqual(content.to, ['%recipient%']);
    assert.deepEqual(
      envelope.recipients.map((recipient) => [recipient.address, recipient.variables?.['id'], recipient.variables?.['recipient_email']]),
      [
        ['bob@example.net', 7, undefined],
        ['boss@example.org', 7, 'bob@example.net'],
        ['eve@example.net', undefined, undefined],
        ['boss@example.org', undefined, 'eve@example.net'],
      ],
    );
    await send({ ...LETTER, 'recipient-variables': '{}' });
    assert.equal(last().batch, true);
  });

  await t.test('says what is missing or wrong in Mailgun’s words', async () => {
    assert.deepEqual(await refusal({ ...LETTER, from: '' }), [400, 'from parameter is missing']);
    assert.deepEqual(await refusal({ ...LETTER, to: '' }), [400, 'to parameter is missing']);
    assert.deepEqual(await refusal({ ...LETTER, to: 'sally%test.com' }), [
      400,
      'to parameter is not a valid address. please check documentation',
    ]);
    assert.deepEqual(await refusal({ ...LETTER, cc: 'a@b@c' }), [400, 'cc parameter is not a valid address. please check documentation']);
    assert.deepEqual(await refusal({ ...LETTER, text: '' }), [
      400,
      "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified.",
    ]);
    assert.deepEqual(await refusal({ ...LETTER, html: 'x', template: 'y' }), [400, "Only one parameters 'html' or 'template' is allowed"]);
    assert.deepEqual(await refusal({ ...LETTER, 'recipient-variables': '[1' }), [
      400,
      "'recipient-variables' parameter is not a valid JSON",
    ]);
    assert.deepEqual(await refusal({ ...LETTER, 'h:Grüße': 'x' }), [400, 'Header name must be pure ASCII: Grüße']);
    assert.deepEqual(await refusal({ ...LETTER, to: Array.from({ length: 1001 }, (_, i) => `r${i}@example.net`) }), [
      400,
      'Too many recipients, max is 1000',
    ]);
    assert.deepEqual(await refusal({ ...LETTER, 'o:deliverytime': 'tomorrow' }), [400, 'tomorrow is not an RFC-2822 compliant date']);
    assert.deepEqual(await refusal({ ...LETTER, 'v:big': 'x'.repeat(17_000) }), [
      400,
      'Send options (parameters starting with o:, h:, or v:) are limited to 16 kB total',
    ]);
  });

  await t.test('answers 401 Forbidden for a wrong key and for a domain that is not the caller’s', async () => {
    const other = await rig.addTenant('other', 'other.example');
    for (const response of [
      await rig.fetch('/v3/example.org/messages', { method: 'POST', body: form(LETTER), key: 'wrong' }),
      await rig.fetch('/v3/unknown.example/messages', { method: 'POST', body: form(LETTER) }),
      await rig.fetch('/v3/other.example/messages', { method: 'POST', body: form(LETTER) }),
      await rig.fetch('/v3/EXAMPLE.org/messages', { method: 'POST', body: form(LETTER), key: other.key }),
      await rig.fetch('/v3/example.org%2Fx/messages', { method: 'POST', body: form(LETTER) }),
    ]) {
      assert.equal(response.status, 401);
      assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
      assert.match(response.headers.get('www-authenticate') ?? '', /^Basic realm=/);
      assert.equal(await response.text(), 'Forbidden');
    }
  });

  await t.test('a repeated Idempotency-Key gets the first answer; another request under it is refused', async () => {
    const multipart = (): FormData => {
      const body = new FormData();
      for (const [name, value] of Object.entries(LETTER)) body.append(name, value);
      return body;
    };
    const post = (body: FormData | URLSearchParams) =>
      rig.fetch('/v3/example.org/messages', { method: 'POST', body, headers: { 'idempotency-key': 'order-1' } });
    const first = await post(multipart());
    const second = await post(multipart());
    assert.deepEqual(await second.json(), await first.json());
    assert.equal(first.headers.get('idempotency-replayed'), null);
    assert.equal(second.headers.get('idempotency-replayed'), 'true');
    assert.equal((await post(form({ ...LETTER, text: 'other' }))).status, 409);
  });

  await t.test('takes gzip bodies, and refuses one that unpacks beyond the limit', async () => {
    const post = (body: Buffer) =>
      rig.fetch('/v3/example.org/messages', {
        method: 'POST',
        body: new Uint8Array(body),
        headers: { 'content-encoding': 'gzip', 'content-type': 'application/x-www-form-urlencoded' },
      });
    assert.equal((await post(gzipSync(form(LETTER).toString()))).status, 200);
    const bomb = await post(gzipSync(Buffer.alloc(60 * 1024 * 1024, 0x61)));
    assert.equal(bomb.status, 413);
    assert.deepEqual(await bomb.json(), { message: 'request size exceeds 52.4MiB limit' });
    assert.equal((await post(Buffer.from('not gzip'))).status, 400);
  });

  await t.test('a domain key sends through its domain and does nothing else', async () => {
    const { secret } = await rig.accounts.createKey({ accountId: rig.tenant.accountId, domainId: rig.tenant.domain.id, role: 'sending' });
    assert.equal((await rig.fetch('/v3/example.org/messages', { method: 'POST', body: form(LETTER), key: secret })).status, 200);
    await rig.accounts.addDomain(rig.tenant.accountId, 'second.example');
    assert.equal((await rig.fetch('/v3/second.example/messages', { method: 'POST', body: form(LETTER), key: secret })).status, 401);
    assert.equal((await rig.fetch('/v3/example.org/events', { key: secret })).status, 403);
  });
});

test('POST /v3/{domain}/messages.mime', async (t) => {
  await using rig = await startRig();
  const post = (message: string | File, extra: Record<string, string> = {}) => {
    const body = new FormData();
    body.append('to', 'bob@example.net');
    body.append('message', message);
    for (const [name, value] of Object.entries(extra)) body.append(name, value);
    return rig.fetch('/v3/example.org/messages.mime', { method: 'POST', body });
  };

  await t.test('keeps the MIME, makes its line ends CRLF, and takes X-Mailgun headers as options', async () => {
    const mime = 'From: Ann <ann@example.org>\nTo: someone@else.example\nX-Mailgun-Tag: news\nSubject: Hi\n\nline 1\nline 2\n';
    assert.equal((await post(new File([mime], 'message.eml'), { 'o:tag': 'more' })).status, 200);
    const submission = rig.submissions.at(-1);
    assert.ok(submission?.content.kind === 'mime');
    assert.equal(
      submission.content.bytes.toString(),
      'From: Ann <ann@example.org>\r\nTo: someone@else.example\r\nSubject: Hi\r\n\r\nline 1\r\nline 2\r\n',
    );
    assert.equal(submission.envelope.sender, 'ann@example.org');
    assert.deepEqual(submission.envelope.recipients, [{ address: 'bob@example.net' }]);
    assert.deepEqual(submission.options.tags, ['news', 'more']);
  });

  await t.test('reads From as it is written: an encoded display name may hold a comma', async () => {
    assert.equal((await post('From: =?utf-8?q?Ann=2C_the_first?= <ann@example.org>\r\n\r\nhi\r\n')).status, 200);
    assert.equal(rig.submissions.at(-1)?.envelope.sender, 'ann@example.org');
  });

  await t.test('takes the message as a plain field too, and says when it is missing', async () => {
    assert.equal((await post('From: ann@example.org\r\n\r\nhi\r\n')).status, 200);
    const response = await rig.fetch('/v3/example.org/messages.mime', { method: 'POST', body: form({ to: 'bob@example.net' }) });
    assert.deepEqual(await response.json(), { message: 'message parameter is missing' });
  });
});
