/**
 * Mail with counted links in a real browser: every document of the corpus is the same document as before, but for where its links lead; and who opens and clicks is written down
 * as a browser.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { createLinkTokens } from '#tracking/link-tokens.ts';
import { linkTarget } from '#tracking/link-target.ts';
import { rewriteHtml } from '#tracking/rewrite-html.ts';
import { openBrowser } from '../kit/browser.ts';
import { DOMAIN, Installation, KEY } from '../kit/installation.ts';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { until } from '../kit/until.ts';

const BASE = 'https://links.example';
const corpus = join(import.meta.dirname, '../corpus/newsletters');
const documents = readdirSync(corpus).filter((name) => name.endsWith('.html') && !/latin1|shift-jis/.test(name));
const opened = await openBrowser();
const skip = 'missing' in opened ? opened.missing : false;
const browser = opened as Browser;
after(async () => {
  if (skip === false) await browser.close();
});

/** The document as the browser understands it: its links, and all else without them and without the pixel. */
async function understood(page: Page, html: string): Promise<{ links: string[]; rest: string }> {
  await page.route('https://mail.example/', (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body: html }));
  await page.goto('https://mail.example/');
  await page.unroute('https://mail.example/');
  return page.evaluate(UNDERSTOOD);
}

/** Runs in the page. */
const UNDERSTOOD = `(() => {
  const all = [...document.querySelectorAll('a[href], area[href]')];
  // In SVG it is an object.
  const links = all.map(({ href }) => (typeof href === 'string' ? href : href.baseVal));
  for (const link of all) link.removeAttribute('href');
  document.querySelector('img[src^="https://links.example/o/pixel"]')?.remove();
  return { links, rest: document.documentElement.outerHTML };
})()`;

/** In one spelling, where it has any. */
function whole(url: string | undefined): string | undefined {
  return url !== undefined && URL.canParse(url, 'https://mail.example/') ? new URL(url, 'https://mail.example/').href : url;
}

test('a browser understands every document of the corpus as before, and each link leads where it led', { skip }, async (t) => {
  const tokens = createLinkTokens(Buffer.alloc(32, 'k'));
  const mine = tokens.of({ recipient: 1, sentMs: 0 });
  const context = await browser.newContext({ javaScriptEnabled: false, offline: false });
  t.after(() => context.close());
  const page = await context.newPage();
  // Nothing of a document is loaded.
  await page.route('**/*', (route) => route.abort());
  for (const name of documents) {
    const html = readFileSync(join(corpus, name), 'latin1');
    const link = (given: string): string | undefined => {
      const target = linkTarget(given, BASE);
      return target === undefined ? undefined : `${BASE}/c/${mine.link(target)}`;
    };
    const decode = (octets: string): string => Buffer.from(octets, 'latin1').toString();
    const was = await understood(page, decode(html));
    for (const place of ['top', 'bottom'] as const) {
      const is = await understood(page, decode(rewriteHtml(html, { link, decode, pixel: { url: `${BASE}/o/pixel`, place } })));
      // Those in conditional comments, which are no links to this browser.
      const rest = is.rest.replace(
        /https:\/\/links\.example\/c\/([\w-]{40,})/g,
        (_, token: string) => tokens.openLink(token)?.target ?? '',
      );
      assert.equal(rest, was.rest, name);
      const led = is.links.map((href) =>
        href.startsWith(`${BASE}/c/`) && href.length > 60 ? tokens.openLink(href.slice(BASE.length + 3))?.target : href,
      );
      assert.deepEqual(led.map(whole), was.links.map(whole), name);
    }
  }
});

test('who opens mail and clicks in the captured copy is a browser, and lands on the page', { skip }, async (t) => {
  const home = await Installation.make({ after: (clean) => t.after(clean) }, { 'sandbox.capture': 'true', 'tracking.human_after': '0s' });
  const server = await home.start();
  // The shop, and somebody's webmail.
  const web = await startHttpReceiver();
  t.after(() => web.close());
  let mail = '';
  web.answerWith(
    ({ path }, response) => void response.setHeader('content-type', 'text/html').end(path === '/mail' ? mail : '<h1>Apples</h1>'),
  );
  const shop = `http://127.0.0.1:${web.port}/apples?a=1&b=2`;
  const html = `<!doctype html><html><body><p>Hello</p><a href="${shop.replace('&', '&amp;')}">Apples</a></body></html>`;
  await server.send('ann@x.example', { html, 'o:tracking': 'yes' });
  const [captured] = await until(async () => {
    const items = (await server.mustCall('GET', '/v1/sandbox/messages')).body['items'] as { id: number }[];
    return items.length > 0 && items;
  }, 'the mail');
  mail = String((await server.mustCall('GET', `/v1/sandbox/messages/${captured?.id}`)).body['html']);
  const context = await browser.newContext({
    httpCredentials: { username: 'api', password: KEY },
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36',
  });
  t.after(() => context.close());
  const events = async (kind: string): Promise<Record<string, unknown>[]> =>
    (await server.mustCall('GET', `/v3/${DOMAIN}/events?event=${kind}`)).body['items'] as Record<string, unknown>[];

  const inbox = await context.newPage();
  await inbox.goto(`http://127.0.0.1:${web.port}/mail`);
  const [open] = await until(async () => (await events('opened')).length === 1 && events('opened'), 'the open');
  const { 'client-name': name, bot } = (open?.['client-info'] ?? {}) as Record<string, string>;
  assert.deepEqual([name, bot], ['Chrome', '']);

  const page = await context.newPage();
  await page.goto(`${server.url}/-/sandbox/${captured?.id}`);
  const popup = context.waitForEvent('page');
  await page.frameLocator('iframe').getByText('Apples').click();
  const landed = await popup;
  await landed.waitForURL(shop);
  assert.equal(await landed.textContent('h1'), 'Apples');
  assert.equal(web.at('/apples')[0]?.headers.referer, undefined, 'the shop is not told where somebody came from');
  const [click] = await until(async () => (await events('clicked')).length === 1 && events('clicked'), 'the click');
  assert.equal(click?.['url'], shop);
  assert.equal((await events('opened')).length, 1, 'looking at the captured copy opens nothing');
});
