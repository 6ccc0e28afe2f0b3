/**
 * Sealing mail that is sent on (RFC 8617): what we found out about who sent it, a signature over the message as it goes on, and a seal over the chain. Whoever receives it can believe our
 * results although SPF, and perhaps DKIM, no longer hold.
 */
import { dkimBodyHash, type DkimSigner, foldBase64, foldNames, relaxedField, relaxField, signText } from './dkim.ts';
import { foldHeader, type Header, rawValue, type RawField, readHeader } from './header.ts';

export interface Sealing {
  /** RSA: verifiers of ARC know no other algorithm. */
  readonly signer: DkimSigner;
  /** What was verified of the chain that it came with. */
  readonly chain: { readonly result: 'none' | 'pass' | 'fail' | 'temperror'; readonly instance?: number };
  /** The value of our Authentication-Results field, with our authserv-id. */
  readonly results: string;
  readonly atMs: number;
}

/** RFC 8617 §4.2.1. */
const INSTANCE_MAX = 50;
const SETS = ['arc-authentication-results', 'arc-message-signature', 'arc-seal'] as const;

/** Fields that a message signature covers, when they are there; trace fields change on the way. */
const COVERED: ReadonlySet<string> = new Set([
  'from',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'reply-to',
  'in-reply-to',
  'references',
  'sender',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'auto-submitted',
  'dkim-signature',
]);
const COVERED_MAX = 100;

/**
 * The three fields with their CRLFs, to be put before the header. Undefined: the chain is broken, too long, or not known to be whole, and what we added would not mend it.
 */
export async function arcFields(message: Buffer, { signer, chain, results, atMs }: Sealing): Promise<string | undefined> {
  if (chain.result === 'fail' || chain.result === 'temperror' || signer.algorithm !== 'rsa') return undefined;
  const instance = (chain.result === 'pass' ? (chain.instance ?? 0) : 0) + 1;
  if (instance > INSTANCE_MAX) return undefined;
  const header = readHeader(message);
  const earlier = chain.result === 'pass' ? setsOf(header, instance - 1) : [];
  if (earlier === undefined) return undefined;
  const t = Math.floor(atMs / 1000);
  const authentication = foldHeader('ARC-Authentication-Results', `i=${instance}; ${results}`);
  const signature = await messageSignature(header, dkimBodyHash(message.subarray(header.bodyStart)), signer, instance, t);
  const seal = await sealOf(header, earlier, [authentication, signature], signer, instance, t);
  return seal + signature + authentication;
}

/** Of each instance from 1 its three fields, in the order of sealing; undefined: one is missing, or there twice. */
function setsOf(header: Header, count: number): RawField[] | undefined {
  const found = new Map<string, RawField>();
  for (const field of header.fields) {
    if (!(SETS as readonly string[]).includes(field.name)) continue;
    const [, instance] = /(?:^|;)\s*i\s*=\s*(\d{1,2})\s*;/.exec(rawValue(header, field)) ?? [];
    const key = `${Number(instance)} ${field.name}`;
    if (found.has(key)) return undefined;
    found.set(key, field);
  }
  const sets: RawField[] = [];
  for (let instance = 1; instance <= count; instance++) {
    for (const name of SETS) {
      const field = found.get(`${instance} ${name}`);
      if (field === undefined) return undefined;
      sets.push(field);
    }
  }
  return sets;
}

async function messageSignature(header: Header, bodyHash: string, signer: DkimSigner, instance: number, t: number): Promise<string> {
  const covered = header.fields
    .filter(({ name }) => COVERED.has(name))
    .toReversed()
    .slice(0, COVERED_MAX);
  const field =
    `ARC-Message-Signature: i=${instance}; a=rsa-sha256; c=relaxed/relaxed;\r\n` +
    ` d=${signer.domain}; s=${signer.selector}; t=${t};\r\n` +
    ` h=${foldNames(covered.map(({ name }) => name).join(':'))};\r\n bh=${bodyHash};\r\n b=`;
  const text = covered.map((each) => relaxedField(header.bytes, each)).join('') + relaxed(field);
  return `${field}${foldBase64(await signText(text, signer))}\r\n`;
}

/** Over all sets, ours with an empty signature at the end (RFC 8617 §5.1.1). */
async function sealOf(
  header: Header,
  earlier: readonly RawField[],
  [authentication, signature]: readonly [string, string],
  signer: DkimSigner,
  instance: number,
  t: number,
): Promise<string> {
  const field =
    `ARC-Seal: i=${instance}; a=rsa-sha256; t=${t}; cv=${instance === 1 ? 'none' : 'pass'};\r\n` +
    ` d=${signer.domain}; s=${signer.selector};\r\n b=`;
  const text =
    earlier.map((each) => relaxedField(header.bytes, each)).join('') +
    `${relaxed(authentication)}\r\n${relaxed(signature)}\r\n${relaxed(field)}`;
  return `${field}${foldBase64(await signText(text, signer))}\r\n`;
}

function relaxed(field: string): string {
  const colon = field.indexOf(':');
  return relaxField(field.slice(0, colon).toLowerCase(), field.slice(colon + 1));
}
