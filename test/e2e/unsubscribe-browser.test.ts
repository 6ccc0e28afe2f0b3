/** The pages for unsubscribing in a browser, as somebody with a phone and without scripts meets them. What they do is tested over plain HTTP too (unsubscribe.test.ts), whatever browser there is. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { LANGUAGES } from '#unsubscribe/languages.ts';
import { type NoBrowser, openBrowser } from '../kit/browser.ts';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const PHONE = { viewport: { width: 360, height: 740 }, javaScriptEnabled: false, hasTouch: true } as const;
const NARROW_PX = 320;
/** What a finger hits. */
const TOUCH_PX = 44;

const browser: Browser | NoBrowser = await openBrowser();
const skip = 'missing' in browser ? browser.missing : false;
if (!('missing' in browser)) after(() => browser.close());
const home = await Installation.make({ after }, { 'sandbox.capture': 'true' });
const server = await home.start();

async function opened(t: { after(clean: () => Promise<void>): void }, link: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await (browser as Browser).newContext({ ...PHONE, locale: 'en-GB', ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(link);
  return page;
}

/** Of a message to the address. */
async function linkFor(address: string, word: string, tags: readonly string[] = []): Promise<string> {
  await server.send(address, { text: `Enough? ${word}`, 'o:tag': tags });
  const found = await until(async () => {
    const { body } = await server.mustCall('GET', '/v1/sandbox/messages?limit=100');
    return (body['items'] as { id: number; recipients: string[] }[]).find(({ recipients }) => recipients.includes(address));
  }, `mail to ${address}`);
  const { body } = await server.mustCall('GET', `/v1/sandbox/messages/${found.id}`);
  const link = /http:\/\/127\.0\.0\.1:\d+\/u\/[\w-]+/.exec(String(body['text']))?.[0];
  assert.ok(link, String(body['text']));
  return link;
}

async function unsubscribeOf(address: string): Promise<unknown> {
  const { status, body } = await server.call('GET', `/v3/${DOMAIN}/unsubscribes/${address}`);
  return status === 404 ? undefined : body['tags'];
}

/** As soon as the page says so. */
async function says(page: Page, heading: string): Promise<void> {
  await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
}

test(
  'somebody with a phone unsubscribes, thinks better of it, and chooses: by touch, without scripts, and with nothing loaded but the page',
  { skip },
  async (t) => {
    const to = 'ann@reader.test';
    const page = await opened(t, 'about:blank');
    const asked: string[] = [];
    const troubles: string[] = [];
    page.on('request', (request) => asked.push(`${request.method()} ${request.resourceType()}`));
    page.on('console', (message) => troubles.push(message.text()));
    await page.goto(await linkFor(to, '%unsubscribe_url%', ['news', 'offers']));
    await says(page, 'Unsubscribe');
    assert.equal(await unsubscribeOf(to), undefined);

    await page.getByRole('button', { name: 'Unsubscribe' }).tap();
    await says(page, 'You are unsubscribed');
    assert.deepEqual(await unsubscribeOf(to), ['*']);
    await page.reload();
    await says(page, 'You are unsubscribed');

    await page.getByRole('button', { name: 'Subscribe again' }).tap();
    await says(page, 'You are subscribed again');
    assert.equal(await unsubscribeOf(to), undefined);

    await page.getByLabel('offers').tap();
    await page.getByRole('button', { name: 'Save choices' }).tap();
    await says(page, 'Your choices are saved');
    assert.deepEqual(await unsubscribeOf(to), ['offers']);
    assert.deepEqual([await page.getByLabel('news').isChecked(), await page.getByLabel('offers').isChecked()], [true, false]);

    assert.ok(
      asked.every((each) => each.endsWith(' document')),
      asked.join(),
    );
    assert.deepEqual(troubles, []);
  },
);

test('it works by keyboard alone', { skip }, async (t) => {
  const page = await opened(t, await linkFor('bob@reader.test', '%unsubscribe_url%'), { hasTouch: false });
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await says(page, 'You are unsubscribed');
  assert.deepEqual(await unsubscribeOf('bob@reader.test'), ['*']);
});

test('no other page can show it inside of itself', { skip }, async (t) => {
  const link = await linkFor('cy@reader.test', '%unsubscribe_url%');
  const page = await opened(t, `${server.url}/health/live`);
  await page.setContent(`<iframe src="${link}"></iframe>`);
  await page.waitForLoadState('networkidle');
  const inside = await page.frames()[1]?.content();
  assert.doesNotMatch(inside ?? '', /<button/);
});

test('in every language everything is in its place on the narrowest phone, and large enough for a finger', { skip }, async (t) => {
  const link = await linkFor('dot@reader.test', '%tag_unsubscribe_url%', [
    'Neues aus der Donaudampfschifffahrtsgesellschaft',
    'x'.repeat(100),
  ]);
  for (const [language, texts] of Object.entries(LANGUAGES)) {
    const page = await opened(t, link, { locale: language, viewport: { width: NARROW_PX, height: 640 } });
    const root = page.locator('html');
    assert.deepEqual(
      [await root.getAttribute('lang'), await root.getAttribute('dir')],
      [language, texts.isRightToLeft === true ? 'rtl' : 'ltr'],
    );
    await says(page, texts.unsubscribe);
    const boxes = await page.locator('main, h1, h2, p, li, legend, label, button').evaluateAll((parts) =>
      parts.map((part) => {
        const { left, right, height } = part.getBoundingClientRect();
        return { name: part.localName, left, right, height };
      }),
    );
    assert.ok(boxes.length > 10);
    for (const { name, left, right, height } of boxes) {
      assert.ok(left >= 0 && right <= NARROW_PX, `${language}: ${name} from ${left} to ${right}`);
      if (name === 'button' || name === 'label') assert.ok(height >= TOUCH_PX, `${language}: ${name} is ${height} high`);
    }
    await page.context().close();
  }
});
