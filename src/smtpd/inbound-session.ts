/**
 * One client that brings mail from elsewhere. Nobody logs in here and nothing is relayed: a recipient is taken when somebody of ours answers for it, and refused at
 * RCPT otherwise. What becomes of a message is decided by `receive`; this file keeps a client from doing it too fast, too often, or before it
 * is asked to.
 *
 * The state of a connection: the recipients of its present message, which have one taker, and how many were refused so far.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { TokenBucket } from '#base/token-bucket.ts';
import { AppError } from '#model/errors.ts';
import type { Addressee, InboundRcpt, InboundRefusal } from '#model/inbound.ts';
import { siteOf } from '#smtp/server-admission.ts';
import type { HookAnswer, MailCommand, OpenSession, RcptCommand, ServerReply, SessionFacts } from '#smtp/server-hooks.ts';
import { isRefusal } from '#inbound/addressees.ts';
import type { Arrival, Receive } from '#inbound/receive.ts';

export interface InboundDoor {
  findAddressee(rcpt: InboundRcpt): Promise<Addressee | InboundRefusal>;
  receive: Receive;
  /** Why mail of this sender is not taken; asked when nobody waits for it but the client. */
  senderTrouble?(sender: string, domain: string): Promise<InboundRefusal | undefined>;
  /** Why no mail is taken now; undefined: it is. */
  refusal(): AppError | undefined;
  readonly counts: InboundCounts;
}

/** What became of messages and of clients, since the start. */
export interface InboundCounts {
  received: number;
  /** Messages that were refused for good, and for now. */
  refused: number;
  deferred: number;
  unknownRecipients: number;
  relayAttempts: number;
  earlyTalkers: number;
  rateLimited: number;
}

export interface InboundRules {
  /** How long a client waits for the greeting; 0: not at all, and nobody is found who does not. */
  readonly greetingDelayMs: number;
  readonly rate: { readonly count: number; readonly perMs: number };
  /** Refused recipients of one connection. */
  readonly refusedRecipientsMax: number;
}

/** Clients whose rate is remembered. One that is forgotten begins anew. */
const CLIENTS_MAX = 20_000;

export function noCounts(): InboundCounts {
  return { received: 0, refused: 0, deferred: 0, unknownRecipients: 0, relayAttempts: 0, earlyTalkers: 0, rateLimited: 0 };
}

export function inboundSessions(door: InboundDoor, rules: InboundRules, clock: Clock, log: Log): OpenSession {
  const rates = new BoundedCache<string, TokenBucket>({ max: CLIENTS_MAX });
  return (session) => {
    const one = new InboundSession(session, door, rules, log);
    return {
      onConnect: () => one.connected(),
      onMail: (mail) => {
        const waitMs = takeTurn(rates, rules.rate, session.address, clock.monotonicMs());
        if (waitMs === 0) return one.mail(mail);
        door.counts.rateLimited++;
        throw new AppError('rate-limited', { what: 'Messages from your address:', seconds: Math.ceil(waitMs / 1000) });
      },
      onRcpt: (rcpt, envelope) => one.rcpt(rcpt, envelope.sender),
      onMessage: (envelope, bytes) => one.message(envelope, bytes),
    };
  };
}

/** Milliseconds until the client may bring another message; 0: it may now. */
function takeTurn(rates: BoundedCache<string, TokenBucket>, rate: InboundRules['rate'], address: string, nowMs: number): number {
  const site = siteOf(address);
  let bucket = rates.get(site, nowMs);
  if (bucket === undefined) {
    bucket = new TokenBucket(rate.count, rate.perMs, rate.count, nowMs);
    rates.set(site, bucket, nowMs);
  }
  return bucket.take(1, nowMs) ? 0 : bucket.waitMs(1, nowMs);
}

class InboundSession {
  readonly #session: SessionFacts;
  readonly #door: InboundDoor;
  readonly #rules: InboundRules;
  readonly #log: Log;
  #recipients: Arrival['recipients'][number][] = [];
  #refusedRecipients = 0;

  constructor(session: SessionFacts, door: InboundDoor, rules: InboundRules, log: Log) {
    this.#session = session;
    this.#door = door;
    this.#rules = rules;
    this.#log = log;
  }

