/**
 * What can be said of an address without writing to it: its syntax, whether its domain takes mail, whether it is disposable or a role, what was perhaps
 * meant, and what this account's own mail to it came to. The receiving server is never asked for the mailbox: `deliverable` says that the domain takes
 * mail and nothing known speaks against the address.
 */
import type { Answer, MxRecord } from '#dns/resolver.ts';
import { parsePath } from '#mail/address.ts';
import { isDisposable } from './disposable.ts';
import { isRole } from './roles.ts';
import { suggestDomain } from './typo.ts';

export interface Validation {
  readonly address: string;
  /** Absent: it is not an address. */
  readonly parts?: { readonly local: string; readonly domain: string };
  readonly result: 'deliverable' | 'undeliverable' | 'do_not_send' | 'unknown';
  readonly risk: 'low' | 'medium' | 'high' | 'unknown';
  readonly reasons: readonly string[];
  readonly isDisposable: boolean;
  readonly isRole: boolean;
  readonly didYouMean?: string;
  /** Without the part after "+", when there is one. */
  readonly root?: string;
}

/** What this account's mail to an address came to. */
export interface PastTrouble {
  readonly kind: 'bounce' | 'complaint' | 'unsubscribe';
  readonly code: number;
}

export interface ValidatorParts {
  /** undefined: DNS is not to be asked. */
  readonly dns:
    | {
        mx(domain: string): Promise<Answer<MxRecord>>;
        addresses(host: string): Promise<Answer<string>>;
      }
    | undefined;
  pastTroubles(accountId: number, address: string): Promise<readonly PastTrouble[]>;
}

export type Validate = (accountId: number, address: string) => Promise<Validation>;

export function createValidate({ dns, pastTroubles }: ValidatorParts): Validate {
  return async (accountId, text) => {
    const path = parsePath(text.trim(), { allowNull: false });
    if (path === undefined || !isSendable(path.domain)) return malformed(text);
    const [mail, troubles] = await Promise.all([takesMail(dns, path.domain), pastTroubles(accountId, path.address)]);
    const disposable = await isDisposable(path.domain);
    const role = isRole(path.local);
    const meant = suggestDomain(path.domain);
    const { result, risk, reasons } = verdict({ mail, troubles, isDisposable: disposable, isRole: role, isSuspect: meant !== undefined });
    const root = rootOf(path.local);
    return {
      address: path.address,
      parts: path,
      result,
      risk,
      reasons,
      isDisposable: disposable,
      isRole: role,
      ...(meant !== undefined && { didYouMean: `${path.local}@${meant}` }),
      ...(root !== undefined && { root: `${root}@${path.domain}` }),
    };
  };
}

/** An address literal names a machine and no domain; a name without a dot is nobody's on the public Internet. */
function isSendable(domain: string): boolean {
  return domain.includes('.') && !domain.startsWith('[');
}

function malformed(text: string): Validation {
  const sentence = text.includes('@') ? 'malformed address' : 'malformed address; missing @ sign';
  return { address: text, result: 'undeliverable', risk: 'high', reasons: [sentence], isDisposable: false, isRole: false };
}

function rootOf(local: string): string | undefined {
  const plus = local.indexOf('+');
  return plus > 0 && !local.startsWith('"') ? local.slice(0, plus) : undefined;
}

type Taking = 'yes' | 'no-domain' | 'refuses' | 'no-server' | 'unknown';

/** RFC 5321 §5.1: MX records, or else the addresses of the name itself. RFC 7505: an MX of "." takes none. */
async function takesMail(dns: ValidatorParts['dns'], domain: string): Promise<Taking> {
  // RFC 6761 §§6.3, 6.4: these never exist, whoever is asked.
  if (/\.(?:invalid|localhost)$/.test(domain)) return 'no-domain';
  if (dns === undefined) return 'unknown';
  const mx = await dns.mx(domain);
  if (mx.kind === 'no-such-domain') return 'no-domain';
  if (mx.kind === 'trouble') return 'unknown';
  if (mx.kind === 'found') return mx.records.every(({ host }) => host === '') ? 'refuses' : 'yes';
  const addresses = await dns.addresses(domain);
  if (addresses.kind === 'trouble') return 'unknown';
  return addresses.kind === 'found' ? 'yes' : 'no-server';
}

const NOT_TAKING: Readonly<Record<'no-domain' | 'refuses' | 'no-server', string>> = {
  'no-domain': 'the domain does not exist',
  refuses: 'the domain takes no mail (null MX)',
  'no-server': 'no MX records found for the domain',
};

interface Known {
  readonly mail: Taking;
  readonly troubles: readonly PastTrouble[];
  readonly isDisposable: boolean;
  readonly isRole: boolean;
  readonly isSuspect: boolean;
}

/** The worst that is known decides. */
function verdict({ mail, troubles, isDisposable, isRole, isSuspect }: Known): Pick<Validation, 'result' | 'risk' | 'reasons'> {
  const reasons: string[] = [];
  if (mail in NOT_TAKING) reasons.push(NOT_TAKING[mail as keyof typeof NOT_TAKING]);
  const bounce = troubles.find(({ kind }) => kind === 'bounce');
  if (bounce !== undefined) reasons.push(`mail to this address bounced (${bounce.code})`);
  const hasComplained = troubles.some(({ kind }) => kind === 'complaint');
  if (hasComplained) reasons.push('the recipient complained about mail');
  if (isDisposable) reasons.push('mailbox_is_disposable_address');
  if (isRole) reasons.push('mailbox_is_role_address');
  if (mail === 'unknown') reasons.push('the domain could not be looked up');
  if (mail in NOT_TAKING || bounce !== undefined) return { result: 'undeliverable', risk: 'high', reasons };
  if (isDisposable || hasComplained) return { result: 'do_not_send', risk: 'high', reasons };
  if (mail === 'unknown') return { result: 'unknown', risk: isRole || isSuspect ? 'medium' : 'unknown', reasons };
  return { result: 'deliverable', risk: isRole || isSuspect ? 'medium' : 'low', reasons };
}
