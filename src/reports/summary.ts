/**
 * What DMARC reports say together, joined with what is known here: which addresses mail of ours leaves from, which keys are ours, and how much was handed to each reporter. An address that is not ours and whose mail bears a
 * signature of one of our keys is somebody who sends our mail on.
 */
import type { DmarcSum, ReporterSum } from '#store/report-store.ts';

export type SourceKind = 'ours' | 'forwarder' | 'unknown';

export interface Known {
  readonly domain: string;
  isOurAddress(address: string): boolean;
  /** Of the domain's keys, also former ones. */
  readonly selectors: ReadonlySet<string>;
  /** Where the reporter is known to receive for. */
  delivered(reporter: string): number | undefined;
}

export interface SourceSummary {
  readonly sourceIp: string;
  readonly kind: SourceKind;
  readonly messages: number;
  readonly pass: number;
  readonly fail: number;
  readonly dkimAligned: number;
  readonly spfAligned: number;
  readonly dispositions: Readonly<Record<DmarcSum['disposition'], number>>;
  /** Signatures that passed: "selector@domain". */
  readonly signed: readonly string[];
  /** Of what fails, the most frequent first. */
  readonly why: readonly { readonly dkim: string; readonly spf: string; readonly messages: number }[];
}

const SIGNED_MAX = 20;
/** Causes that are ours to mend come first of equals. */
const WHY_MAX = 9;

type Building = {
  sums: DmarcSum[];
};

/** Those with the most messages first. */
export function summarise(sums: readonly DmarcSum[], known: Known): SourceSummary[] {
  const bySource = new Map<string, Building>();
  for (const sum of sums) {
    const building = bySource.get(sum.sourceIp) ?? { sums: [] };
    building.sums.push(sum);
    bySource.set(sum.sourceIp, building);
  }
  return [...bySource].map(([sourceIp, { sums: own }]) => sourceOf(sourceIp, own, known)).sort((a, b) => b.messages - a.messages);
}

function sourceOf(sourceIp: string, sums: readonly DmarcSum[], known: Known): SourceSummary {
  const count = (which: (sum: DmarcSum) => boolean): number => sums.reduce((total, sum) => (which(sum) ? total + sum.count : total), 0);
  const passes = (sum: DmarcSum): boolean => sum.isDkimAligned || sum.isSpfAligned;
  const why = new Map<string, number>();
  for (const sum of sums) if (!passes(sum)) why.set(sum.why, (why.get(sum.why) ?? 0) + sum.count);
  const messages = count(() => true);
  const pass = count(passes);
  return {
    sourceIp,
    kind: kindOf(sourceIp, sums, known),
    messages,
    pass,
    fail: messages - pass,
    dkimAligned: count((sum) => sum.isDkimAligned),
    spfAligned: count((sum) => sum.isSpfAligned),
    dispositions: {
      none: count((sum) => sum.disposition === 'none'),
      quarantine: count((sum) => sum.disposition === 'quarantine'),
      reject: count((sum) => sum.disposition === 'reject'),
    },
    signed: [...new Set(sums.map(({ signed }) => signed).filter((signed) => signed !== ''))].slice(0, SIGNED_MAX),
    why: [...why]
      .sort(([, a], [, b]) => b - a)
      .slice(0, WHY_MAX)
      .map(([text, n]) => {
        const [dkim = '', spf = ''] = text.split(' ');
        return { dkim, spf, messages: n };
      }),
  };
}

function kindOf(sourceIp: string, sums: readonly DmarcSum[], { domain, isOurAddress, selectors }: Known): SourceKind {
  if (isOurAddress(sourceIp)) return 'ours';
  const isSignedByUs = sums.some(({ signed }) => {
    const at = signed.indexOf('@');
    return at > 0 && signed.slice(at + 1) === domain && selectors.has(signed.slice(0, at));
  });
  return isSignedByUs ? 'forwarder' : 'unknown';
}

export interface ReporterSummary extends ReporterSum {
  /** Handed to the domains that it receives for, in that time; absent: not known which they are. */
  readonly delivered?: number;
}

export function withDeliveries(reporters: readonly ReporterSum[], { delivered }: Pick<Known, 'delivered'>): ReporterSummary[] {
  return reporters.map((reporter) => {
    const count = delivered(reporter.reporter);
    return { ...reporter, ...(count !== undefined && { delivered: count }) };
  });
}

/** Who reports for which mailbox provider, as deliveries are counted by (model/mailbox-provider.ts). */
const REPORTERS_OF_PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  'google.com': ['Gmail'],
  'microsoft.com': ['Outlook'],
  'dmarc.microsoft': ['Outlook'],
  'yahoo.com': ['Yahoo', 'AOL'],
  'yahooinc.com': ['Yahoo', 'AOL'],
  'apple.com': ['iCloud'],
  'mail.ru': ['Mail.Ru'],
  'corp.mail.ru': ['Mail.Ru'],
  'yandex.ru': ['Yandex'],
  'yandex-team.ru': ['Yandex'],
  'fastmail.com': ['Fastmail'],
  'messagingengine.com': ['Fastmail'],
  'fastmaildmarc.com': ['Fastmail'],
  'gmx.net': ['GMX'],
  'web.de': ['WEB.DE'],
  'comcast.net': ['Comcast'],
  'dmarc.comcast.net': ['Comcast'],
  'zohocorp.com': ['Zoho'],
  'seznam.cz': ['Seznam'],
  'libero.it': ['Libero'],
  'wp.pl': ['Wirtualna Polska'],
  'protonmail.com': ['Proton'],
  'proton.me': ['Proton'],
  't-online.de': ['T-Online'],
};

/** Names of providers, and receiving domains, whose deliveries compare with what it reports. */
export function receiversOf(reporter: string): { readonly providers: readonly string[]; readonly domain: string } {
  return { providers: REPORTERS_OF_PROVIDERS[reporter] ?? [], domain: reporter };
}
