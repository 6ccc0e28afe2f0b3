/**
 * Who answers at the listener for addresses that word of our mail comes back to: return paths, addresses for complaints with a token, and `abuse@` and `fbl@` of our domains. A
 * token that is not ours is refused at RCPT. What a source brings is bounded, so that a flood is put off before it is read, not believed faster.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { TokenBucket } from '#base/token-bucket.ts';
import { parseMime } from '#mail/mime.ts';
import { AppError } from '#model/errors.ts';
import type { Addressee, AddresseeHandler, InboundMail, InboundRcpt, InboundRefusal } from '#model/inbound.ts';
import { siteOf } from '#smtp/server-admission.ts';
import { readComplaint } from './read-complaint.ts';
import { LOOKED_AT_MAX, readReturned } from './read-returned.ts';
import type { Recorder } from './recorder.ts';
import { type About, COMPLAINT_PREFIX, RETURN_PATH_PREFIX, type ReturnTokens } from './return-token.ts';

export interface ReturnAddresseesDeps {
  readonly tokens: ReturnTokens;
  readonly recorder: Recorder;
  /** Whether the domain's abuse@ and fbl@ are ours. */
  isOurs(domain: string): Promise<boolean>;
  /** Who would have a letter that is no report. */
  next(rcpt: InboundRcpt): Promise<Addressee | undefined>;
  /** From one client network, on this node. */
  readonly rate: { readonly count: number; readonly perMs: number };
  readonly clock: Clock;
}

/** Sources whose rate is remembered. One that is forgotten begins anew. */
const SOURCES_MAX = 20_000;
const COMPLAINT_LOCALS: ReadonlySet<string> = new Set(['abuse', 'fbl']);
const NOT_HERE: InboundRefusal = { code: 550, enhanced: '5.1.1', text: 'This address is not one that we gave out' };

export function createReturnAddressees(deps: ReturnAddresseesDeps): AddresseeHandler[] {
  const { tokens, recorder, clock } = deps;
  const rates = new BoundedCache<string, TokenBucket>({ max: SOURCES_MAX });

  function bounded(rcpt: InboundRcpt, addressee: Addressee): Addressee {
    const nowMs = clock.monotonicMs();
    const source = siteOf(rcpt.clientAddress);
    let bucket = rates.get(source, nowMs);
    if (bucket === undefined) {
      bucket = new TokenBucket(deps.rate.count, deps.rate.perMs, deps.rate.count, nowMs);
      rates.set(source, bucket, nowMs);
    }
    if (bucket.take(1, nowMs)) return addressee;
    recorder.count('too-many', { source });
    return { kind: addressee.kind, refusal: { code: 450, enhanced: '4.7.1', text: 'Too many reports from your address; try again later' } };
  }

  function ofToken(
    kind: string,
    rcpt: InboundRcpt,
    about: About | undefined,
    take: (mail: InboundMail, about: About) => Promise<void>,
  ): Addressee {
    if (about === undefined) {
      recorder.count('unproven', { kind });
      return { kind, refusal: NOT_HERE };
    }
    return bounded(rcpt, { kind, take: (mail) => take(mail, about) });
  }

  return [
    {
      name: 'return-path',
      accepts: async (rcpt) =>
        startsWith(rcpt.local, RETURN_PATH_PREFIX)
          ? ofToken('return-path', rcpt, tokens.openReturnPath(rcpt.local), (mail, about) => takeReturned(deps, mail, about))
          : undefined,
    },
    {
      name: 'complaints',
      async accepts(rcpt) {
        if (startsWith(rcpt.local, COMPLAINT_PREFIX))
          return ofToken('complaints', rcpt, tokens.openComplaintAddress(rcpt.local), (mail, about) =>
            takeComplaint(deps, mail, about, undefined),
          );
        if (!COMPLAINT_LOCALS.has(rcpt.local.toLowerCase()) || !(await deps.isOurs(rcpt.domain))) return undefined;
        const otherwise = await deps.next(rcpt);
        return bounded(rcpt, { kind: 'complaints', take: (mail) => takeComplaint(deps, mail, undefined, otherwise) });
      },
    },
  ];
}

function startsWith(local: string, prefix: string): boolean {
  return local.slice(0, prefix.length).toLowerCase() === prefix;
}

async function takeReturned({ recorder }: ReturnAddresseesDeps, mail: InboundMail, about: About): Promise<void> {
  const returned = readReturned(mail.bytes);
  switch (returned.kind) {
    case 'report':
      return recorder.report(returned, about, mail.receivedMs);
    case 'complaint':
      return recorder.complaint(returned.complaint, about, mail.receivedMs);
    case 'unknown':
      // Somebody answers by hand, or what wrote it is not known here: who can be told is told.
      if (!mail.isAutomatic) throw new AppError('not-a-report');
      return recorder.count('unknown', { about: about.id });
    default:
      return recorder.count(returned.kind, { format: returned.format });
  }
}

async function takeComplaint(
  { recorder }: ReturnAddresseesDeps,
  mail: InboundMail,
  about: About | undefined,
  otherwise: Addressee | undefined,
): Promise<void> {
  const complaint = readComplaint(parseMime(mail.bytes.subarray(0, LOOKED_AT_MAX), { intoMessages: true }), 'complaint-address');
  if (complaint !== undefined) return recorder.complaint(complaint, about, mail.receivedMs);
  const returned = readReturned(mail.bytes);
  if (returned.kind === 'report') return recorder.report(returned, undefined, mail.receivedMs);
  if (otherwise?.take !== undefined) return otherwise.take(mail);
  if (returned.kind === 'unknown' && !mail.isAutomatic) throw new AppError('not-a-report');
  recorder.count(returned.kind === 'unknown' || returned.kind === 'complaint' ? 'unknown' : returned.kind);
}
