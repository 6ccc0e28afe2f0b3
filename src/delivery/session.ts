/**
 * A delivery session: an open SMTP client session, and what its results mean. `deliver` never rejects: one outcome for each
 * recipient, whatever happens (P5). The dialogue goes with the outcomes that were not delivered.
 */
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import type { DeliveryJob, DeliverySession } from '#model/delivery.ts';
import type { EgressSource, TlsDemand } from '#model/egress.ts';
import type { AttemptRecord, Outcome, Reply } from '#model/outcome.ts';
import type { SmtpClient } from '#smtp/client-session.ts';
import type { RecipientResult, Transacted } from '#smtp/client-transaction.ts';
import { classify } from './classify.ts';
import { CODE_NO_CONNECTION, madeOutcome } from './made-outcome.ts';
import type { Facts } from './made-outcome.ts';
import { providerOf } from './provider.ts';
import type { Provider } from './provider.ts';

export interface SessionFacts {
  readonly site: string;
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly source: EgressSource;
  /** What was tried before it (see `AttemptRecord.before`). */
  readonly before?: string;
  readonly clock: Clock;
  readonly log: Log;
}

type Attempt = Omit<AttemptRecord, 'number'>;

export class SmtpDeliverySession implements DeliverySession {
  readonly host: string;
  readonly address: string;
  readonly #client: SmtpClient;
  readonly #facts: SessionFacts;
  readonly #provider: Provider | undefined;
  #uses = 0;

  constructor(client: SmtpClient, facts: SessionFacts) {
    this.#client = client;
    this.#facts = facts;
    this.host = facts.host;
    this.address = facts.address;
    this.#provider = providerOf(facts.host);
  }

  get uses(): number {
    return this.#uses;
  }

  get isUsable(): boolean {
    return this.#client.isUsable;
  }

  satisfies(demand: TlsDemand): boolean {
    if (demand === 'opportunistic') return true;
    return this.#client.tls !== undefined && (demand === 'require' || this.#client.tls.verified);
  }

  async deliver(job: DeliveryJob): Promise<readonly Outcome[]> {
    const startedMs = this.#facts.clock.nowMs();
    this.#uses++;
    if (!this.isUsable) return this.#gone(job, startedMs);
    if (!this.satisfies(job.tls)) {
      const text = 'this connection has not the TLS that the message demands';
      return this.#all(job, 'deferred', { code: CODE_NO_CONNECTION, enhanced: '4.7.5', text, bounceClass: 'tls' }, startedMs);
    }
    try {
      const composed = await job.compose(this.#client.offers);
      if ('refused' in composed) return this.#all(job, 'failed', refusedFacts(composed.refused), startedMs);
      // Composing and signing took time, in which the process may have stood still: no await between this and the first octet.
      if (job.mayBegin?.() === false) return this.#withdrawn(job, startedMs);
      return this.#outcomes(job, await this.#client.transact(job, composed), startedMs);
    } catch (error) {
      // A bug of ours, in composing or here (P5). The connection's state is unknown.
      const text = errorText(error);
      this.#facts.log.error({ site: this.#facts.site, error: error instanceof Error ? error.stack : text }, 'a delivery failed inside');
      await this.close();
      return this.#all(
        job,
        'deferred',
        { code: 451, enhanced: '4.3.0', text: 'an internal error stopped the attempt; the log has it', bounceClass: 'transient' },
        startedMs,
      );
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** It has served before. A server that drops new connections was tried, and is not to be tried again at once. */
  get #isKept(): boolean {
    return this.#uses > 1;
  }

  #outcomes(job: DeliveryJob, done: Transacted, startedMs: number): Outcome[] {
    const attempt = this.#attempt(startedMs, done.steps);
    let withDialogue: Attempt | undefined;
    return done.results.map((result, position) => {
      if (result.kind === 'reply' && result.stage === 'dot' && result.reply.code < 300) {
        const { code, enhanced, text } = result.reply;
        // RFC 3461 §5.2.2: a server that took over NOTIFY reports itself.
        const isHandedOn = this.#client.offers.dsn && job.recipients[position]?.notify !== undefined;
        return {
          disposition: 'delivered',
          code,
          ...(enhanced === undefined ? {} : { enhanced }),
          text,
          attempt: { number: 0, ...attempt, reply: result.reply, ...(isHandedOn ? { dsnHandedOn: true as const } : {}) },
        };
      }
      withDialogue ??= { ...attempt, dialogue: done.dialogue() };
      return this.#notDelivered(job, result, done.isStale, withDialogue);
    });
  }

