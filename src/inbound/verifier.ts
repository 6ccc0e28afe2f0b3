/**
 * SPF, DKIM, DMARC and ARC of mail that comes in, verified in a thread of its own (`verification-thread.ts`) and bounded: so many signatures of a message are looked at, so
 * much mail is copied to the thread at once, and a message has its answer within the time, if only that there is none. A check that
 * could not be made says `temperror`, and nothing is concluded from it (P5).
 *
 * A thread is started with the first message. One that does not come back is ended, and another started. What may take long (large messages, headers of very many
 * lines) has a thread of its own, so that nobody who writes such mail holds up or blinds the check of ordinary mail.
 */
import { Worker } from 'node:worker_threads';
import { ByteBudget } from '#base/byte-budget.ts';
import { LARGE_BYTES } from '#base/large.ts';
import type { Log } from '#base/log.ts';
import type { Answer, Resolver } from '#dns/resolver.ts';
import { editHeader } from '#mail/header.ts';
import type { Header, RawField } from '#mail/header.ts';
import type { FromVerifier, ToVerifier, Verification, VerificationRequest } from './verification-protocol.ts';

export interface VerifierOptions {
  readonly resolver: Pick<Resolver, 'txt' | 'mx' | 'addresses' | 'cname'>;
  readonly hostname: string;
  readonly timeoutMs: number;
  readonly log: Log;
  /** A thread that has not come back with a message this long after its time hangs. Default: 20 s. */
  readonly hangMs?: number;
  /** What runs in the thread; default: `verification-thread.ts`. */
  readonly thread?: URL;
}

export interface VerificationFacts {
  readonly header: Header;
  readonly address: string;
  readonly helo: string;
  /** '' for the null sender. */
  readonly sender: string;
}

export interface Verifier {
  verify(facts: VerificationFacts): Promise<Verification>;
  close(): Promise<void>;
}

/** Signatures of a message that are looked at, from the top; each may hash the whole body in its own way. */
export const SIGNATURES_MAX = 8;
/** Real ones have up to 2 KB; reading one takes the square of its length. A longer one counts as absent: leaving it out proves nothing for anybody. */
const SIGNATURE_BYTES_MAX = 4096;
/** A message beyond either of these goes to the thread for what may take long. */
const ORDINARY_BYTES_MAX = 256 * 1024;
const ORDINARY_HEADER_LINES_MAX = 2000;
/** Copies of messages that a thread may have at once. */
const COPIES_BYTES = 32 * 1024 * 1024;
const HEAP_MAX_MB = 256;
const HANG_MS = 20_000;

interface Job {
  readonly end: (verification: Verification) => void;
  readonly timer: NodeJS.Timeout;
}

export function createVerifier(options: VerifierOptions): Verifier {
  const ordinary = createLane(options);
  const slow = createLane(options);
  const { hostname, timeoutMs } = options;
  return {
    async verify({ header, address, helo, sender }) {
      const bytes = withFewSignatures(header);
      const lane = isOrdinary(header) ? ordinary : slow;
      return lane.verify({ bytes, address, helo, sender, hostname, timeoutMs });
    },
    async close() {
      await Promise.all([ordinary.close(), slow.close()]);
    },
  };
}

interface Lane {
  verify(request: VerificationRequest): Promise<Verification>;
  close(): Promise<void>;
}

