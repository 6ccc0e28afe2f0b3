/**
 * The thread that verifies mail that comes in: canonicalising, hashing and parsing what strangers wrote takes up to seconds for a hostile message, and nobody else
 * is to wait for that. It has no network of its own: what it asks of DNS goes through the program's resolver, as many questions as one
 * message may ask, and it keeps nothing between messages.
 */
import { parentPort } from 'node:worker_threads';
import { authenticate } from 'mailauth';
import type { ArcResult, DkimResult, DmarcResult, SpfResult } from '#model/inbound.ts';
import type { FromVerifier, ToVerifier, Verification, VerificationRequest } from './verification-protocol.ts';

/** Questions that one message may ask of DNS: SPF has its own limit of 10 within, each signature one, DMARC a handful. */
const QUESTIONS_MAX = 60;
const TEXT_MAX = 255;

type Answer = (records: readonly unknown[] | undefined, code: string | undefined) => void;

const port = parentPort;
if (port === null) throw new Error('this is a thread of the program');
const waiting = new Map<number, Answer>();
let questions = 0;

port.on('message', (message: ToVerifier) => {
  if (message.kind === 'answer') {
    const answer = waiting.get(message.question);
    waiting.delete(message.question);
    answer?.(message.records, message.code);
    return;
  }
  const { job } = message;
  verify(job, message.request).then(
    (verification) => say({ kind: 'done', job, verification }),
    (error: unknown) => say({ kind: 'failed', job, trouble: String(error).slice(0, TEXT_MAX) }),
  );
});

function say(message: FromVerifier): void {
  port?.postMessage(message);
}

async function verify(job: number, request: VerificationRequest): Promise<Verification> {
  let asked = 0;
  const resolver = (name: string, type: string): Promise<unknown[]> => {
    if (++asked > QUESTIONS_MAX) return Promise.reject(dnsError('ETIMEOUT'));
    const question = ++questions;
    say({ kind: 'ask', job, question, name, type });
    return new Promise((resolve, reject) => {
      waiting.set(question, (records, code) => (records === undefined ? reject(dnsError(code ?? 'ETIMEOUT')) : resolve([...records])));
    });
  };
  const { bytes } = request;
  const result = await authenticate(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), {
    ip: request.address,
    helo: request.helo,
    sender: request.sender,
    mta: request.hostname,
    // RFC 8301: such signatures prove nothing.
    rejectRsaSha1: true,
    disableBimi: true,
    maxElapsedTime: request.timeoutMs,
    resolver,
  } as Parameters<typeof authenticate>[1]);
  return told(result);
}

function dnsError(code: string): Error {
  return Object.assign(new Error(`DNS: ${code}`), { code });
}

const SPF_RESULTS: readonly SpfResult[] = ['none', 'neutral', 'pass', 'fail', 'softfail', 'temperror', 'permerror'];
const DKIM_RESULTS: readonly DkimResult[] = ['none', 'pass', 'fail', 'policy', 'neutral', 'temperror', 'permerror'];
const DMARC_RESULTS: readonly DmarcResult[] = ['none', 'pass', 'fail', 'temperror', 'permerror'];
const POLICIES = ['none', 'quarantine', 'reject'] as const;

function told(result: Awaited<ReturnType<typeof authenticate>>): Verification {
  const { spf, dkim, dmarc, arc } = result;
  const signatures = dkim.results.filter(({ signingDomain }) => typeof signingDomain === 'string' && signingDomain !== '');
  const policy = dmarc === false ? undefined : POLICIES.find((known) => known === dmarc.policy);
  const header = dmarc === false ? undefined : dmarc.status.header;
  return {
    spf: {
      result: spf === false ? 'none' : oneOf(SPF_RESULTS, spf.status.result, 'none'),
      domain: spf === false ? '' : text(spf.domain),
    },
    dkim: signatures.map((signature) => ({
      result: isPartial(signature.status) ? 'policy' : oneOf(DKIM_RESULTS, signature.status.result, 'neutral'),
      domain: text(signature.signingDomain).toLowerCase(),
      selector: text(signature.selector),
      mark: text(signature.signature).replace(/\s/g, '').slice(0, 8),
    })),
    dmarc: {
      result: dmarc === false ? 'none' : restsOnPart(dmarc) ? 'fail' : oneOf(DMARC_RESULTS, dmarc.status.result, 'none'),
      domain: text(header?.['from']),
      ...(policy !== undefined && { policy }),
    },
    arc: arcOf(arc),
  };
}

/** The signature passes and has left something of the body out (l=): anybody may have written that (RFC 6376 §8.2). */
function isPartial({ result, underSized }: { readonly result?: unknown; readonly underSized?: number }): boolean {
  return result === 'pass' && (underSized ?? 0) > 0;
}

/** Nothing but such a signature speaks for the domain in From. */
function restsOnPart({ status, alignment }: Exclude<Awaited<ReturnType<typeof authenticate>>['dmarc'], false | undefined>): boolean {
  if (status.result !== 'pass' || alignment === undefined) return false;
  return (alignment.spf.result ?? false) === false && (alignment.dkim.underSized ?? 0) > 0;
}

function arcOf(arc: Awaited<ReturnType<typeof authenticate>>['arc']): Verification['arc'] {
  const results: readonly ArcResult[] = ['none', 'pass', 'fail'];
  if (arc === false || arc === undefined) return { result: 'none' };
  const instance = typeof arc.i === 'number' && arc.i > 0 ? arc.i : undefined;
  return { result: oneOf(results, arc.status.result, 'none'), ...(instance !== undefined && { instance }) };
}

function oneOf<T extends string>(known: readonly T[], given: unknown, otherwise: T): T {
  return known.find((value) => value === given) ?? otherwise;
}

function text(given: unknown): string {
  return typeof given === 'string' ? given.slice(0, TEXT_MAX) : '';
}
