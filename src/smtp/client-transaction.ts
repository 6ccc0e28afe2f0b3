/**
 * One message to one or more recipients over an open session: MAIL, RCPT, and the content by DATA or BDAT (RFC 5321 §3.3, RFC 3030).
 *
 * - With PIPELINING (RFC 2920) MAIL, every RCPT and DATA leave in one write. With CHUNKING too, and a message that is not large,
 *   the content is in that same write: one round trip.
 * - Recipients beyond what the server takes at once ("too many recipients") go into a further transaction right away.
 * - A recipient's result is the reply that decided about it, or how the connection was lost; `isUnclear` when the server may have
 *   the whole message although it did not say so (P4). "Delivered" is said by the server alone: a 2xx to the end of the content
 *   that came after the content had left.
 * - After a reply that fits nowhere the connection is given up: what came next could not be told apart.
 */
import type { Clock } from '#base/clock.ts';
import type { Composed, DeliveryJob } from '#model/delivery.ts';
import type { AttemptRecord, Reply } from '#model/outcome.ts';
import { stuffed, whole } from './client-body.ts';
import type { ServerOffers } from './client-capabilities.ts';
import { mailCommand, rcptCommand, unsendable } from './client-flight.ts';
import type { ClientTimeouts } from './client-session.ts';
import { Lost } from './client-wire.ts';
import type { Wire } from './client-wire.ts';

/** Recipients of one transaction; RFC 5321 §4.5.3.1.8 lets us count on 100. */
export const RECIPIENTS_PER_TRANSACTION_MAX = 100;
/** A larger message waits until the server has accepted a recipient, rather than being sent for nothing. */
export const ONE_FLIGHT_OCTETS_MAX = 262_144;
/** The envelope as a whole gets so many times the time of one command, however many recipients it has. */
const ENVELOPE_COMMANDS = 3;
/** The slowest receiver that is waited for while a large message is on its way. */
const BODY_OCTETS_PER_SECOND_MIN = 2048;

export type TransactionStage = 'mail' | 'rcpt' | 'data' | 'dot';
export type RecipientResult =
  | { readonly kind: 'reply'; readonly stage: TransactionStage; readonly reply: Reply }
  | { readonly kind: 'lost'; readonly stage: TransactionStage; readonly trouble: string; readonly isUnclear: boolean }
  /** Never put on the wire: the server could only refuse it. */
  | { readonly kind: 'unsendable'; readonly what: 'recipient' | 'sender' | 'size'; readonly trouble: string };

export type TransactionSteps = { -readonly [Step in TransactionStage]?: NonNullable<AttemptRecord['steps'][Step]> };

export interface Transacted {
  readonly results: readonly RecipientResult[];
  readonly steps: TransactionSteps;
  /** True when the first thing sent on a kept connection met its end: the message was not tried. */
  readonly isStale: boolean;
  dialogue(): readonly string[];
}

/** What a session knows of its server from one transaction to the next. */
export interface Peer {
  readonly wire: Wire;
  readonly offers: ServerOffers;
  readonly timeouts: ClientTimeouts;
  readonly clock: Clock;
  /** Learnt from "too many recipients". */
  recipientsMax: number | undefined;
  /** A transaction ended without content: RSET goes before the next MAIL, in the same flight. */
  needsReset: boolean;
}

export async function transact(peer: Peer, job: DeliveryJob, composed: Composed): Promise<Transacted> {
  const { wire } = peer;
  wire.dialogue.mark();
  const results: (RecipientResult | undefined)[] = [];
  const steps: TransactionSteps = {};
  const refusal = refusalOfAll(peer, job, composed);
  let waiting: number[] = [];
  for (let i = 0; i < job.recipients.length; i++) {
    const trouble =
      refusal === undefined ? unsendable((job.recipients[i] as { address: string }).address, canUtf8(peer, composed)) : undefined;
    results.push(refusal ?? (trouble === undefined ? undefined : { kind: 'unsendable', what: 'recipient', trouble }));
    if (results[i] === undefined) waiting.push(i);
  }
  const wasLost = wire.lost !== undefined;
  let isFirst = true;
  let isStale = wasLost && waiting.length > 0;
  while (waiting.length > 0) {
    const batch = waiting.slice(0, peer.recipientsMax ?? RECIPIENTS_PER_TRANSACTION_MAX);
    const transaction = new Transaction(peer, job, composed, batch, results, steps);
    await transaction.run();
    if (isFirst && transaction.isUntried) isStale = true;
    isFirst = false;
    waiting = transaction.again.concat(waiting.slice(batch.length));
  }
  return { results: results as RecipientResult[], steps, isStale, dialogue: () => wire.dialogue.lines() };
}

