/**
 * With what a message was opened or a link followed, as its user agent says: name, system, kind and device. Tables in which the first row that fits counts (a browser
 * names those that it is like after itself), with samples, each of which is a test. What is not in them is 'unknown', not guessed.
 */
export interface Client {
  readonly name: string;
  readonly os: string;
  readonly type: 'browser' | 'mobile browser' | 'email client' | 'library' | 'robot' | 'unknown';
  readonly device: 'desktop' | 'mobile' | 'tablet' | 'unknown';
}

type Row = readonly [pattern: RegExp, name: string, type?: Client['type']];

const NAMES: readonly Row[] = [
  [/GoogleImageProxy/, 'Gmail image proxy', 'email client'],
  [/YahooMailProxy/, 'Yahoo Mail proxy', 'email client'],
  [/Outlook-(?:iOS|Android)/i, 'Outlook Mobile', 'email client'],
  [/Microsoft Outlook|MSOffice|ms-office/i, 'Outlook', 'email client'],
  [/MacOutlook/, 'Outlook for Mac', 'email client'],
  [/Thunderbird\//, 'Thunderbird', 'email client'],
  [/SeaMonkey\//, 'SeaMonkey', 'email client'],
  [/Lotus-Notes|HCL-Notes/, 'Notes', 'email client'],
  [/eM Client/i, 'eM Client', 'email client'],
  [/Airmail/, 'Airmail', 'email client'],
  [/Superhuman/, 'Superhuman', 'email client'],
  [/HeadlessChrome|Googlebot|bingbot|Applebot|Slackbot|Twitterbot|facebookexternalhit|spider|crawler/i, 'robot', 'robot'],
  [/^curl\//, 'curl', 'library'],
  [/^Wget\//, 'Wget', 'library'],
  [/^python|aiohttp/i, 'Python', 'library'],
  [/^Go-http-client/, 'Go', 'library'],
  [/^Java\/|okhttp|Apache-HttpClient/i, 'Java', 'library'],
  [/^axios|^node\b|^undici/, 'Node.js', 'library'],
  [/DuckDuckGo\//, 'DuckDuckGo'],
  [/SamsungBrowser\//, 'Samsung Internet'],
  [/YaBrowser\//, 'Yandex Browser'],
  [/UCBrowser\//, 'UC Browser'],
  [/Vivaldi\//, 'Vivaldi'],
  [/OPR\/|OPiOS\/|Opera[ /]/, 'Opera'],
  [/Edg(?:e|A|iOS)?\//, 'Edge'],
  [/Firefox\/|FxiOS\//, 'Firefox'],
  [/Chromium\//, 'Chromium'],
  [/Chrome\/|CriOS\//, 'Chrome'],
  [/Version\/[\d.]+.*Safari\//, 'Safari'],
  [/MSIE |Trident\//, 'Internet Explorer'],
  // The engine alone, without the browser around it.
  [/(?:Macintosh|iPhone|iPad|iPod).*AppleWebKit\/[\d.]+ \(KHTML, like Gecko\)(?: Mobile\/\w+)?$/, 'Apple Mail', 'email client'],
];

const SYSTEMS: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/iPhone|iPad|iPod/, 'iOS'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Macintosh|Mac OS X|Macoutlook/i, 'OS X'],
  [/CrOS/, 'ChromeOS'],
  [/Linux|X11/, 'Linux'],
];

const DEVICES: readonly (readonly [pattern: RegExp, device: Client['device']])[] = [
  [/iPad|Tablet|Android(?!.*Mobile)/, 'tablet'],
  [/iPhone|iPod|Mobile|Outlook-(?:iOS|Android)/i, 'mobile'],
  [/Windows|Macintosh|Mac OS X|CrOS|Linux|X11/, 'desktop'],
];

/** `userAgent`: at most 512 characters of it. */
export function clientOf(userAgent: string): Client {
  const fits = ([pattern]: readonly [RegExp, ...unknown[]]): boolean => pattern.test(userAgent);
  // A proxy hides whose machine it works for, whatever it says of one.
  if (/GoogleImageProxy|YahooMailProxy/.test(userAgent)) {
    return { name: NAMES.find(fits)?.[1] ?? 'unknown', os: 'unknown', type: 'email client', device: 'unknown' };
  }
  const device = DEVICES.find(fits)?.[1] ?? 'unknown';
  const row = NAMES.find(fits);
  const isHandheld = device === 'mobile' || device === 'tablet';
  return {
    name: row?.[1] ?? 'unknown',
    os: SYSTEMS.find(fits)?.[1] ?? 'unknown',
    type: row === undefined ? 'unknown' : (row[2] ?? (isHandheld ? 'mobile browser' : 'browser')),
    device,
  };
}
