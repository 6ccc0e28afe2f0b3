/**
 * A message that came in, from its last octet to the reply: loops, who sent it, whether it is spam, what is written on it, and the hand-over to who takes it.
 * 250 is said when the taker has it safe (P1), and of all recipients or none: they have one taker (`model/inbound`).
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { randomHex } from '#base/random.ts';
import { readHeader } from '#mail/header.ts';
import type { Header } from '#mail/header.ts';
import { AppError } from '#model/errors.ts';
import type { Addressee, Authentication, InboundMail, InboundRcpt, InboundRefusal } from '#model/inbound.ts';
import type { Envelope } from '#model/submission.ts';
import { authenticationOf, refusalOf } from './authentication.ts';
import { DELIVERIES_MAX, deliveredTo, hopsOf, isAutomatic } from './loops.ts';
import { receivedField } from '#mail/received-field.ts';
import type { AskSpamFilters, SpamOpinion } from './spam.ts';
import { withTrace } from './trace.ts';
import { UNKNOWN } from './verifier.ts';
import type { Verifier } from './verifier.ts';

export interface ReceiveDeps {
  readonly hostname: string;
  readonly receivedMax: number;
  readonly headerBytesMax: number;
  /** Absent: nothing is looked up, and nothing is said about the sender. */
  readonly verifier?: Pick<Verifier, 'verify'> | undefined;
  /** Mail that fails a policy of refusal is refused, or only marked. */
  readonly dmarc: 'record' | 'reject';
  readonly spam?: AskSpamFilters | undefined;
  /** What the recipient's domain wants done with spam. */
  readonly spamActionOf: (domain: string) => Promise<'disabled' | 'block' | 'tag'>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Arrival {
  readonly envelope: Envelope;
  /** At least one, all with the same taker. */
  readonly recipients: readonly { readonly rcpt: InboundRcpt; readonly addressee: Addressee }[];
  readonly bytes: Buffer;
  readonly client: { readonly address: string; readonly helo?: string; readonly tls?: string };
  readonly isEsmtp: boolean;
  readonly session: string;
}

/** Resolves to the name of the message in our trace and log, or to why it is refused. An AppError is a refusal too. */
export type Receive = (arrival: Arrival) => Promise<{ readonly id: string } | InboundRefusal>;

