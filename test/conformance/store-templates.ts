/** Changing templates and their versions, of a domain and of an account. What sending asks of them stands with the accounts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { accountTemplates } from '#store/template-store.ts';
import type { Store } from '#store/store.ts';
import type { TemplateVersion } from '#store/template-store.ts';
import { suiteStore } from './suite-store.ts';
import { type Open, tenant, T0 } from './tenant.ts';

const version = (tag: string, change: Partial<TemplateVersion> = {}): Omit<TemplateVersion, 'templateId'> => ({
  name: 'welcome',
  tag,
  source: `source of ${tag}`,
  engine: 'handlebars',
  comment: '',
  headers: {},
  isActive: false,
  createdMs: T0,
  ...change,
});

export function templatesConformance(open: Open): void {
  describe('templates', () => {
    const store = suiteStore(open);
    changing(store);
    ending(store);
  });
}

function changing(store: () => Store): void {
  it('keeps a template without a version, which has none until one is put in', async () => {
    const { domainId } = await tenant(store());
    const facts = { name: 'welcome', description: 'greets', createdMs: T0, createdBy: 'ann' };
    assert.equal(await store().templates.createTemplate(domainId, facts), true);
    assert.equal(await store().templates.createTemplate(domainId, { ...facts, description: 'other' }), false);
    assert.deepEqual(await store().templates.listTemplates(domainId), [facts]);
    assert.equal(await store().templates.version(domainId, 'welcome'), undefined);
    await store().templates.putVersion(domainId, '', version('one'));
    assert.equal((await store().templates.version(domainId, 'welcome'))?.isActive, true);
    assert.deepEqual(await store().templates.listTemplates(domainId), [facts]);
  });

  it('describes the one template of the one domain', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    for (const { domainId } of [mine, theirs]) await store().templates.putVersion(domainId, 'old', version('one'), 'ann');
    assert.equal(await store().templates.describeTemplate(mine.domainId, 'welcome', 'new'), true);
    assert.equal(await store().templates.describeTemplate(mine.domainId, 'farewell', 'new'), false);
    assert.partialDeepStrictEqual(await store().templates.listTemplates(mine.domainId), [{ description: 'new', createdBy: 'ann' }]);
    assert.partialDeepStrictEqual(await store().templates.listTemplates(theirs.domainId), [{ description: 'old' }]);
  });

  it('changes of a version what is named, and leaves the others alone', async () => {
    const { domainId } = await tenant(store());
    await store().templates.putVersion(domainId, '', version('one', { comment: 'first', headers: { Subject: 'Hi' } }));
    await store().templates.putVersion(domainId, '', version('two'));
    assert.equal(await store().templates.changeVersion(domainId, 'welcome', 'one', { source: 'new' }), true);
    assert.partialDeepStrictEqual(await store().templates.version(domainId, 'welcome', 'one'), {
      source: 'new',
      comment: 'first',
      headers: { Subject: 'Hi' },
      isActive: true,
    });
    await store().templates.changeVersion(domainId, 'welcome', 'two', {
      comment: 'second',
      headers: { From: 'a@b.example' },
      isActive: true,
    });
    const listed = await store().templates.listVersions(domainId, 'welcome');
    assert.deepEqual(
      listed.map(({ tag, comment, headers, isActive }) => [tag, comment, headers, isActive]),
      [
        ['one', 'first', { Subject: 'Hi' }, false],
        ['two', 'second', { From: 'a@b.example' }, true],
      ],
    );
    assert.ok(listed.every((item) => !Object.hasOwn(item, 'source')));
    assert.equal(await store().templates.changeVersion(domainId, 'welcome', 'three', { isActive: true }), false);
    assert.equal((await store().templates.version(domainId, 'welcome'))?.tag, 'two');
  });

  it('keeps the templates of an account apart from those of its domains and of others', async () => {
    const [mine, theirs] = [await tenant(store()), await tenant(store())];
    await store().templates.putVersion(accountTemplates(mine.accountId), 'shared', version('one'));
    assert.equal((await store().templates.version(accountTemplates(mine.accountId), 'welcome'))?.source, 'source of one');
    assert.equal(await store().templates.version(mine.domainId, 'welcome'), undefined);
    assert.deepEqual(await store().templates.listTemplates(accountTemplates(theirs.accountId)), []);
  });
}

function ending(store: () => Store): void {
  it('lets the newest that is left follow an active version that is deleted', async () => {
    const { domainId } = await tenant(store());
    await store().templates.putVersion(domainId, '', version('one', { createdMs: T0 + 2000 }));
    await store().templates.putVersion(domainId, '', version('two', { createdMs: T0 + 1000 }));
    await store().templates.putVersion(domainId, '', version('three', { createdMs: T0, isActive: true }));
    assert.equal(await store().templates.deleteVersion(domainId, 'welcome', 'three'), true);
    assert.equal(await store().templates.deleteVersion(domainId, 'welcome', 'three'), false);
    assert.equal((await store().templates.version(domainId, 'welcome'))?.tag, 'one');
    await store().templates.deleteVersion(domainId, 'welcome', 'two');
    assert.equal((await store().templates.version(domainId, 'welcome'))?.tag, 'one');
    await store().templates.deleteVersion(domainId, 'welcome', 'one');
    assert.equal(await store().templates.version(domainId, 'welcome'), undefined);
    assert.equal((await store().templates.listTemplates(domainId)).length, 1);
  });
}