function canUtf8(peer: Peer, composed: Composed): boolean {
  return composed.smtputf8 && peer.offers.smtputf8;
}

function refusalOfAll(peer: Peer, job: DeliveryJob, composed: Composed): RecipientResult | undefined {
  const { sizeMax } = peer.offers;
  if (sizeMax !== undefined && sizeMax > 0 && composed.sizeBytes > sizeMax) {
    const trouble = `the message has ${composed.sizeBytes} octets, and the server takes ${sizeMax} (RFC 1870)`;
    return { kind: 'unsendable', what: 'size', trouble };
  }
  const sender = composed.mailFrom ?? job.sender;
  const trouble = sender === '' ? undefined : unsendable(sender, canUtf8(peer, composed));
  return trouble === undefined ? undefined : { kind: 'unsendable', what: 'sender', trouble };
}

/** 452 and 552 say many things; this is whether they say "not so many in one transaction" (RFC 5321 §4.5.3.1.10). */
function isTooMany(reply: Reply, acceptedCount: number): boolean {
  if (acceptedCount === 0 || (reply.code !== 452 && reply.code !== 552 && reply.code !== 451)) return false;
  if (reply.enhanced !== undefined && reply.enhanced.endsWith('.5.3')) return true;
  if (/too many (recipients|rcpt)/i.test(reply.text)) return true;
  return reply.code === 452 && reply.enhanced === undefined;
}

function isPositive(code: number): boolean {
  return code >= 200 && code <= 299;
}

function isRefusal(code: number): boolean {
  return code >= 400 && code <= 599;
}

/** One MAIL … content sequence for some of the recipients. Fills their results; `again` are those to try in another one. */
class Transaction {
  readonly again: number[] = [];
  /** Replies that arrived. */
  #heard = 0;
  readonly #peer: Peer;
  readonly #job: DeliveryJob;
  readonly #composed: Composed;
  readonly #batch: readonly number[];
  readonly #results: (RecipientResult | undefined)[];
  readonly #steps: TransactionSteps;
  readonly #accepted: number[] = [];
  readonly #isPipelined: boolean;
  readonly #isBdat: boolean;
  readonly #isOneFlight: boolean;
  #startedMs = 0;
  #envelopeEndMs = 0;
  /** The end of the content has been sent. */
  #isComplete = false;

  constructor(
    peer: Peer,
    job: DeliveryJob,
    composed: Composed,
    batch: readonly number[],
    results: (RecipientResult | undefined)[],
    steps: TransactionSteps,
  ) {
    this.#peer = peer;
    this.#job = job;
    this.#composed = composed;
    this.#batch = batch;
    this.#results = results;
    this.#steps = steps;
    this.#isPipelined = peer.offers.pipelining;
    this.#isBdat = peer.offers.chunking;
    this.#isOneFlight = this.#isBdat && this.#isPipelined && composed.sizeBytes <= ONE_FLIGHT_OCTETS_MAX;
  }

  /** The remote closed before it answered anything, and cannot have the message. */
  get isUntried(): boolean {
    const { lost, isFlushed } = this.#peer.wire;
    return this.#heard === 0 && lost?.isClosed === true && !(this.#isComplete && isFlushed);
  }

