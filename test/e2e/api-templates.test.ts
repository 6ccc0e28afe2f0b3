/** Templates over the API: of a domain and of the account, their versions and pages, and mail that is made from them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Mailgun from 'mailgun.js';
import { Enums } from 'mailgun.js/definitions';
import { ask, type Json, startRig } from './api-kit.ts';

const names = (body: Json): unknown[] => (body['items'] as Json[]).map((item) => item['name']);

test('mailgun.js manages templates by its own methods', async (t) => {
  await using rig = await startRig();
  const { domainTemplates: templates } = new Mailgun(FormData).client({ username: 'api', key: rig.tenant.key, url: rig.url }).domains;

  await t.test('create, get, update', async () => {
    const made = await templates.create('example.org', {
      name: 'Welcome',
      description: 'greets',
      template: '{{a}}',
      tag: 'V1',
      comment: 'c',
    });
    assert.equal(made.name, 'welcome');
    assert.partialDeepStrictEqual(made.version, {
      tag: 'v1',
      template: '{{a}}',
      engine: 'handlebars',
      active: true,
      comment: 'c',
      mjml: '',
    });
    assert.equal((await templates.get('example.org', 'WELCOME', { active: Enums.YesNo.YES })).version?.tag, 'v1');
    assert.equal((await templates.get('example.org', 'welcome')).version, undefined);
    const updated = await templates.update('example.org', 'welcome', { description: 'says hello' });
    assert.partialDeepStrictEqual(updated, { status: 200, message: 'template has been updated', templateName: 'welcome' });
    assert.equal((await templates.get('example.org', 'welcome')).description, 'says hello');
  });

  await t.test('versions: create, list, update, destroy', async () => {
    const added = await templates.createVersion('example.org', 'welcome', { template: '{{b}}', tag: 'v2', active: Enums.YesNo.YES });
    assert.equal(added.message, 'new version of the template has been stored');
    assert.equal(added.template.version?.active, true);
    const { template } = await templates.listVersions('example.org', 'welcome');
    assert.deepEqual(
      template.versions?.map((version) => [version.tag, version.active, Object.hasOwn(version, 'template')]),
      [
        ['v1', false, false],
        ['v2', true, false],
      ],
    );
    const changed = await templates.updateVersion('example.org', 'welcome', 'v1', { template: '{{c}}', active: Enums.YesNo.YES });
    assert.partialDeepStrictEqual(changed, {
      message: 'version has been updated',
      templateName: 'welcome',
      templateVersion: { tag: 'v1' },
    });
    assert.equal((await templates.getVersion('example.org', 'welcome', 'v1')).version?.template, '{{c}}');
    assert.equal((await templates.getVersion('example.org', 'welcome', 'v2')).version?.active, false);
    const removed = await templates.destroyVersion('example.org', 'welcome', 'v1');
    assert.equal(removed.message, 'version has been deleted');
    assert.equal((await templates.get('example.org', 'welcome', { active: Enums.YesNo.YES })).version?.tag, 'v2');
  });

  await t.test('list pages through all, destroy and destroyAll end them', async () => {
    for (const name of ['a', 'b', 'c']) await templates.create('example.org', { name, description: '', template: 'x' });
    const seen: string[] = [];
    let page = await templates.list('example.org', { limit: 3 });
    while (page.items.length > 0) {
      seen.push(...page.items.map((item) => item.name));
      page = await templates.list('example.org', { limit: 3, page: page.pages.next.page as `?${string}` });
    }
    assert.deepEqual(seen, ['a', 'b', 'c', 'welcome']);
    assert.equal((await templates.destroy('example.org', 'a')).message, 'template has been deleted');
    assert.equal((await templates.destroyAll('example.org')).message, 'templates have been deleted');
    assert.deepEqual((await templates.list('example.org')).items, []);
  });
});

test('pages of templates go forward, back and to the end', async () => {
  await using rig = await startRig();
  const path = '/v3/example.org/templates';
  for (const name of ['a', 'b b', 'c', 'd', 'e']) await ask(rig, 'POST', path, { name, template: 'x' });
  const at = async (url: string): Promise<Json> => (await ask(rig, 'GET', url.replace(rig.url, '')))[1];
  const first = await at(`${path}?limit=2`);
  const paging = (page: Json): Record<string, string> => page['paging'] as Record<string, string>;
  assert.deepEqual(names(first), ['a', 'b b']);
  assert.equal(paging(first)['first'], `${rig.url}${path}?limit=2`);
  assert.equal(paging(first)['next'], `${rig.url}${path}?page=next&p=b%20b&limit=2`);
  const second = await at(paging(first)['next'] as string);
  assert.deepEqual(names(second), ['c', 'd']);
  assert.deepEqual(names(await at(paging(second)['previous'] as string)), ['a', 'b b']);
  assert.deepEqual(names(await at(paging(first)['last'] as string)), ['d', 'e']);
  const beyond = await at(`${path}?page=next&p=e&limit=2`);
  assert.deepEqual(names(beyond), []);
  for (const url of Object.values(paging(beyond))) assert.ok(new URL(url).search.length > 1);
});

test('a version is copied to a new one, or over another, which stays active if it was', async () => {
  await using rig = await startRig();
  const path = '/v3/example.org/templates';
  await ask(rig, 'POST', path, { name: 't', template: 'one', tag: 'v1', headers: '{"Subject":"Hi"}', comment: 'first' });
  const [status, copied] = await ask(rig, 'PUT', `${path}/t/versions/V1/copy/V2?comment=again`);
  assert.equal(status, 200);
  assert.equal(copied['message'], 'version has been copied');
  assert.partialDeepStrictEqual(copied['version'], {
    tag: 'v2',
    template: 'one',
    comment: 'again',
    active: false,
    headers: { Subject: 'Hi' },
  });
  assert.deepEqual(copied['template'], copied['version']);
  await ask(rig, 'PUT', `${path}/t/versions/v2`, { template: 'two' });
  const [, over] = await ask(rig, 'PUT', `${path}/t/versions/v2/copy/v1`);
  assert.partialDeepStrictEqual(over['version'], { tag: 'v1', template: 'two', active: true });
  assert.deepEqual(await ask(rig, 'PUT', `${path}/t/versions/no/copy/v3`), [404, { message: 'template version not found' }]);
});

test('a template without a body is stored without a version', async () => {
  await using rig = await startRig();
  const [status, made] = await ask(rig, 'POST', '/v3/example.org/templates', { name: 'empty', createdBy: 'ann' });
  assert.equal(status, 200);
  assert.partialDeepStrictEqual(made['template'], { name: 'empty', createdBy: 'ann' });
  assert.equal(Object.hasOwn(made['template'] as Json, 'version'), false);
});

test('what cannot be stored is refused with a sentence, and nothing is stored', async () => {
  await using rig = await startRig();
  const path = '/v3/example.org/templates';
  await ask(rig, 'POST', path, { name: 'there', template: 'x' });
  for (const fields of [
    {},
    { name: 'a\r\nb' },
    { name: 'x'.repeat(300) },
    { name: 'there' },
    { name: 'n', headers: '{"Subject":' },
    { name: 'n', headers: '{"Bcc":"a@b.example"}' },
    { name: 'n', headers: '[]' },
    { name: 'n', engine: 'go' },
    { name: 'n', template: 'x'.repeat(102_401) },
    { name: 'n', description: 'x'.repeat(1001) },
    { name: 'n', tag: ' ' },
  ]) {
    const [status, body] = await ask(rig, 'POST', path, fields as Record<string, string>);
    assert.equal(status, 400, JSON.stringify(fields).slice(0, 80));
    assert.ok(typeof body['message'] === 'string' && body['message'].length > 5);
  }
  assert.deepEqual(names((await ask(rig, 'GET', path))[1]), ['there']);
  assert.deepEqual(await ask(rig, 'PUT', `${path}/nope`, { description: 'x' }), [404, { message: 'template not found' }]);
  assert.deepEqual(await ask(rig, 'PUT', `${path}/there/versions/nope`, { template: 'x' }), [
    404,
    { message: 'template version not found' },
  ]);
  assert.deepEqual(await ask(rig, 'DELETE', `${path}/there/versions/nope`), [404, { message: 'template version not found' }]);
  assert.deepEqual(await ask(rig, 'POST', '/v3/not-mine.example/templates', { name: 'n' }), [404, { message: 'domain not found' }]);
});

test('more than forty versions are refused', async () => {
  await using rig = await startRig();
  const path = '/v3/example.org/templates/t/versions';
  await ask(rig, 'POST', '/v3/example.org/templates', { name: 't', template: 'x' });
  for (let i = 1; i < 40; i++) assert.equal((await ask(rig, 'POST', path, { tag: `v${i}`, template: 'x' }))[0], 200);
  assert.deepEqual(await ask(rig, 'POST', path, { tag: 'more', template: 'x' }), [400, { message: 'too many versions, max is 40' }]);
  assert.equal((await ask(rig, 'PUT', `${path}/v1/copy/more`))[0], 400);
});

test('templates of the account serve all of its domains, after their own, and no other account', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'example.com');
  await ask(rig, 'POST', '/v4/templates', {
    name: 'Shared',
    template: 'Hello {{name}}',
    headers: '{"Subject":"S","From":"ann@example.org"}',
  });
  assert.equal((await ask(rig, 'GET', '/v4/templates'))[1]['items'] !== undefined, true);
  const send = async (domain: string, key?: string): Promise<[number, Json]> =>
    ask(rig, 'POST', `/v3/${domain}/messages`, { to: 'bob@example.net', template: 'shared', 't:variables': '{"name":"Bob"}' }, key);
  assert.equal((await send('example.org'))[0], 200);
  const latest = async (): Promise<string> => {
    const [view] = await rig.store.events.latestMessages(rig.tenant.accountId, 1);
    return Buffer.from((await rig.store.mail.content(view?.message.contentId ?? 0)) ?? []).toString();
  };
  assert.match(await latest(), /Hello Bob/);
  await ask(rig, 'POST', '/v3/example.org/templates', { name: 'shared', template: 'Own {{name}}', headers: '{"From":"ann@example.org"}' });
  assert.equal((await send('example.org'))[0], 200);
  assert.match(await latest(), /Own Bob/);
  assert.deepEqual(names((await ask(rig, 'GET', '/v4/templates', undefined, other.key))[1]), []);
  assert.equal((await ask(rig, 'GET', '/v4/templates/shared', undefined, other.key))[0], 404);
  assert.equal((await send('example.com', other.key))[0], 400);
  assert.equal((await ask(rig, 'PUT', '/v4/templates/shared/versions/initial/copy/v2'))[0], 200);
  assert.equal((await ask(rig, 'GET', '/v4/templates/shared/versions'))[0], 200);
});