  #notDelivered(job: DeliveryJob, result: RecipientResult, isStale: boolean, attempt: Attempt): Outcome {
    if (result.kind === 'unsendable') return madeOutcome('failed', unsendableFacts(result), attempt);
    if (result.kind === 'reply') return outcomeOfReply(result.reply, result.stage, job.recipients.length, this.#provider, attempt);
    const facts: Facts = { code: CODE_NO_CONNECTION, enhanced: '4.4.2', text: result.trouble, bounceClass: 'connection' };
    return {
      ...madeOutcome('deferred', facts, attempt),
      ...(result.isUnclear ? { unclear: true } : {}),
      ...(isStale && this.#isKept ? { stale: true as const } : {}),
    };
  }

  /** The server had closed the connection before: nothing was tried, and nothing need be composed. */
  #gone(job: DeliveryJob, startedMs: number): Outcome[] {
    const text = this.#client.lost?.trouble ?? 'the connection is gone';
    const facts: Facts = { code: CODE_NO_CONNECTION, enhanced: '4.4.2', text, bounceClass: 'connection' };
    const outcomes = this.#all(job, 'deferred', facts, startedMs);
    return this.#isKept ? outcomes.map((outcome) => ({ ...outcome, stale: true as const })) : outcomes;
  }

  #withdrawn(job: DeliveryJob, startedMs: number): Outcome[] {
    const facts: Facts = { code: 451, enhanced: '4.3.2', text: 'this node lost its lease before the attempt', bounceClass: 'transient' };
    return this.#all(job, 'deferred', facts, startedMs).map((outcome) => ({ ...outcome, withdrawn: true as const }));
  }

  #all(job: DeliveryJob, disposition: 'failed' | 'deferred', facts: Facts, startedMs: number): Outcome[] {
    const attempt = this.#attempt(startedMs, {});
    return job.recipients.map(() => madeOutcome(disposition, facts, attempt));
  }

  /** The first message on a connection tells how long it took to open. */
  #attempt(startedMs: number, steps: AttemptRecord['steps']): Attempt {
    const { site, host, address, port, source, before } = this.#facts;
    return {
      startedMs,
      site,
      host,
      address,
      port,
      source: source.name,
      ehlo: source.ehlo,
      ...(this.#client.tls === undefined ? {} : { tls: this.#client.tls }),
      steps: this.#uses === 1 ? { ...this.#client.steps, ...steps } : steps,
      connectionUse: this.#uses,
      ...(before !== undefined && this.#uses === 1 ? { before } : {}),
    };
  }
}

export function outcomeOfReply(
  reply: Reply,
  stage: Parameters<typeof classify>[1],
  recipientCount: number,
  provider: Provider | undefined,
  attempt: Attempt,
): Outcome {
  const verdict = classify(reply, stage, { recipientCount, ...(provider === undefined ? {} : { provider }) });
  return {
    disposition: verdict.disposition,
    code: reply.code,
    ...(reply.enhanced === undefined ? {} : { enhanced: reply.enhanced }),
    text: reply.text,
    ...(verdict.bounceClass === undefined ? {} : { bounceClass: verdict.bounceClass }),
    ...(verdict.retryAfterMs === undefined ? {} : { retryAfterMs: verdict.retryAfterMs }),
    ...(verdict.suppress === undefined ? {} : { suppress: true }),
    attempt: { number: 0, ...attempt, reply },
  };
}

function refusedFacts(refused: string): Facts {
  const isUtf8 = /SMTPUTF8/i.test(refused);
  return { code: 550, enhanced: isUtf8 ? '5.6.7' : '5.6.3', text: refused, bounceClass: 'content' }; // RFC 6531 §3.5, RFC 3463 §3.7
}

function unsendableFacts({ what, trouble }: Extract<RecipientResult, { kind: 'unsendable' }>): Facts {
  if (what === 'size') return { code: 552, enhanced: '5.3.4', text: trouble, bounceClass: 'too-large' };
  const isUtf8 = /SMTPUTF8/.test(trouble);
  const enhanced = isUtf8 ? '5.6.7' : what === 'sender' ? '5.1.7' : '5.1.3';
  return { code: 553, enhanced, text: trouble, bounceClass: what === 'sender' ? 'invalid-sender' : 'invalid-recipient' };
}
