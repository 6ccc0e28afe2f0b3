import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MailReader } from './mail-reader.ts';
import { asForm, asJson, forwardFields, notifyFields, type PostedFacts } from './posted-mail.ts';

const SIGNATURE = { timestamp: '1', token: 't', signature: 's' };

async function factsOf(...lines: readonly string[]): Promise<PostedFacts> {
  const reader = new MailReader((html) => `text of ${html}`);
  return {
    ...(await reader.read(1, Buffer.from(lines.join('\r\n')))),
    recipient: 'bob@ours.example',
    sender: 'ann@sender.example',
    signature: SIGNATURE,
  };
}

test('fields of the message do not take the place of ours, and what is no field name is left out', async () => {
  const fields = forwardFields(
    await factsOf(
      'From: a@b.example',
      'Subject: x',
      'recipient: victim@x.example',
      'token: forged',
      'signature: forged',
      'body-plain: forged',
      'attachment-1: forged',
      'X-Ok: yes',
      '__proto__: x',
      '',
      'Hi',
    ),
  );
  const byName = Map.groupBy(fields, ([name]) => name);
  for (const name of ['recipient', 'token', 'signature', 'body-plain']) assert.equal(byName.get(name)?.length, 1, name);
  assert.equal(byName.get('recipient')?.[0]?.[1], 'bob@ours.example');
  assert.equal(byName.has('attachment-1'), false);
  assert.equal(byName.get('X-Ok')?.[0]?.[1], 'yes');
  const json = JSON.parse(Buffer.concat(asJson(fields, []).body).toString()) as Record<string, unknown>;
  assert.equal(json['token'], 't');
  assert.equal(Object.getPrototypeOf(json), Object.prototype);
});

test('a file name and a field name cannot write fields of the form of their own', async () => {
  const facts = await factsOf(
    'From: a@b.example',
    'X-"; name=token: forged',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    `Content-Disposition: attachment; filename*=utf-8''a%22%3B%20name%3D%22token%22%0D%0A%0D%0Aforged%0D%0A`,
    'Content-Type: text/x; charset="\r\n\r\nforged"',
    '',
    '--b',
    '',
    'x',
    '--b--',
  );
  const { contentType, body } = asForm(forwardFields(facts), facts.mail.files);
  const form = await new Response(new Uint8Array(Buffer.concat(body)), { headers: { 'content-type': contentType } }).formData();
  assert.deepEqual(form.getAll('token'), ['t']);
  assert.ok(form.get('attachment-1') instanceof File);
});

test('without a text part the text is made of the HTML, and of nothing there is an empty text', async () => {
  const named = (facts: PostedFacts): Record<string, string> =>
    Object.fromEntries(notifyFields(facts, { domain: 'd', messageUrl: 'https://u' }));
  assert.equal(named(await factsOf('Content-Type: text/html', '', '<b>x</b>'))['body-plain'], 'text of <b>x</b>');
  const bare = named(await factsOf('Subject: x', '', ''));
  assert.deepEqual([bare['body-plain'], bare['stripped-text'], bare['content-id-map'], bare['attachments']], ['', '', '{}', undefined]);
});

test('a large text is posted in a multipart form, where it is not encoded', async () => {
  const small = forwardFields(await factsOf('Subject: x', '', 'ü'.repeat(1000)));
  const large = forwardFields(await factsOf('Subject: x', '', 'ü'.repeat(300_000)));
  assert.equal(asForm(small, []).contentType, 'application/x-www-form-urlencoded');
  assert.match(asForm(large, []).contentType, /^multipart\/form-data/);
});
