/**
 * Looks up what delivery and verification need: MX, addresses, TXT. The answer is always a value: found, none (the name exists,
 * the records do not), no-such-domain (NXDOMAIN), or trouble (no usable answer: nothing may be concluded from it).
 *
 * Over c-ares (node:dns Resolver), never through the system's lookup, whose few threads a slow server would block. Each question
 * has a deadline; equal questions at one time are asked once; answers are cached for their time to live within bounds, negative
 * ones shortly; questions at one time are limited, and so are the records of an answer that are looked at.
 */
import { Resolver as CaresResolver } from 'node:dns/promises';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { isQueryable } from './name.ts';

/** The MX records of a domain that are used, best preference first. */
export const MX_RECORDS_MAX = 40;
export const ADDRESSES_MAX = 40;
export const TXT_RECORDS_MAX = 100;
export const TXT_CHARACTERS_MAX = 8192;
export const CNAME_STEPS_MAX = 8;
/** Questions at one time, and those that may wait for their turn. */
export const QUESTIONS_MAX = 256;
export const WAITING_QUESTIONS_MAX = 50_000;

/** Positive answers stay this long at least (TTL 0 would otherwise mean a question per message) and at most. */
const TTL_MIN_MS = 5_000;
const TTL_MAX_MS = 3_600_000;
/** c-ares tells no TTL for MX and TXT. */
const TTL_UNKNOWN_MS = 300_000;
const NEGATIVE_TTL_MS = 60_000;
const TROUBLE_TTL_MS = 5_000;
/** What c-ares may need beyond its time-outs. */
const DEADLINE_SLACK_MS = 1_000;

export type Answer<T> =
  | { readonly kind: 'found'; readonly records: readonly T[] }
  | { readonly kind: 'none' }
  | { readonly kind: 'no-such-domain' }
  | { readonly kind: 'trouble'; readonly trouble: string };

export interface MxRecord {
  readonly preference: number;
  /** Lower case, without trailing dot; '' for the root (null MX, RFC 7505). */
  readonly host: string;
}

export interface Resolver {
  mx(domain: string): Promise<Answer<MxRecord>>;
  /** IPv4 addresses first. */
  addresses(host: string): Promise<Answer<string>>;
  /** Each record's character-strings joined. */
  txt(name: string): Promise<Answer<string>>;
  /** What the name itself points to, not what that points to in turn. */
  cname(name: string): Promise<Answer<string>>;
  close(): void;
}

export interface ResolverOptions {
  /** "192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:5353"; none: the system's. */
  readonly servers: readonly string[];
  /** Longest wait for one answer of one server. */
  readonly timeoutMs: number;
  /** How often each server is asked. */
  readonly tries: number;
  /** Answers kept. */
  readonly cacheMax: number;
  readonly clock: Clock;
}

type Timed<T> = Answer<T> & { readonly ttlMs?: number };

export function createResolver(options: ResolverOptions): Resolver {
  const cares = new CaresResolver({ timeout: options.timeoutMs, tries: options.tries, maxTimeout: options.timeoutMs });
  if (options.servers.length > 0) cares.setServers([...options.servers]);
  const deadlineMs = options.timeoutMs * options.tries * Math.max(1, cares.getServers().length) + DEADLINE_SLACK_MS;
  const questions = new Questions(deadlineMs);
  const memory = new AnswerMemory(options.cacheMax, options.clock);

  const mxOf = (name: string): Promise<Timed<MxRecord>> =>
    questions.ask(async () => {
      const records = await cares.resolveMx(name);
      return found(
        records
          .map(({ priority, exchange }) => ({ preference: priority, host: canonical(exchange) }))
          .sort((a, b) => a.preference - b.preference)
          .slice(0, MX_RECORDS_MAX),
      );
    });
  const txtOf = (name: string): Promise<Timed<string>> =>
    questions.ask(async () => {
      const records = await cares.resolveTxt(name);
      return found(records.slice(0, TXT_RECORDS_MAX).map((parts) => parts.join('').slice(0, TXT_CHARACTERS_MAX)));
    });
  const addressesOf = async (name: string): Promise<Timed<string>> => {
    const timed = (records: { address: string; ttl: number }[]): Timed<string> => ({
      ...found(records.map(({ address }) => address).slice(0, ADDRESSES_MAX)),
      ttlMs: Math.min(...records.map(({ ttl }) => ttl * 1000)),
    });
    const [four, six] = await Promise.all([
      questions.ask(async () => timed(await cares.resolve4(name, { ttl: true }))),
      questions.ask(async () => timed(await cares.resolve6(name, { ttl: true }))),
    ]);
    return both(four, six);
  };
  const cnameOf = (name: string): Promise<Timed<string>> =>
    questions.ask(async () => found((await cares.resolveCname(name)).map(canonical)));
  const lookUp = <T>(kind: string, given: string, query: (name: string) => Promise<Timed<T>>): Promise<Answer<T>> => {
    const name = canonical(given);
    if (!isQueryable(name)) return Promise.resolve({ kind: 'no-such-domain' });
    return memory.recall(`${kind} ${name}`, () => throughCnames(name, query, cnameOf));
  };

  return {
    mx: (domain) => lookUp('MX', domain, mxOf),
    addresses: (host) => lookUp('A', host, addressesOf),
    txt: (name) => lookUp('TXT', name, txtOf),
    cname(given) {
      const name = canonical(given);
      return isQueryable(name) ? memory.recall(`CNAME ${name}`, () => cnameOf(name)) : Promise.resolve({ kind: 'no-such-domain' });
    },
    close: () => cares.cancel(),
  };
}

