import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bot } from '#model/count-reason.ts';
import { BOT_RULES, botOf, type Visit } from './bots.ts';
import { clientOf } from './clients.ts';

const CHROME = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36';
const HUMAN_AFTER_MS = 3000;
const visit = (change: Partial<Visit> = {}): Visit => ({
  kind: 'clicked',
  method: 'GET',
  userAgent: CHROME,
  ip: '198.51.100.7',
  isPrefetch: false,
  afterMs: 60_000,
  ...change,
});
const bot = (change: Partial<Visit>): Bot | undefined => botOf(visit(change), HUMAN_AFTER_MS);

for (const rule of BOT_RULES) {
  for (const sample of rule.samples) {
    test(`"${sample}" is ${rule.bot}: ${rule.why}`, () => {
      const about = rule.networks === undefined ? { userAgent: sample } : { ip: sample };
      const seen = visit({ ...about, ...(rule.kind && { kind: rule.kind }), ...(rule.isEarly && { afterMs: 100 }) });
      assert.equal(botOf(seen, HUMAN_AFTER_MS), rule.bot);
    });
  }
}

test('a rule without samples stands on what the request is, not on what it says', () => {
  assert.equal(bot({ method: 'HEAD' }), 'generic');
  assert.equal(bot({ isPrefetch: true }), 'generic');
  assert.equal(bot({ afterMs: 2999 }), 'generic');
  assert.equal(bot({ afterMs: -1000 }), 'generic');
  assert.equal(bot({ afterMs: 3000 }), undefined);
  assert.equal(botOf(visit({ afterMs: 0 }), 0), undefined, 'with tracking.human_after = 0s nothing is too early');
});

test('a person is none, through whatever proxy their mail shows pictures', () => {
  for (const userAgent of [
    CHROME,
    'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
    'YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html',
    'Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/8.0; .NET4.0C; .NET4.0E; Microsoft Outlook 16.0.16130; ms-office; MSOffice 16)',
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
    'Mozilla/5.0 (Linux; Android 13; CUBOT KINGKONG 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Mobile Safari/537.36',
  ])
    assert.equal(bot({ kind: 'opened', userAgent }), undefined, userAgent);
});

test('Apple\u2019s proxies are so for pictures only: who clicks says more', () => {
  assert.equal(bot({ kind: 'opened', userAgent: 'Mozilla/5.0' }), 'apple');
  assert.equal(bot({ kind: 'clicked', userAgent: 'Mozilla/5.0' }), 'generic');
});

const APPLE = 'AppleWebKit/605.1.15 (KHTML, like Gecko)';
for (const [userAgent, ...expected] of [
  [CHROME, 'Chrome', 'Windows', 'browser', 'desktop'],
  [`${CHROME} Edg/120.0.0.0`, 'Edge', 'Windows', 'browser', 'desktop'],
  [`${CHROME} OPR/106.0.0.0`, 'Opera', 'Windows', 'browser', 'desktop'],
  ['Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0', 'Firefox', 'Linux', 'browser', 'desktop'],
  ['Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.5.0', 'Thunderbird', 'Linux', 'email client', 'desktop'],
  [`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${APPLE} Version/17.1 Safari/605.1.15`, 'Safari', 'OS X', 'browser', 'desktop'],
  [`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${APPLE}`, 'Apple Mail', 'OS X', 'email client', 'desktop'],
  [`Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) ${APPLE} Mobile/15E148`, 'Apple Mail', 'iOS', 'email client', 'mobile'],
  [
    `Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) ${APPLE} Version/17.1 Mobile/15E148 Safari/604.1`,
    'Safari',
    'iOS',
    'mobile browser',
    'mobile',
  ],
  [
    `Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) ${APPLE} CriOS/120.0.6099.50 Mobile/15E148 Safari/604.1`,
    'Chrome',
    'iOS',
    'mobile browser',
    'mobile',
  ],
  [
    `Mozilla/5.0 (iPad; CPU OS 17_1 like Mac OS X) ${APPLE} Version/17.1 Mobile/15E148 Safari/604.1`,
    'Safari',
    'iOS',
    'mobile browser',
    'tablet',
  ],
  [
    'Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36',
    'Chrome',
    'Android',
    'mobile browser',
    'mobile',
  ],
  [
    'Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Safari/537.36',
    'Samsung Internet',
    'Android',
    'mobile browser',
    'tablet',
  ],
  [
    'Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/8.0; Microsoft Outlook 16.0.16130; ms-office; MSOffice 16)',
    'Outlook',
    'Windows',
    'email client',
    'desktop',
  ],
  ['Outlook-iOS/723.4027091.prod.iphone (4.2334.0)', 'Outlook Mobile', 'unknown', 'email client', 'mobile'],
  [
    'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
    'Gmail image proxy',
    'unknown',
    'email client',
    'unknown',
  ],
  ['YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html', 'Yahoo Mail proxy', 'unknown', 'email client', 'unknown'],
  ['Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko', 'Internet Explorer', 'Windows', 'browser', 'desktop'],
  ['curl/8.5.0', 'curl', 'unknown', 'library', 'unknown'],
  ['Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', 'robot', 'unknown', 'robot', 'unknown'],
  ['Mozilla/5.0', 'unknown', 'unknown', 'unknown', 'unknown'],
  ['', 'unknown', 'unknown', 'unknown', 'unknown'],
] as const) {
  test(`"${userAgent}" is ${expected.join(', ')}`, () => {
    const { name, os, type, device } = clientOf(userAgent);
    assert.deepEqual([name, os, type, device], expected);
  });
}
