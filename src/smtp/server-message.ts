/**
 * How a message comes in: DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030), and what is said when it is there. The true end of a message is always
 * found before anything is refused because of its content, so that no part of it is ever taken for commands. A client that cannot be followed to the end (a chunk
 * whose size is not a number, a message far over the limit) is disconnected.
 */
import type { Buffer } from 'node:buffer';
import { LARGE_BYTES } from '#base/large.ts';
import type { LineTrouble } from '#mail/smtp-text.ts';
import type { Envelope, EnvelopeRecipient } from '#model/submission.ts';
import { MessageCollector } from './server-collector.ts';
import { END_TRIM_BYTES, EndOfData } from './server-data.ts';
import type { HookResult, ServerReply } from './server-hooks.ts';
import type { OctetReader, ServerSession } from './server-session.ts';
import { settleText } from './server-text.ts';

/** From an accepted MAIL to the end of the message, RSET, EHLO or the end of the connection. */
export interface Transaction {
  readonly envelope: Envelope;
  /** The envelope's, to add to. */
  readonly recipients: EnvelopeRecipient[];
  /** As MAIL announced it. */
  readonly announcedBytes?: number | undefined;
  /** Present once the message has begun. */
  collector?: MessageCollector;
  /** BDAT commands so far. */
  chunks: number;
  /** A RCPT was tried. */
  hasRcpt: boolean;
}

export function data(session: ServerSession): void {
  const { transaction } = session;
  const trouble = orderTrouble(transaction) ?? (transaction?.collector === undefined ? undefined : MIXED);
  if (trouble !== undefined || transaction === undefined) {
    session.hasRefusedData = true;
    return session.refuse(trouble ?? NO_MAIL);
  }
  session.ask(
    () => session.hooks.onData?.(transaction.envelope),
    () =>
      collect(session, transaction, (collector) => {
        session.send(354, undefined, 'End data with <CR><LF>.<CR><LF>');
        session.readOctets(new DataReader(session, collector));
      }),
    () => {
      session.endTransaction();
      session.hasRefusedData = true;
    },
  );
}

/** The message has begun. A large one that was announced waits for its place in memory rather than being refused half-way. */
function collect(session: ServerSession, transaction: Transaction, take: (collector: MessageCollector) => void): void {
  const { announcedBytes = 0 } = transaction;
  const collector = new MessageCollector(session.limits.messageBytes, session.shared.memory, session.nowMs);
  transaction.collector = collector;
  if (announcedBytes < LARGE_BYTES) return take(collector);
  session.ask(
    async () => ((await collector.reserve(announcedBytes, session.limits.memoryWaitMs)) ? undefined : NO_MEMORY),
    () => take(collector),
    () => {
      session.endTransaction();
      session.hasRefusedData = true;
    },
  );
}

export function bdat(session: ServerSession, argument: string): void {
  const match = /^(\d{1,15})( LAST)?$/i.exec(argument);
  // Without a size, nobody knows where the chunk ends and the next command begins.
  if (match === null) return session.close({ code: 501, enhanced: '5.5.4', text: 'Syntax: BDAT size [LAST]' });
  const sizeBytes = Number(match[1]);
  const isLast = match[2] !== undefined;
  const { transaction, limits } = session;
  const skip = (reply: ServerReply): void => {
    session.endTransaction();
    if (sizeBytes > limits.messageBytes + limits.overrunBytes) return session.close(reply);
    new ChunkReader(session, sizeBytes, undefined, () => session.refuse(reply, reply.code !== 552)).begin();
  };
  if (!session.shared.extensions.CHUNKING) return session.close({ code: 502, enhanced: '5.5.1', text: 'The command is not offered' });
  const trouble = orderTrouble(transaction);
  if (trouble !== undefined || transaction === undefined) return skip(trouble ?? NO_MAIL);
  if (++transaction.chunks > limits.chunksPerMessage) return session.close({ code: 552, enhanced: '5.5.1', text: 'Too many chunks' });
  const take = (collector: MessageCollector): void => {
    if (collector.sizeBytes + sizeBytes > limits.messageBytes) return skip(tooLarge(session));
    const done = (): void => {
      if (isLast) finish(session, transaction, collector, 0);
      else session.send(250, '2.0.0', `${sizeBytes} octets received`);
    };
    new ChunkReader(session, sizeBytes, collector, done).begin();
  };
  if (transaction.collector !== undefined) return take(transaction.collector);
  session.ask(
    () => session.hooks.onData?.(transaction.envelope),
    // Its place is taken as it comes: the chunk is on its way already.
    () => take((transaction.collector = new MessageCollector(limits.messageBytes, session.shared.memory, session.nowMs))),
    // The refusal is said at once; the chunk is still on its way, and is passed over.
    () => {
      session.endTransaction();
      new ChunkReader(session, sizeBytes, undefined, () => undefined).begin();
    },
  );
}

/** Takes what follows 354 until the end of data. */
class DataReader implements OctetReader {
  readonly #session: ServerSession;
  readonly #collector: MessageCollector;
  readonly #end = new EndOfData();
  readonly #pace: Pace;

  constructor(session: ServerSession, collector: MessageCollector) {
    this.#session = session;
    this.#collector = collector;
    this.#pace = new Pace(session);
  }