  async run(): Promise<void> {
    const { wire, clock, timeouts } = this.#peer;
    if (wire.lost !== undefined) {
      this.#endAll('mail', wire.lost);
      return;
    }
    this.#startedMs = clock.monotonicMs();
    this.#envelopeEndMs = this.#startedMs + ENVELOPE_COMMANDS * timeouts.commandMs;
    if (this.#isPipelined) this.#sendEnvelope();
    if (!(await this.#reset()) || !(await this.#mail()) || !(await this.#rcpts())) return;
    this.#took('rcpt');
    if (this.#isBdat) await this.#bdat();
    else await this.#data();
  }

  /** Everything that may go out before the first reply has come. */
  #sendEnvelope(): void {
    const { wire, offers, needsReset } = this.#peer;
    let flight = (needsReset ? 'RSET\r\n' : '') + mailCommand(this.#job, this.#composed, offers);
    for (const index of this.#batch) flight += this.#rcptCommand(index);
    let replies = this.#batch.length + (needsReset ? 2 : 1);
    if (this.#isOneFlight) {
      const { chunks, sizeBytes } = whole(this.#composed.chunks, this.#composed.sizeBytes);
      flight += `BDAT ${sizeBytes} LAST\r\n`;
      wire.dialogue.said(flight);
      this.#isComplete = true;
      wire.send(flight, replies + 1, chunks);
      return;
    }
    if (!this.#isBdat) {
      flight += 'DATA\r\n';
      replies++;
    }
    wire.dialogue.said(flight);
    wire.send(flight, replies);
  }

  async #reset(): Promise<boolean> {
    if (!this.#peer.needsReset) return true;
    if (!this.#isPipelined) this.#say('RSET\r\n');
    const got = await this.#read('RSET');
    if (got instanceof Lost) return this.#endAll('mail', got);
    if (!isPositive(got.code)) return this.#giveUp('mail', got, 'RSET');
    this.#peer.needsReset = false;
    return true;
  }

  async #mail(): Promise<boolean> {
    if (!this.#isPipelined) this.#say(mailCommand(this.#job, this.#composed, this.#peer.offers));
    const got = await this.#read('MAIL');
    this.#took('mail');
    if (got instanceof Lost) return this.#endAll('mail', got);
    if (isPositive(got.code)) return true;
    for (const index of this.#batch) this.#results[index] = { kind: 'reply', stage: 'mail', reply: got };
    if (!isRefusal(got.code) || got.code === 421) return this.#abandon(`the server answered ${got.code} to MAIL`);
    if (!this.#isPipelined) return false;
    for (const _ of this.#batch) if ((await this.#read('RCPT')) instanceof Lost) return false;
    await this.#endWithoutRecipients();
    return false;
  }

  async #rcpts(): Promise<boolean> {
    for (const index of this.#batch) {
      if (!this.#isPipelined) this.#say(this.#rcptCommand(index));
      const got = await this.#read('RCPT');
      if (got instanceof Lost) return this.#endAll('rcpt', got);
      if (isPositive(got.code)) {
        this.#accepted.push(index);
      } else if (got.code === 421) {
        return this.#refuseRest('rcpt', got);
      } else if (!isRefusal(got.code)) {
        return this.#giveUp('rcpt', got, 'RCPT');
      } else if (isTooMany(got, this.#accepted.length)) {
        this.#peer.recipientsMax = this.#accepted.length;
        this.again.push(index);
      } else {
        this.#results[index] = { kind: 'reply', stage: 'rcpt', reply: got };
      }
    }
    if (this.#accepted.length > 0) return true;
    if (this.#isPipelined) await this.#endWithoutRecipients();
    else this.#peer.needsReset = true;
    return false;
  }

  /** The replies to what was sent ahead for recipients of whom none was accepted. */
  async #endWithoutRecipients(): Promise<void> {
    const { wire } = this.#peer;
    this.#peer.needsReset = true;
    if (this.#isBdat && !this.#isOneFlight) return;
    const got = await this.#read(this.#isBdat ? 'BDAT' : 'DATA');
    if (got instanceof Lost || this.#isBdat || got.code !== 354) return;
    // RFC 2920 §3.1: a server that wants data all the same is given none.
    wire.dialogue.said('.');
    wire.send('.\r\n', 1);
    await wire.read(this.#peer.timeouts.dotMs, 'the end of the message');
  }

  async #bdat(): Promise<void> {
    const { wire } = this.#peer;
    if (!this.#isOneFlight) {
      const { chunks, sizeBytes } = whole(this.#composed.chunks, this.#composed.sizeBytes);
      const command = `BDAT ${sizeBytes} LAST\r\n`;
      wire.dialogue.said(command);
      this.#isComplete = true;
      wire.send(command, 1, chunks);
    }
    await this.#end();
  }

  async #data(): Promise<void> {
    const { wire } = this.#peer;
    if (!this.#isPipelined) this.#say('DATA\r\n');
    const got = await wire.read(this.#peer.timeouts.dataMs, 'DATA');
    this.#took('data');
    if (got instanceof Lost) {
      this.#endAll('data', got);
      return;
    }
    this.#heard++;
    if (got.code === 421) {
      this.#refuseRest('data', got);
    } else if (isRefusal(got.code)) {
      this.#settle({ kind: 'reply', stage: 'data', reply: got });
      this.#peer.needsReset = true;
    } else if (got.code !== 354) {
      this.#giveUp('data', got, 'DATA');
    } else if (wire.lost !== undefined) {
      this.#endAll('data', wire.lost); // more than 354 came
    } else {
      wire.dialogue.said(`(${this.#composed.sizeBytes} octets of message, and the final dot)`);
      this.#isComplete = true;
      wire.send('', 1, stuffed(this.#composed.chunks));
      await this.#end();
    }
  }

  /** The reply to the end of the content, which decides about every recipient that was accepted. */
  async #end(): Promise<void> {
    const { wire, timeouts } = this.#peer;
    const bodyMs = timeouts.dataMs + (this.#composed.sizeBytes / BODY_OCTETS_PER_SECOND_MIN) * 1000;
    const got = await wire.read(timeouts.dotMs, 'the end of the message', bodyMs);
    this.#took('dot');
    if (got instanceof Lost) {
      this.#endAll('dot', got);
      return;
    }
    this.#heard++;
    const isEarly = !wire.isFlushed;
    if (isOutOfStep(got)) {
      this.#giveUp('dot', got, 'the end of the message');
      return;
    }
    if (isPositive(got.code) && !isEarly) {
      this.#settle({ kind: 'reply', stage: 'dot', reply: got });
      return;
    }
    if (isRefusal(got.code)) {
      this.#settle({ kind: 'reply', stage: 'dot', reply: got });
      if (isEarly || got.code === 421) wire.lose(`the server answered ${got.code} to the message`, got);
      else this.#peer.needsReset = this.#isBdat; // RFC 3030 §2: the state after a failed BDAT is indeterminate
      return;
    }
    const trouble = `the server answered ${got.code} ${isEarly ? 'before it had the message' : 'to the end of the message'}`;
    wire.lose(trouble);
    this.#settle({ kind: 'lost', stage: 'dot', trouble: `${trouble}: ${got.text.slice(0, 200)}`, isUnclear: !isEarly });
  }

  /** The rest of the batch gets how the connection ended; nothing goes on after it. A refusal that came unasked decides. */
  #endAll(stage: TransactionStage, lost: Lost): false {
    const { reply } = lost;
    const isUnclear = this.#isComplete && this.#peer.wire.isFlushed;
    const { trouble } = lost;
    for (const index of this.#batch) {
      this.#results[index] ??=
        reply !== undefined && isRefusal(reply.code)
          ? { kind: 'reply', stage, reply }
          : { kind: 'lost', stage, trouble, isUnclear: isUnclear && !this.again.includes(index) };
    }
    this.again.length = 0;
    return false;
  }

  /** A 421: the server is going, and this is its word to everybody who is left. */
  #refuseRest(stage: TransactionStage, reply: Reply): false {
    this.#peer.wire.lose('the server closed the session', reply);
    for (const index of this.#batch) this.#results[index] ??= { kind: 'reply', stage, reply };
    this.again.length = 0;
    return false;
  }

  /**
   * A reply that does not belong here: nothing after it can be trusted to belong to its command. When commands went out ahead,
   * the replies before it may have been one off already, so that no recipient's refusal can be relied on either.
   */
  #giveUp(stage: TransactionStage, reply: Reply, command: string): false {
    const trouble = `the server answered ${reply.code} to ${command}: ${reply.text.slice(0, 200)}`;
    const isUnclear = this.#isComplete && this.#peer.wire.isFlushed;
    this.#peer.wire.lose(trouble);
    for (const index of this.#batch) {
      const lost: RecipientResult = { kind: 'lost', stage, trouble, isUnclear };
      if (this.#isPipelined) this.#results[index] = lost;
      else this.#results[index] ??= { ...lost, isUnclear: isUnclear && !this.again.includes(index) };
    }
    this.again.length = 0;
    return false;
  }

  #abandon(trouble: string): false {
    this.#peer.wire.lose(trouble);
    return false;
  }

  #settle(result: RecipientResult): void {
    for (const index of this.#accepted) this.#results[index] = result;
  }

  #rcptCommand(index: number): string {
    return rcptCommand(this.#job.recipients[index] as DeliveryJob['recipients'][number], this.#peer.offers);
  }

  #say(line: string): void {
    this.#peer.wire.dialogue.said(line);
    this.#peer.wire.send(line, 1);
  }

  async #read(awaited: string): Promise<Reply | Lost> {
    const { wire, timeouts, clock } = this.#peer;
    const leftMs = this.#envelopeEndMs - clock.monotonicMs();
    const got = await wire.read(Math.max(1, Math.min(timeouts.commandMs, leftMs)), awaited);
    if (!(got instanceof Lost)) this.#heard++;
    return got;
  }

  /** Time since the last step, added to this one (a transaction may be one of several for the message). */
  #took(step: TransactionStage): void {
    const nowMs = this.#peer.clock.monotonicMs();
    this.#steps[step] = (this.#steps[step] ?? 0) + Math.round(nowMs - this.#startedMs);
    this.#startedMs = nowMs;
  }
}

/**
 * A reply to the end of the message that cannot be one: the greeting's and QUIT's codes, and success with an enhanced code that speaks of
 * an address (2.1.x).
 * The server is a reply behind then, and its real answer is still to come.
 */
function isOutOfStep(reply: Reply): boolean {
  return reply.code === 220 || reply.code === 221 || reply.enhanced?.startsWith('2.1.') === true;
}