  /** A mail server waits for the greeting (RFC 5321 §4.3.1); programs that only pretend to be one often do not. */
  connected(): HookAnswer | Promise<HookAnswer> {
    const refusal = this.#door.refusal();
    if (refusal !== undefined) return { code: 421, enhanced: refusal.enhanced, text: refusal.message };
    return this.#rules.greetingDelayMs === 0 ? undefined : this.#greet();
  }

  async #greet(): Promise<HookAnswer> {
    const { signal } = this.#session;
    await sleep(this.#rules.greetingDelayMs, undefined, { signal }).catch(() => undefined);
    // What came while this process stood still has not been read when the time is over.
    await turn();
    if (!this.#session.isAhead) return undefined;
    this.#door.counts.earlyTalkers++;
    this.#log.info({ session: this.#session.id, address: this.#session.address }, 'a client spoke before the greeting and was sent away');
    return { code: 554, enhanced: '5.5.0', text: 'You spoke before the greeting' };
  }

  async mail({ envelope, path }: MailCommand): Promise<HookAnswer> {
    const refusal = this.#door.refusal();
    if (refusal !== undefined) throw refusal;
    this.#recipients = [];
    // The null sender has no domain; a literal has nothing to look up.
    if (path.domain === '' || path.domain.startsWith('[')) return undefined;
    return this.#door.senderTrouble?.(envelope.sender, path.domain);
  }

  async rcpt({ path }: RcptCommand, sender: string): Promise<HookAnswer> {
    const { local, domain, address } = path;
    const rcpt: InboundRcpt = { local, domain, address, sender, clientAddress: this.#session.address };
    const found = await this.#door.findAddressee(rcpt);
    const addressee = isRefusal(found) ? { kind: 'nobody', refusal: found } : found;
    if (addressee.refusal !== undefined) return this.#refuse(addressee.refusal);
    const [first] = this.#recipients;
    // Given twice, it is delivered once; the place in the envelope is the client's.
    if (this.#recipients.some((taken) => taken.rcpt.address === address)) return undefined;
    if (first !== undefined && !areTogether(first.addressee, addressee)) return ANOTHER_TIME;
    this.#recipients.push({ rcpt, addressee });
    return undefined;
  }

  #refuse(refusal: InboundRefusal): ServerReply {
    if (refusal.code < 500) return refusal;
    if (refusal.enhanced === '5.7.1') this.#door.counts.relayAttempts++;
    else this.#door.counts.unknownRecipients++;
    if (++this.#refusedRecipients > this.#rules.refusedRecipientsMax)
      return { code: 421, enhanced: '4.7.0', text: 'Too many recipients that are not here' };
    return refusal;
  }

  async message(envelope: Arrival['envelope'], bytes: Buffer): Promise<ServerReply> {
    const { counts } = this.#door;
    const recipients = this.#recipients;
    this.#recipients = [];
    try {
      const { address, helo, tls, isEsmtp, id: session } = this.#session;
      const client = { address, ...(helo !== undefined && { helo }), ...(tls !== undefined && { tls }) };
      const result = await this.#door.receive({ envelope, recipients, bytes, client, isEsmtp, session });
      if (!('code' in result)) {
        counts.received++;
        return { code: 250, enhanced: '2.0.0', text: `Received as ${result.id}` };
      }
      this.#told(result.code, result.text);
      return result;
    } catch (error) {
      const code = error instanceof AppError ? error.smtpCode : 451;
      this.#told(code, error instanceof AppError ? error.message : 'trouble');
      throw error;
    }
  }

  #told(code: number, reason: string): void {
    if (code < 500) this.#door.counts.deferred++;
    else this.#door.counts.refused++;
    this.#log.info({ session: this.#session.id, address: this.#session.address, code, reason }, 'mail that came in was refused');
  }
}

function areTogether(one: Addressee, other: Addressee): boolean {
  return one.kind === other.kind && one.together !== undefined && one.together === other.together;
}

/** RFC 5321 §4.5.3.1.10: the client brings the message again for those that were not taken this time. */
const ANOTHER_TIME: ServerReply = {
  code: 452,
  enhanced: '4.5.3',
  text: 'This recipient is for another message: send it again for this one',
};
