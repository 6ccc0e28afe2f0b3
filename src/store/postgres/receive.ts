/**
 * Mail that comes in, with what tells of it and what is sent on because of it: gathered into batches, each one transaction. Ids are given before anything is written, so that the
 * same batch can be sent again when nobody knows what became of it.
 */
import type { EventRow } from '#model/event.ts';
import type { Received, Reception } from '#store/fact-store.ts';
import type { GrantUse } from '#store/grant-store.ts';
import type { AcceptMessage, Ungranted } from '#store/store.ts';
import { daysOf, holding, isOfTheEnvironment, Refused, summed } from './accept.ts';
import { AcceptBatch, type Accepted, type AcceptTools } from './accept-batch.ts';
import type { Database, Queries } from './database.ts';
import { insertEvents } from './event-rows.ts';
import { Gather, type Outcome } from './gather.ts';
import { dayOf, firstIdOfDay } from './ids.ts';
import type { Leases } from './leases.ts';
import { putOutbox, type Telling } from './outbox-put.ts';
import { isUniqueViolation } from './trouble.ts';

export interface ReceiverOptions extends AcceptTools {
  readonly db: Database;
  readonly leases: Leases;
  readonly lingerMs: number;
  /** Something waits that other nodes may take. */
  ring(): void;
  /** Takes from grants, in the transaction of the message; false: they do not suffice. */
  useGrants(queries: Queries, uses: readonly GrantUse[]): Promise<boolean>;
}

type Answer = Received | Ungranted;

export class Receiver {
  readonly #options: ReceiverOptions;
  readonly gather: Gather<Reception, Answer>;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.gather = new Gather<Reception, Answer>({
      lingerMs: options.lingerMs,
      bytesOf: ({ message, forwards }) => forwards.reduce((sum, { content }) => sum + content.byteLength, message.content.byteLength),
      write: (batch) => this.#writeBatch(batch),
    });
  }

  receive(reception: Reception): Promise<Answer> {
    return this.gather.call(reception);
  }

  async #writeBatch(receptions: readonly Reception[]): Promise<Outcome<Answer>[]> {
    try {
      return (await this.#write(receptions)).map((value) => ({ value }));
    } catch (error) {
      if (error instanceof Refused && receptions.length === 1) return [{ value: { kind: 'ungranted' } }];
      if (receptions.length === 1 || isOfTheEnvironment(error)) return receptions.map(() => ({ error }));
    }
    // One is at fault: the others are not to suffer for it.
    const outcomes: Outcome<Answer>[] = [];
    for (const reception of receptions) outcomes.push(...(await this.#writeBatch([reception])));
    return outcomes;
  }

  async #write(receptions: readonly Reception[]): Promise<Received[]> {
    const { db, ids, leases, partitions, ring } = this.#options;
    const messages = receptions.flatMap(({ message, forwards }) => [message, ...forwards]);
    const batch = await AcceptBatch.prepare(db, this.#options, messages, new Set(receptions.map(({ message }) => message)));
    const count = receptions.reduce((sum, { events }) => sum + events.length, 0);
    const told = toldOf(receptions, batch, await ids.take('event', count));
    const days = [...daysOf(messages), ...told.events.map(({ atUs }) => dayOf(atUs / 1000))];
    const uses = summed(messages);
    const send = (): Promise<Accepted[]> =>
      db.transaction(async (queries) => {
        if (uses.length > 0 && !(await this.#options.useGrants(queries, uses))) throw new Refused();
        const accepted = await batch.write(queries);
        await insertEvents(queries, told.events);
        await putOutbox(queries, [...batch.tellings(), ...told.tellings]);
        return accepted;
      });
    const answers = await holding(leases, batch, async (mayStand) => {
      try {
        if (mayStand && (await batch.stands(db))) return await batch.answers(db);
        return await partitions.having(days, send);
      } catch (error) {
        // Its ids are nobody else's.
        if (mayStand && isUniqueViolation(error)) return batch.answers(db);
        throw error;
      }
    });
    if (batch.isSooner) ring();
    return answersOf(receptions, messages, answers);
  }
}

/** Events beside the accepted ones, and the entries of the outbox, under the ids that the batch has given. */
function toldOf(
  receptions: readonly Reception[],
  batch: AcceptBatch,
  firstNumber: number,
): { readonly events: EventRow[]; readonly tellings: Telling[] } {
  const events: EventRow[] = [];
  const tellings: Telling[] = [];
  let number = firstNumber;
  for (const reception of receptions) {
    const { accountId, domainId, createdMs } = reception.message;
    const { id: message, recipient: firstRecipient, event: firstAccepted } = batch.firstsOf(reception.message);
    const recipientAt = (position: number): number => (position < 0 ? 0 : firstRecipient + position);
    const told = new Map<number, number>();
    for (const { recipient, event } of reception.events) {
      const id = firstIdOfDay(dayOf(event.atUs / 1000)) + number++;
      events.push({ ...event, id, message, recipient: recipientAt(recipient) });
      told.set(recipient, id);
    }
    for (const { recipient: position, ...entry } of reception.outbox) {
      const event = told.get(position) ?? (position < 0 ? 0 : firstAccepted + position);
      tellings.push({
        owner: { accountId, domainId, message, recipient: recipientAt(position), atMs: createdMs, event, isNew: true },
        entry,
      });
    }
  }
  return { events, tellings };
}

function answersOf(receptions: readonly Reception[], messages: readonly AcceptMessage[], answers: readonly Accepted[]): Received[] {
  const of = new Map(messages.map((message, position) => [message, answers[position] as Accepted]));
  return receptions.map(({ message, forwards }) => {
    const { id, contentId, firstRecipient } = of.get(message) as Accepted;
    return { kind: 'received', id, contentId, firstRecipient, forwards: forwards.map((forward) => of.get(forward) as Accepted) };
  });
}
