/** Mailgun's official JavaScript SDK against this server: only the URL differs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { startRig } from './api-kit.ts';

test('mailgun.js works by changing only its URL', async (t) => {
  await using rig = await startRig();
  const client = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url });
  const letter = { from: 'Ann <ann@example.org>', to: ['bob@example.net'], subject: 'Hello', text: 'Hi' };

  await t.test('messages.create sends, with attachments', async () => {
    const answer = await client.messages.create('example.org', {
      ...letter,
      'o:tag': ['a', 'b'],
      'v:order': '7',
      attachment: { data: Buffer.from('receipt'), filename: 'receipt.txt' },
      inline: { data: Buffer.from('logo'), filename: 'logo.png' },
    });
    assert.equal(answer.status, 200);
    assert.match(answer.id ?? '', /^<.+@example\.org>$/);
    assert.equal(answer.message, 'Queued. Thank you.');
    const content = rig.submissions.at(-1)?.content;
    assert.ok(content?.kind === 'parts');
    assert.deepEqual(
      content.attachments.map((item) => [item.filename, item.bytes.toString(), item.contentId]),
      [
        ['receipt.txt', 'receipt', undefined],
        ['logo.png', 'logo', 'logo.png'],
      ],
    );
  });

  await t.test('messages.create with a message sends MIME', async () => {
    const answer = await client.messages.create('example.org', {
      to: ['bob@example.net'],
      message: 'From: ann@example.org\r\nSubject: x\r\n\r\nhi\r\n',
    });
    assert.equal(answer.status, 200);
    assert.equal(rig.submissions.at(-1)?.content.kind, 'mime');
  });

  await t.test('events.get pages through everything that happened', async () => {
    for (let i = 0; i < 5; i++) await client.messages.create('example.org', { ...letter, subject: `No ${i}`, to: [`r${i}@example.net`] });
    const seen: string[] = [];
    let page = await client.events.get('example.org', { limit: 3, ascending: 'yes', event: 'accepted' });
    while (page.items.length > 0) {
      seen.push(...page.items.map((item) => (item as unknown as { recipient: string }).recipient));
      assert.match(page.pages.next.url, new RegExp(`^${rig.url}/v3/example\\.org/events/`));
      page = await client.events.get('example.org', { limit: 3, page: page.pages.next.page });
    }
    assert.deepEqual(seen, [
      'bob@example.net',
      'bob@example.net',
      'r0@example.net',
      'r1@example.net',
      'r2@example.net',
      'r3@example.net',
      'r4@example.net',
    ]);
  });

  await t.test('domains.get and domains.list show the domain and its records', async () => {
    const domain = await client.domains.get('example.org');
    assert.equal(domain.name, 'example.org');
    assert.ok(
      (domain.sending_dns_records ?? []).some((record) => record.name.endsWith('._domainkey.example.org') && record.value.includes('p=')),
    );
    assert.deepEqual(
      (await client.domains.list()).map((item) => item.name),
      ['example.org'],
    );
  });

  await t.test('domains.create adds one', async () => {
    const created = await client.domains.create({ name: 'News.Example' });
    assert.equal(created.name, 'news.example');
    await assert.rejects(() => client.domains.create({ name: 'news.example' }), {
      status: 400,
      details: 'This domain name is already taken',
    });
  });

  await t.test('suppressions are listed, made, read and destroyed', async () => {
    await client.suppressions.create('example.org', 'bounces', [{ address: 'Gone@example.net', code: 550, error: 'no such user' }]);
    const list = await client.suppressions.list('example.org', 'bounces');
    assert.deepEqual(
      (list.items as unknown as { address: string; code: number; error: string }[]).map((item) => [item.address, item.code, item.error]),
      [['gone@example.net', 550, 'no such user']],
    );
    assert.deepEqual(
      { ...(await client.suppressions.get('example.org', 'bounces', 'gone@example.net')) }['address' as never],
      'gone@example.net',
    );
    assert.equal(
      (await client.suppressions.destroy('example.org', 'bounces', 'gone@example.net')).message,
      'Bounced address has been removed',
    );
    await assert.rejects(() => client.suppressions.get('example.org', 'bounces', 'gone@example.net'), { status: 404 });
  });

  await t.test('templates are stored and read', async () => {
    await client.domains.domainTemplates.create('example.org', {
      name: 'Receipt',
      description: 'a receipt',
      template: '<p>{{name}}</p>',
      tag: 'V1',
    } as never);
    const template = await client.domains.domainTemplates.get('example.org', 'receipt', { active: 'yes' } as never);
    assert.equal(template.version?.tag, 'v1');
    assert.equal(template.version?.template, '<p>{{name}}</p>');
  });

  await t.test('a wrong key is an error that says Forbidden', async () => {
    const wrong = new Mailgun(FormData).client({ username: 'api', key: 'wrong', url: rig.url });
    await assert.rejects(() => wrong.messages.create('example.org', letter), { status: 401, details: 'Forbidden' });
  });
});