/** A thread and what it has to do. */
function createLane(options: VerifierOptions): Lane {
  const { resolver, log, timeoutMs, hangMs = HANG_MS } = options;
  const file = options.thread ?? new URL('./verification-thread.ts', import.meta.url);
  const copies = new ByteBudget(COPIES_BYTES);
  const running = new Map<number, Job>();
  let worker: Worker | undefined;
  let isClosed = false;
  let jobs = 0;

  function thread(): Worker {
    if (worker !== undefined) return worker;
    const started = new Worker(file, {
      name: 'verification',
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB },
    });
    const gone = (trouble: string): void => {
      if (worker !== started) return;
      worker = undefined;
      if (!isClosed) log.error({ trouble, messages: running.size }, 'the thread that verifies mail ended; another takes its place');
      for (const job of running.keys()) finish(job, UNKNOWN);
    };
    started.on('message', (message: FromVerifier) => hear(started, message));
    started.on('error', (error) => gone(String(error)));
    started.on('exit', (code) => gone(`exit status ${code}`));
    // The program's end does not wait for it.
    started.unref();
    worker = started;
    return started;
  }

  function hear(from: Worker, message: FromVerifier): void {
    if (message.kind === 'ask') {
      void ask(resolver, message.name, message.type).then((answer) =>
        from.postMessage({ kind: 'answer', question: message.question, ...answer } satisfies ToVerifier),
      );
    } else if (message.kind === 'done') {
      finish(message.job, message.verification);
    } else {
      log.warn({ trouble: message.trouble }, 'a message could not be verified');
      finish(message.job, UNKNOWN);
    }
  }

  function finish(number: number, verification: Verification): void {
    const job = running.get(number);
    running.delete(number);
    clearTimeout(job?.timer);
    job?.end(verification);
  }

  function hung(number: number): void {
    if (!running.has(number)) return;
    log.error({}, 'the thread that verifies mail hangs and is ended');
    void worker?.terminate();
  }

  function run(request: VerificationRequest): Promise<Verification> {
    const number = ++jobs;
    return new Promise((resolve) => {
      const timer = setTimeout(() => hung(number), timeoutMs + hangMs);
      timer.unref();
      running.set(number, { end: resolve, timer });
      thread().postMessage({ kind: 'verify', job: number, request } satisfies ToVerifier);
    });
  }

  return {
    async verify(request) {
      const { bytes } = request;
      const copyBytes = bytes.length < LARGE_BYTES ? bytes.length : 0;
      if (isClosed || !(await copies.reserve(copyBytes, timeoutMs))) return UNKNOWN;
      const result = run(request);
      // The copy is there until the thread is done with it, not until we stop waiting.
      void result.then(() => copies.give(copyBytes));
      return within(result, timeoutMs);
    },
    async close() {
      isClosed = true;
      await worker?.terminate();
    },
  };
}

/** Nothing is known. */
export const UNKNOWN: Verification = {
  spf: { result: 'temperror', domain: '' },
  dkim: [],
  dmarc: { result: 'temperror', domain: '' },
  arc: { result: 'temperror' },
};

async function within(result: Promise<Verification>, timeoutMs: number): Promise<Verification> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Verification>((resolve) => {
    timer = setTimeout(() => resolve(UNKNOWN), timeoutMs);
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

function isOrdinary({ bytes, headerEnd }: Header): boolean {
  if (bytes.length > ORDINARY_BYTES_MAX) return false;
  let lines = 0;
  for (let at = bytes.indexOf(0x0a); at !== -1 && at < headerEnd; at = bytes.indexOf(0x0a, at + 1)) lines++;
  return lines <= ORDINARY_HEADER_LINES_MAX;
}

const SIGNATURES = new Set(['dkim-signature', 'arc-seal', 'arc-message-signature']);

function withFewSignatures(header: Header): Buffer {
  let left = SIGNATURES_MAX;
  const unread = header.fields.filter(({ name, start, end }) => {
    if (!SIGNATURES.has(name)) return false;
    return end - start > SIGNATURE_BYTES_MAX || (name === 'dkim-signature' && left-- <= 0);
  });
  if (unread.length === 0) return header.bytes;
  const gone = new Set<RawField>(unread);
  return Buffer.concat(editHeader(header, { remove: (field) => gone.has(field) }));
}

type DnsAnswer = { readonly records: readonly unknown[] } | { readonly code: string };

/** As node:dns would answer. Names that a reversed address would have are not looked up: `ptr` in SPF matches nothing (RFC 7208 §5.5 wants it unused). */
async function ask(resolver: VerifierOptions['resolver'], name: string, type: string): Promise<DnsAnswer> {
  switch (type) {
    case 'TXT':
      return answered(await resolver.txt(name), (record) => [record]);
    case 'MX':
      return answered(await resolver.mx(name), ({ preference, host }) => ({ priority: preference, exchange: host }));
    case 'CNAME':
      return answered(await resolver.cname(name), (record) => record);
    case 'A':
    case 'AAAA': {
      const answer = answered(await resolver.addresses(name), (record) => record);
      if (!('records' in answer)) return answer;
      const records = answer.records.filter((address) => String(address).includes(':') === (type === 'AAAA'));
      return records.length === 0 ? { code: 'ENODATA' } : { records };
    }
    default:
      return { code: 'ENODATA' };
  }
}

function answered<T>(answer: Answer<T>, shape: (record: T) => unknown): DnsAnswer {
  if (answer.kind === 'found') return { records: answer.records.map(shape) };
  if (answer.kind === 'none') return { code: 'ENODATA' };
  return { code: answer.kind === 'no-such-domain' ? 'ENOTFOUND' : 'ETIMEOUT' };
}