export function createReceive(deps: ReceiveDeps): Receive {
  const { hostname, clock, log } = deps;

  return async (arrival) => {
    const { envelope, client } = arrival;
    const id = randomHex(8);
    const nowMs = clock.nowMs();
    const header = readHeader(arrival.bytes);
    const recipients = wanted(arrival, header);
    if ('code' in recipients) return recipients;
    const taker = recipients[0]?.addressee;
    if (taker?.take === undefined) throw new Error('a recipient without a taker was accepted');
    const [authentication, spam] = await Promise.all([authenticate(arrival, header), opinionOf(arrival, header, id, nowMs)]);
    const forged = deps.dmarc === 'reject' ? (authorsTrouble(header) ?? refusalOf(authentication)) : undefined;
    const refusal = forged ?? (await spamRefusal(arrival, spam));
    if (refusal !== undefined) return refusal;
    const opinion = spam === 'failed' || spam === undefined ? undefined : spam;
    const rcpts = recipients.map(({ rcpt }) => rcpt);
    const automatic = isAutomatic(header, envelope.sender);
    const bytes = withTrace(header, {
      hostname,
      envelope,
      recipients: rcpts,
      client,
      isEsmtp: arrival.isEsmtp,
      id,
      nowMs,
      ...(deps.verifier !== undefined && { authentication }),
      ...(opinion !== undefined && { spam: opinion }),
    });
    const mail: InboundMail = {
      envelope,
      recipients: rcpts,
      recipient: rcpts[0] as InboundRcpt,
      bytes,
      header: readHeader(bytes),
      client,
      receivedMs: nowMs,
      authentication,
      ...(opinion !== undefined && { spam: { isSpam: opinion.isSpam, score: opinion.score, rules: opinion.rules } }),
      isAutomatic: automatic,
    };
    await taker.take(mail);
    log.info(
      {
        session: arrival.session,
        message: id,
        taker: taker.kind,
        recipients: rcpts.length,
        sizeBytes: bytes.length,
        spf: authentication.spf.result,
        dmarc: authentication.dmarc.result,
        ...(opinion !== undefined && { spam: opinion.isSpam, score: opinion.score }),
      },
      'mail came in',
    );
    return { id };
  };

  /** Who is to have it: not those who had it before. Nobody left: it goes round in circles. */
  function wanted({ recipients }: Arrival, header: Header): Arrival['recipients'] | InboundRefusal {
    if (header.trouble !== undefined || header.headerEnd > deps.headerBytesMax)
      throw new AppError('bad-content', { reason: 'The header of the message is too large' });
    const hops = hopsOf(header);
    if (hops > deps.receivedMax) throw new AppError('mail-loop', { count: hops });
    const before = deliveredTo(header);
    if (before.length > DELIVERIES_MAX)
      return { code: 554, enhanced: '5.4.6', text: 'The message was sent on too many times: it is in a loop' };
    const left = recipients.filter(({ rcpt }) => !before.includes(rcpt.address.toLowerCase()));
    if (left.length > 0) return left;
    return { code: 554, enhanced: '5.4.6', text: 'The message was delivered to this recipient before: it is in a loop' };
  }

  async function authenticate({ envelope, client }: Arrival, header: Header): Promise<Authentication> {
    const facts = { header, address: client.address, helo: client.helo ?? '', sender: envelope.sender };
    const verification = deps.verifier === undefined ? UNKNOWN : await deps.verifier.verify(facts);
    return authenticationOf(verification, hostname, envelope.sender);
  }

  async function opinionOf(arrival: Arrival, header: Header, id: string, nowMs: number): Promise<SpamOpinion | 'failed' | undefined> {
    if (deps.spam === undefined || (await strictest(arrival)) === 'disabled') return undefined;
    const { envelope, client } = arrival;
    const from = { helo: client.helo, address: client.address };
    const received = receivedField({ from, by: hostname, protocol: 'ESMTP', id, atMs: nowMs });
    return deps.spam({
      pieces: [Buffer.from(received), header.bytes],
      address: client.address,
      helo: client.helo ?? '',
      sender: envelope.sender,
      recipients: arrival.recipients.map(({ rcpt }) => rcpt.address),
      hostname,
      id,
    });
  }

  async function spamRefusal(arrival: Arrival, spam: SpamOpinion | 'failed' | undefined): Promise<InboundRefusal | undefined> {
    if (spam === undefined) return undefined;
    if (spam === 'failed') return { code: 451, enhanced: '4.7.1', text: 'The message cannot be checked at the moment; try again later' };
    if ((await strictest(arrival)) !== 'block') return undefined;
    if (spam.isSpam) return { code: 550, enhanced: '5.7.1', text: 'The message is taken for spam' };
    return spam.isPutOff ? { code: 451, enhanced: '4.7.1', text: 'Try again later' } : undefined;
  }

  /** Recipients of one message nearly always have one domain. */
  async function strictest({ recipients }: Arrival): Promise<'disabled' | 'block' | 'tag'> {
    const domains = new Set(recipients.map(({ rcpt }) => rcpt.domain));
    const actions = new Set(await Promise.all([...domains].map((domain) => deps.spamActionOf(domain))));
    return actions.has('block') ? 'block' : actions.has('tag') ? 'tag' : 'disabled';
  }
}

/** Readers show one author, and a checker may have looked at another (RFC 9989 §5.3.1). */
function authorsTrouble(header: Header): InboundRefusal | undefined {
  const count = header.fields.filter(({ name }) => name === 'from').length;
  return count > 1 ? { code: 550, enhanced: '5.7.1', text: 'The message has more than one From field' } : undefined;
}
