/** Whose servers a receiving host belongs to, by its name: large providers word their replies in their own ways. */
const SUFFIXES = {
  google: ['google.com', 'googlemail.com', 'psmtp.com'],
  microsoft: ['outlook.com', 'hotmail.com', 'office365.us', 'mx.microsoft', 'partner.outlook.cn'],
  yahoo: ['yahoodns.net', 'yahoo.com', 'aol.com'],
  apple: ['icloud.com', 'apple.com'],
  proofpoint: ['pphosted.com', 'ppe-hosted.com', 'gpphosted.com'],
  mimecast: ['mimecast.com', 'mimecast.co.za', 'mimecast-offshore.com'],
  barracuda: ['barracudanetworks.com', 'cudasvc.com', 'cudaops.com'],
  cisco: ['iphmx.com'],
  broadcom: ['messagelabs.com'],
  'united-internet': ['gmx.net', 'gmx.com', 'web.de', 'kundenserver.de', 'ionos.com', 'ionos.de', '1and1.com'],
  telekom: ['t-online.de'],
  orange: ['orange.fr', 'wanadoo.fr'],
  comcast: ['comcast.net'],
  mailru: ['mail.ru'],
  yandex: ['yandex.ru', 'yandex.net'],
  tencent: ['qq.com'],
  netease: ['163.com', 'netease.com'],
  zoho: ['zoho.com', 'zoho.eu', 'zoho.in'],
  proton: ['protonmail.ch', 'proton.ch'],
  fastmail: ['messagingengine.com'],
} as const;

export type Provider = keyof typeof SUFFIXES;

const BY_SUFFIX = new Map<string, Provider>(
  Object.entries(SUFFIXES).flatMap(([provider, suffixes]) => suffixes.map((suffix) => [suffix, provider as Provider] as const)),
);

/** `host` is the MX's name, lower case. */
export function providerOf(host: string): Provider | undefined {
  const labels = host.split('.');
  for (let i = Math.max(0, labels.length - 3); i < labels.length - 1; i++) {
    const provider = BY_SUFFIX.get(labels.slice(i).join('.'));
    if (provider !== undefined) return provider;
  }
  return undefined;
}