  read(input: Buffer, from: number): number {
    const end = this.#end.find(input, from);
    const to = end === -1 ? input.length : end;
    this.#collector.add(from === 0 && to === input.length ? input : input.subarray(from, to));
    const session = this.#session;
    if (end === -1) {
      this.#pace.note(to - from);
      if (this.#collector.sizeBytes > session.limits.messageBytes + session.limits.overrunBytes) session.close(tooLarge(session));
      return to;
    }
    session.readLines();
    const { transaction } = session;
    if (transaction !== undefined) finish(session, transaction, this.#collector, END_TRIM_BYTES);
    return to;
  }

  trouble(nowMs: number): string | undefined {
    return this.#pace.trouble(nowMs);
  }
}

/** Takes exactly the octets of one chunk; without a collector it passes over them. */
class ChunkReader implements OctetReader {
  readonly #session: ServerSession;
  readonly #collector: MessageCollector | undefined;
  readonly #done: () => void;
  readonly #pace: Pace;
  #left: number;

  constructor(session: ServerSession, sizeBytes: number, collector: MessageCollector | undefined, done: () => void) {
    this.#session = session;
    this.#left = sizeBytes;
    this.#collector = collector;
    this.#done = done;
    this.#pace = new Pace(session);
  }

  begin(): void {
    if (this.#left === 0) this.#done();
    else this.#session.readOctets(this);
  }

  read(input: Buffer, from: number): number {
    const to = Math.min(input.length, from + this.#left);
    this.#left -= to - from;
    this.#pace.note(to - from);
    this.#collector?.add(input.subarray(from, to));
    if (this.#left === 0) {
      this.#session.readLines();
      this.#done();
    }
    return to;
  }

  trouble(nowMs: number): string | undefined {
    return this.#pace.trouble(nowMs);
  }
}

/** Whether the octets of a message come fast enough: no silence, and after a while not slower than the least rate. */
class Pace {
  readonly #session: ServerSession;
  readonly #startedMs: number;
  #lastMs: number;
  #bytes = 0;

  constructor(session: ServerSession) {
    this.#session = session;
    this.#startedMs = session.nowMs;
    this.#lastMs = this.#startedMs;
  }

  note(bytes: number): void {
    this.#bytes += bytes;
    this.#lastMs = this.#session.nowMs;
  }

  trouble(nowMs: number): string | undefined {
    const { dataTimeoutMs, dataBytesPerSecond, messageTimeoutMs } = this.#session.limits;
    if (nowMs - this.#lastMs >= dataTimeoutMs) return 'Nothing was heard for too long';
    const elapsedMs = nowMs - this.#startedMs;
    if (elapsedMs >= messageTimeoutMs) return 'The message took too long';
    if (elapsedMs >= dataTimeoutMs && this.#bytes * 1000 < dataBytesPerSecond * elapsedMs) return 'The message came too slowly';
    return undefined;
  }
}

/** The message is there: settle its text, ask the hook, reply. Its memory counts until the hook has answered, whatever becomes of the connection. */
function finish(session: ServerSession, transaction: Transaction, collector: MessageCollector, trimBytes: number): void {
  session.transaction = undefined;
  const raw = collector.take(trimBytes);
  const { bareNewlines = 'refuse' } = session.shared.options;
  const rules = { isDotStuffed: trimBytes > 0, bareNewlines, lineBytesMax: session.limits.textLineBytes };
  const text = typeof raw === 'string' ? raw : settleText(raw, rules);
  if (typeof text === 'string') {
    collector.release();
    return session.refuse(faultReply(text, session), false);
  }
  session.ask(
    () => releasing(collector, () => session.hooks.onMessage(transaction.envelope, text)),
    (words) => {
      session.facts.messageCount++;
      session.junkCommands = 0;
      session.send(words?.code ?? 250, words?.enhanced ?? '2.0.0', words?.text ?? 'Ok');
    },
  );
}

function releasing(collector: MessageCollector, ask: () => HookResult): HookResult {
  let result: HookResult;
  try {
    result = ask();
  } catch (error) {
    collector.release();
    throw error;
  }
  if (result instanceof Promise) return result.finally(() => collector.release());
  collector.release();
  return result;
}

const NO_MAIL: ServerReply = { code: 503, enhanced: '5.5.1', text: 'Say MAIL first' };
const NO_RCPT: ServerReply = { code: 503, enhanced: '5.5.1', text: 'Say RCPT first' };
const NO_VALID_RCPT: ServerReply = { code: 554, enhanced: '5.5.1', text: 'No valid recipients' };
const NO_MEMORY: ServerReply = { code: 451, enhanced: '4.3.2', text: 'Too much is being received at the moment; try again later' };
const MIXED: ServerReply = { code: 503, enhanced: '5.5.1', text: 'BDAT has begun; DATA cannot be mixed with it' };

function orderTrouble(transaction: Transaction | undefined): ServerReply | undefined {
  if (transaction === undefined) return NO_MAIL;
  if (transaction.recipients.length > 0) return undefined;
  return transaction.hasRcpt ? NO_VALID_RCPT : NO_RCPT;
}

function tooLarge(session: ServerSession): ServerReply {
  return { code: 552, enhanced: '5.3.4', text: `The message is larger than ${session.limits.messageBytes} octets` };
}

function faultReply(fault: LineTrouble | 'too-large' | 'no-memory', session: ServerSession): ServerReply {
  if (fault === 'too-large') return tooLarge(session);
  if (fault === 'no-memory') return NO_MEMORY;
  const texts: Record<LineTrouble, string> = {
    'bare-cr': 'The message has a bare CR; lines end with CRLF (RFC 5321 section 2.3.8)',
    'bare-lf': 'The message has a bare LF; lines end with CRLF (RFC 5321 section 2.3.8)',
    nul: 'The message has a NUL octet',
    'line-too-long': `The message has a line longer than ${session.limits.textLineBytes} octets`,
  };
  return { code: 550, enhanced: '5.6.0', text: texts[fault] };
}
