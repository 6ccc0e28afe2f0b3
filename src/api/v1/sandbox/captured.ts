/**
 * What the sandbox captured, for one account: mail is seen by the account that owns the domain of its envelope sender, its From, or one of its
 * recipients. Its DKIM signatures are verified against the keys that we hold, because sandbox domains have no public DNS.
 */
import { domainOfAddress, parseMailbox } from '#mail/address.ts';
import type { CapturedMail } from '#store/sandbox-store.ts';
import type { Store } from '#store/store.ts';

const PAGE_ROWS = 100;
/** Rows of others that one list looks past. */
const ROWS_MAX = 5000;

export interface DkimResult {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: string;
  /** pass, fail, neutral, policy, temperror, permerror */
  readonly result: string;
  readonly comment?: string;
}

export async function listCaptured(store: Store, accountId: number, limit: number, before: number | undefined): Promise<CapturedMail[]> {
  const owned = await ownedNames(store, accountId);
  const found: CapturedMail[] = [];
  let last = before;
  for (let looked = 0; looked < ROWS_MAX && found.length < limit; looked += PAGE_ROWS) {
    const rows = await store.sandbox.list(PAGE_ROWS, last);
    found.push(...rows.filter((mail) => concerns(owned, mail)));
    last = rows.at(-1)?.id;
    if (rows.length < PAGE_ROWS) break;
  }
  return found.slice(0, limit);
}

export async function captured(
  store: Store,
  accountId: number,
  id: string,
): Promise<(CapturedMail & { readonly bytes: Uint8Array }) | undefined> {
  if (!/^[1-9]\d{0,15}$/.test(id)) return undefined;
  const mail = await store.sandbox.get(Number(id));
  return mail !== undefined && concerns(await ownedNames(store, accountId), mail) ? mail : undefined;
}

async function ownedNames(store: Store, accountId: number): Promise<ReadonlySet<string>> {
  return new Set((await store.accounts.listDomains(accountId)).map((domain) => domain.name));
}

function concerns(owned: ReadonlySet<string>, mail: CapturedMail): boolean {
  return [mail.sender, parseMailbox(mail.from)?.address ?? mail.from, ...mail.recipients].some((address) => owned.has(domainPart(address)));
}

function domainPart(address: string): string {
  return domainOfAddress(address).replace(/>.*$/, '').toLowerCase();
}

export async function dkimResults(store: Store, bytes: Uint8Array): Promise<DkimResult[]> {
  // Loaded when it is asked for the first time: it is large, and most servers never capture mail.
  const { dkimVerify } = await import('mailauth/lib/dkim/verify.js');
  const { results } = await dkimVerify(Buffer.from(bytes), { resolver: (name, type) => ourKey(store, name, type) });
  return results
    .filter((result) => result.signingDomain !== undefined)
    .map(({ signingDomain, selector, algo, status }) => ({
      domain: signingDomain ?? '',
      selector: selector ?? '',
      algorithm: algo ?? '',
      result: status.result,
      ...(typeof status.comment === 'string' && status.comment !== '' && { comment: status.comment }),
    }));
}

/** The TXT record of a key as it would stand in DNS. */
async function ourKey(store: Store, name: string, type: string): Promise<string[][]> {
  const match = /^(.+)\._domainkey\.(.+)$/.exec(name.toLowerCase());
  const domain = match === null || type !== 'TXT' ? undefined : await store.accounts.domainByName(match[2] as string);
  const key =
    domain === undefined ? undefined : (await store.accounts.listDkimKeys(domain.id)).find((item) => item.selector === match?.[1]);
  if (key === undefined) throw Object.assign(new Error('no such record'), { code: 'ENOTFOUND' });
  return [[`v=DKIM1; k=${key.algorithm}; p=${key.publicKey}`]];
}
