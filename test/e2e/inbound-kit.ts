/** The door for mail from elsewhere with a taker that keeps what it is given: everything is real up to the hand-over, clients and DNS included. */
import type { TestContext } from 'node:test';
import { ByteBudget } from '#base/byte-budget.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { createAddressees } from '#inbound/addressees.ts';
import { createReceive } from '#inbound/receive.ts';
import type { ReceiveDeps } from '#inbound/receive.ts';
import type { Addressee, AddresseeHandler, InboundMail } from '#model/inbound.ts';
import { startInbound } from '#smtpd/inbound.ts';
import type { InboundDeps, InboundOptions } from '#smtpd/inbound.ts';
import { noCounts } from '#smtpd/inbound-session.ts';
import type { InboundCounts } from '#smtpd/inbound-session.ts';
import type { Smtpd } from '#smtpd/open-listeners.ts';
import { TEST_CONTEXT } from '../kit/smtp-receiver.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';

export const HOSTNAME = 'mx.ours.test';
export const DOMAINS = ['ours.test', 'other.test'];

export interface InboundDoorRig {
  readonly door: Smtpd;
  readonly port: number;
  readonly counts: InboundCounts;
  /** What takers were given, in order. */
  readonly taken: InboundMail[];
  /** Past EHLO. */
  greeted(options?: { readonly localAddress?: string }): Promise<SmtpTalk>;
}

export interface RigChanges {
  readonly options?: Partial<InboundOptions>;
  readonly receive?: Partial<ReceiveDeps>;
  readonly deps?: Partial<InboundDeps>;
  readonly take?: (mail: InboundMail) => Promise<void>;
  readonly memoryBytes?: number;
}

export async function openInboundDoor(t: TestContext, changes: RigChanges = {}): Promise<InboundDoorRig> {
  const taken: InboundMail[] = [];
  const counts = noCounts();
  const take =
    changes.take ??
    (async (mail: InboundMail): Promise<void> => {
      taken.push(mail);
    });
  const door = await startInbound({
    findAddressee: createAddressees({
      handlers: [everybody(take)],
      domainFor: async (name) => (DOMAINS.includes(name) ? { state: 'active' } : name === 'shut.test' ? { state: 'disabled' } : undefined),
    }),
    receive: createReceive({
      hostname: HOSTNAME,
      receivedMax: 20,
      headerBytesMax: 64 * 1024,
      dmarc: 'record',
      spamActionOf: async () => 'disabled',
      clock: systemClock,
      log: silentLog,
      ...changes.receive,
    }),
    refusal: () => undefined,
    counts,
    memory: new ByteBudget(changes.memoryBytes ?? 100_000_000),
    secureContext: () => TEST_CONTEXT,
    clock: systemClock,
    log: silentLog,
    ...changes.deps,
    options: {
      hostname: HOSTNAME,
      inbound: [{ host: '127.0.0.1', port: 0 }],
      proxyFrom: [],
      bareNewlines: 'refuse',
      greetingDelayMs: 0,
      rate: { count: 100_000, perMs: 60_000 },
      refusedRecipientsMax: 1000,
      limits: { errorsSoft: 1000, errorsHard: 1000 },
      ...changes.options,
    },
  });
  t.after(() => door.close());
  const port = door.listeners[0]?.port ?? 0;
  return {
    door,
    port,
    counts,
    taken,
    async greeted(options) {
      const talk = await SmtpTalk.open(port, options);
      await talk.say('EHLO client.test');
      return talk;
    },
  };
}

/** Takes mail for everybody in our domains whose name does not begin with "nobody": each domain by itself. */
function everybody(take: (mail: InboundMail) => Promise<void>): AddresseeHandler {
  return {
    name: 'everybody',
    async accepts({ local, domain }): Promise<Addressee | undefined> {
      if (!DOMAINS.includes(domain) || local.startsWith('nobody')) return undefined;
      if (local === 'moved') return { kind: 'everybody', refusal: { code: 551, enhanced: '5.1.6', text: 'Gone elsewhere' } };
      return { kind: 'everybody', together: domain, take };
    },
  };
}

export const MESSAGE =
  'From: Ann <ann@sender.test>\r\nTo: bob@ours.test\r\nSubject: Hello\r\nMessage-ID: <1@sender.test>\r\n\r\nHello, Bob.\r\n';

/** From MAIL to the reply to the message. */
export async function bring(
  talk: SmtpTalk,
  message: string = MESSAGE,
  { from = 'ann@sender.test', to = ['bob@ours.test'] }: { readonly from?: string; readonly to?: readonly string[] } = {},
): Promise<string> {
  await talk.say(`MAIL FROM:<${from}>`);
  for (const address of to) await talk.say(`RCPT TO:<${address}>`);
  await talk.say('DATA');
  return talk.say(`${message}.`);
}
