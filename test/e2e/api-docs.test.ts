/** /docs: every endpoint of openapi.json stands on a page for people, and nothing of the pages comes from elsewhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRig } from './api-kit.ts';

interface Described {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly summary: string; readonly parameters?: readonly { readonly name: string }[] }>>>
  >;
}

test('every endpoint is listed, and shown with its parameters and an example on the page that the list leads to', async () => {
  await using rig = await startRig();
  const { paths } = (await (await fetch(`${rig.url}/openapi.json`)).json()) as Described;
  const overview = await (await fetch(`${rig.url}/docs`)).text();
  const pages = new Map<string, string>();
  const links = [...overview.matchAll(/href="(\/docs\/[\w-]+)#([^"]+)"/g)].map(([, page = '', id = '']) => ({ page, id }));
  for (const page of new Set(links.map((link) => link.page))) pages.set(page, await (await fetch(rig.url + page)).text());
  const shown = links.map(({ page, id }) => {
    const [, part] = (pages.get(page) ?? '').split(`<section id="${id}"`);
    assert.ok(part !== undefined, `${page} has ${id}`);
    return part.split('<section')[0] as string;
  });
  let count = 0;
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { parameters = [] }] of Object.entries(methods)) {
      count++;
      const part = shown.find((each) => each.includes(`>${method.toUpperCase()}</span`) && each.includes(`<code>${path}</code>`));
      assert.ok(part !== undefined, `${method} ${path} is shown`);
      assert.match(part, /curl --user/);
      for (const { name } of parameters) assert.ok(part.includes(`<code>${name}</code>`), `${method} ${path} tells of ${name}`);
    }
  }
  assert.equal(links.length, count, 'each stands there once');
  assert.doesNotMatch(overview, /docs\/more/, 'each endpoint has a family (src/api/pages/api-families.ts)');
});

test('the pages load nothing from elsewhere, run nothing of their own, and have no key in them', async () => {
  await using rig = await startRig();
  for (const path of ['/docs', '/docs/', '/docs/messages']) {
    const response = await fetch(rig.url + path);
    const page = await response.text();
    assert.equal(response.status, 200);
    const policy = response.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.doesNotMatch(page, /(?:src|href)="(?:https?:)?\/\//);
    assert.doesNotMatch(page, /<style|style=|<script(?! src="\/-\/app\.js")|\son\w+=/);
    assert.ok(!page.includes(rig.tenant.key));
  }
  assert.equal((await fetch(`${rig.url}/docs/nothing`)).status, 404);
});
