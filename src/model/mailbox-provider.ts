/** `recipient-provider`: the mailbox provider behind well-known domains. Others have none. */
const PROVIDERS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    Gmail: 'gmail.com googlemail.com',
    Outlook:
      'outlook.com hotmail.com live.com msn.com hotmail.co.uk hotmail.fr hotmail.de hotmail.it hotmail.es live.co.uk live.fr live.nl outlook.fr outlook.de',
    Yahoo:
      'yahoo.com ymail.com rocketmail.com yahoo.co.uk yahoo.fr yahoo.de yahoo.it yahoo.es yahoo.ca yahoo.co.in yahoo.com.br yahoo.co.jp',
    AOL: 'aol.com aim.com',
    iCloud: 'icloud.com me.com mac.com',
    Proton: 'proton.me protonmail.com protonmail.ch pm.me',
    Fastmail: 'fastmail.com fastmail.fm',
    Zoho: 'zoho.com zohomail.com',
    GMX: 'gmx.com gmx.de gmx.net gmx.at gmx.ch',
    'WEB.DE': 'web.de',
    'T-Online': 't-online.de',
    Orange: 'orange.fr wanadoo.fr',
    Free: 'free.fr',
    Comcast: 'comcast.net xfinity.com',
    'AT&T': 'att.net sbcglobal.net bellsouth.net',
    Verizon: 'verizon.net',
    Yandex: 'yandex.ru yandex.com ya.ru',
    'Mail.Ru': 'mail.ru bk.ru list.ru inbox.ru',
    QQ: 'qq.com foxmail.com',
    NetEase: '163.com 126.com yeah.net',
    Naver: 'naver.com',
    UOL: 'uol.com.br bol.com.br',
    Libero: 'libero.it',
    Seznam: 'seznam.cz email.cz',
    'Wirtualna Polska': 'wp.pl o2.pl',
  }).flatMap(([provider, domains]) => domains.split(' ').map((domain) => [domain, provider] as const)),
);

export const PROVIDER_DOMAINS: readonly string[] = [...PROVIDERS.keys()];

/** `domain` in lower case. */
export function providerOf(domain: string): string | undefined {
  return PROVIDERS.get(domain);
}