/**
 * A recursive server follows CNAMEs itself. One that does not answers with the CNAME alone, which looks like "none"; then it is
 * followed here, a few steps and never in a circle.
 */
async function throughCnames<T>(
  asked: string,
  query: (name: string) => Promise<Timed<T>>,
  cnameOf: (name: string) => Promise<Timed<string>>,
): Promise<Timed<T>> {
  const seen = new Set<string>();
  let name = asked;
  while (seen.size <= CNAME_STEPS_MAX) {
    seen.add(name);
    const answer = await query(name);
    if (answer.kind !== 'none') return answer;
    const alias = await cnameOf(name);
    if (alias.kind === 'trouble') return alias;
    const target = alias.kind === 'found' ? alias.records[0] : undefined;
    if (target === undefined || !isQueryable(target)) return answer;
    if (seen.has(target)) return { kind: 'trouble', trouble: `${asked} is a CNAME that leads back to itself` };
    name = target;
  }
  return { kind: 'trouble', trouble: `${asked} leads through more than ${CNAME_STEPS_MAX} CNAMEs` };
}

/** Addresses of either family are enough; "none" needs both to say so. */
function both(four: Timed<string>, six: Timed<string>): Timed<string> {
  if (four.kind === 'found' && six.kind === 'found') {
    return { kind: 'found', records: [...four.records, ...six.records], ttlMs: Math.min(four.ttlMs ?? 0, six.ttlMs ?? 0) };
  }
  if (four.kind === 'found') return four;
  if (six.kind === 'found') return six;
  if (four.kind === 'trouble') return four;
  return six.kind === 'trouble' || six.kind === 'no-such-domain' ? six : four;
}

function found<T>(records: readonly T[]): Timed<T> {
  return records.length === 0 ? { kind: 'none' } : { kind: 'found', records };
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

/** Answers kept for their time, and equal questions that are under way joined. */
class AnswerMemory {
  readonly #cache: BoundedCache<string, Answer<unknown>>;
  readonly #underWay = new Map<string, Promise<Answer<unknown>>>();
  readonly #clock: Clock;

  constructor(cacheMax: number, clock: Clock) {
    this.#cache = new BoundedCache({ max: cacheMax });
    this.#clock = clock;
  }

  recall<T>(key: string, find: () => Promise<Timed<T>>): Promise<Answer<T>> {
    const kept = this.#cache.get(key, this.#clock.monotonicMs()) as Answer<T> | undefined;
    if (kept !== undefined) return Promise.resolve(kept);
    const underWay = this.#underWay.get(key) as Promise<Answer<T>> | undefined;
    if (underWay !== undefined) return underWay;
    const asking = find()
      .then(
        (answer) => {
          this.#cache.set(key, answer, this.#clock.monotonicMs(), keepMs(answer));
          return answer;
        },
        (error: unknown): Answer<T> => ({ kind: 'trouble', trouble: `the lookup failed inside: ${String(error).slice(0, 200)}` }),
      )
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asking);
    return asking;
  }
}

function keepMs(answer: Timed<unknown>): number {
  if (answer.kind === 'trouble') return TROUBLE_TTL_MS;
  if (answer.kind !== 'found') return NEGATIVE_TTL_MS;
  return Math.min(TTL_MAX_MS, Math.max(TTL_MIN_MS, answer.ttlMs ?? TTL_UNKNOWN_MS));
}

/** Runs questions, so many at one time, each with a deadline, and makes answers of what they throw. */
class Questions {
  readonly #deadlineMs: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs;
  }

  async ask<T>(question: () => Promise<Timed<T>>): Promise<Timed<T>> {
    if (this.#running >= QUESTIONS_MAX) {
      if (this.#waiting.length >= WAITING_QUESTIONS_MAX) return { kind: 'trouble', trouble: 'too many DNS questions are waiting' };
      await new Promise<void>((turn) => this.#waiting.push(turn));
    } else {
      this.#running++;
    }
    // The turn is over when c-ares is done with the question, not when we stop waiting for it.
    const answer = question().catch(answerOfError<T>);
    void answer.then(() => this.#pass());
    return this.#within(answer);
  }

  #pass(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }

  #within<T>(answer: Promise<Timed<T>>): Promise<Timed<T>> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve({ kind: 'trouble', trouble: 'the DNS lookup timed out' }), this.#deadlineMs);
      void answer.then((value) => {
        clearTimeout(timer);
        resolve(value);
      });
    });
  }
}

const TROUBLES: Readonly<Record<string, string>> = {
  ETIMEOUT: 'the DNS lookup timed out',
  ESERVFAIL: 'the DNS server could not answer (SERVFAIL)',
  EREFUSED: 'the DNS server refused to answer',
  ENOTIMP: 'the DNS server does not support the question',
  EFORMERR: 'the DNS server did not understand the question',
  ECONNREFUSED: 'no DNS server could be reached',
  EBADRESP: 'the DNS answer was malformed',
  ECANCELLED: 'the DNS lookup was stopped',
};

function answerOfError<T>(error: unknown): Timed<T> {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOTFOUND') return { kind: 'no-such-domain' };
  if (code === 'ENODATA') return { kind: 'none' };
  if (code === 'EBADNAME') return { kind: 'no-such-domain' };
  return { kind: 'trouble', trouble: TROUBLES[code] ?? `the DNS lookup failed (${code || String(error).slice(0, 100)})` };
}
