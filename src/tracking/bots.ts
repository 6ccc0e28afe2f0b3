/**
 * Which opens and clicks are a machine's: prefetching of mailbox providers, scanners of security products, previews of chats, libraries. A table of rules with samples, each of which
 * is a test; the first rule that fits says it. What a machine does is recorded and marked, never dropped: figures can be had with and without it.
 *
 * A proxy that loads pictures when a person opens the mail (Google's, Yahoo's) is a person, seen through a proxy. User agents are what strangers say: a rule can be evaded, and
 * nothing but figures rests on one.
 */
import { createNetworkTest } from '#base/networks.ts';
import type { Bot } from '#model/count-reason.ts';

export interface Visit {
  readonly kind: 'opened' | 'clicked';
  readonly method: string;
  /** At most `AGENT_MAX` characters. */
  readonly userAgent: string;
  readonly ip: string;
  /** The request says itself that nobody asked for it yet (Sec-Purpose and its forerunners). */
  readonly isPrefetch: boolean;
  /** Since the message was handed over; negative where clocks differ. */
  readonly afterMs: number;
}

/** Characters of a user agent that are looked at and kept. */
export const AGENT_MAX = 512;

export interface BotRule {
  readonly bot: Bot;
  readonly why: string;
  readonly kind?: Visit['kind'];
  readonly agent?: RegExp;
  readonly method?: string;
  readonly networks?: readonly string[];
  readonly isPrefetch?: true;
  /** Before the time in which a person can have done it (`tracking.human_after`). */
  readonly isEarly?: true;
  /** User agents, or addresses where the rule is about networks. */
  readonly samples: readonly string[];
}

const EDGE_12 =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0';
const GOOGLE_PROXY = 'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)';

export const BOT_RULES: readonly BotRule[] = [
  {
    bot: 'apple',
    why: 'Mail Privacy Protection loads every picture through proxies when the mail arrives; they say no more than this',
    kind: 'opened',
    agent: /^Mozilla\/5\.0$/,
    samples: ['Mozilla/5.0'],
  },
  {
    bot: 'gmail',
    why: "Gmail's own prefetching while its app is open",
    kind: 'opened',
    agent: /Edge\/12\.246 Mozilla\/5\.0$/,
    samples: [EDGE_12],
  },
  {
    bot: 'gmail',
    why: 'the proxy of Gmail, before anybody can have opened the mail',
    kind: 'opened',
    agent: /GoogleImageProxy/,
    isEarly: true,
    samples: [GOOGLE_PROXY],
  },
  { bot: 'generic', why: 'says nothing, or no more than "Mozilla"', agent: /^(?:Mozilla\/[45]\.0)?$/, samples: ['', 'Mozilla/4.0'] },
  { bot: 'generic', why: 'asks whether something is there, and shows it to nobody', method: 'HEAD', samples: [] },
  { bot: 'generic', why: 'loads it in case somebody will want it', isPrefetch: true, samples: [] },
  {
    bot: 'generic',
    why: 'security products that look at links before people do',
    agent:
      /barracuda|proofpoint|mimecast|symantec|messagelabs|fireeye|trendmicro|tmufe|fortiguard|forcepoint|zscaler|sophos|mcafee|bitdefender|kaspersky|checkpoint|ironport|cloudmark|virustotal|urlscan|palo ?alto|vade ?secure/i,
    samples: [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0.4430.93 Safari/537.36 Barracuda Sentinel (EE)',
      'Proofpoint URL Defense',
      'Mozilla/5.0 (compatible; Mimecast Email Security)',
      'TMUFE',
    ],
  },
  {
    bot: 'generic',
    why: 'programs of Office that look at a link before the browser does',
    agent: /Microsoft Office (?:Existence|Protocol) Discovery|SkypeUriPreview|BingPreview|MicrosoftPreview/,
    samples: [
      'Microsoft Office Existence Discovery',
      'Microsoft Office Protocol Discovery',
      'Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com',
      'Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0; BingPreview/1.0b) like Gecko',
    ],
  },
  {
    bot: 'generic',
    why: 'previews in chats and networks',
    agent:
      /facebookexternalhit|facebot|whatsapp\/|slack-imgproxy|discordbot|telegrambot|linkedinbot|pinterest\/|redditbot|embedly|iframely|vkShare|google-pagerenderer|snapchat url preview/i,
    samples: [
      'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)',
      'WhatsApp/2.23.20.0 A',
      'Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)',
      'TelegramBot (like TwitterBot)',
      'LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)',
    ],
  },
  {
    bot: 'generic',
    why: 'calls itself a robot',
    agent: /(?<!cu)bot\b|crawl|spider|slurp|scan(?:ner)?\b|monitor(?:ing)?\b|preview\b|feedfetcher|mediapartners|archiver|validator/i,
    samples: [
      'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
      'Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)',
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)',
      'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)',
      'Twitterbot/1.0',
      'Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)',
      'Baiduspider+(+http://www.baidu.com/search/spider.htm)',
    ],
  },
  {
    bot: 'generic',
    why: 'a browser without a person, or a library',
    agent:
      /HeadlessChrome|PhantomJS|Puppeteer|Playwright|Selenium|^(?:curl|wget|libwww-perl|lwp-|python|aiohttp|httpx|go-http-client|java\/|okhttp|apache-httpclient|axios|node|undici|got |php|guzzle|ruby|faraday|http_request|postmanruntime|insomnia|dart|reqwest|winhttp|colly)/i,
    samples: [
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36',
      'curl/8.5.0',
      'Wget/1.21.4',
      'python-requests/2.31.0',
      'Python/3.11 aiohttp/3.9.1',
      'Go-http-client/1.1',
      'okhttp/4.9.2',
      'Java/17.0.9',
      'axios/1.6.2',
      'node',
      'PostmanRuntime/7.36.0',
    ],
  },
  {
    bot: 'generic',
    why: 'networks of security products (Barracuda, Proofpoint) and of the Google crawler, by their registrations',
    networks: ['64.235.144.0/20', '67.231.144.0/20', '148.163.128.0/19', '66.249.64.0/20'],
    samples: ['64.235.150.7', '67.231.152.1', '148.163.135.1', '66.249.66.1'],
  },
  { bot: 'generic', why: 'sooner than a person can have seen it', isEarly: true, samples: [] },
];

const tests = BOT_RULES.map((rule) => ({ rule, isThere: createNetworkTest(rule.networks ?? []) }));

/** undefined: nothing says that it was a machine. `humanAfterMs`: a person cannot have done it before that. */
export function botOf(visit: Visit, humanAfterMs: number): Bot | undefined {
  const found = tests.find(
    ({ rule, isThere }) =>
      (rule.kind === undefined || rule.kind === visit.kind) &&
      (rule.method === undefined || rule.method === visit.method) &&
      (rule.isPrefetch === undefined || visit.isPrefetch) &&
      (rule.isEarly === undefined || visit.afterMs < humanAfterMs) &&
      (rule.agent === undefined || rule.agent.test(visit.userAgent)) &&
      (rule.networks === undefined || isThere(visit.ip)),
  );
  return found?.rule.bot;
}
