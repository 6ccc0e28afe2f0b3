/**
 * The sandbox: an SMTP server inside the program, on a free port of loopback, to which every delivery goes while `sandbox.capture` is on. Delivery is
 * real to its last byte; only the place is not. What is accepted is kept in the store (the newest `keepMax`) for the API and the start page to
 * show; the reply names its number. Mailboxes behave as behaviours.ts says.
 *
 * A recipient that is put off (`defer-N@`, `greylist@`) is remembered by sender and recipient until it is accepted or forgotten (`REMEMBERED_MAX`,
 * a day). Nothing here is durable but the captured mail: after a restart counting begins anew.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { headerValue, readHeader } from '#mail/header.ts';
import type { Envelope } from '#model/submission.ts';
import type { HookAnswer, SessionFacts, SessionHooks } from '#smtp/server-hooks.ts';
import { startSmtpServer } from '#smtp/server-listener.ts';
import type { SandboxStore } from '#store/sandbox-store.ts';
import type { Store } from '#store/store.ts';
import { type Behaviour, mailboxOf } from './behaviours.ts';
import { pause } from './pause.ts';
import type { Reports } from './reports.ts';

const KEEP_DEFAULT = 1000;
const REMEMBERED_MAX = 10_000;
const REMEMBERED_MS = 86_400_000;
/** Subject and From are shown in lists; a longer one is cut. */
const SHOWN_MAX = 500;
/** Our own deliveries are the only clients: refusals and many messages are the sandbox's work, not abuse. */
const UNLIMITED = 1_000_000_000;

export interface CaptureOptions {
  readonly store: Pick<Store, 'sandbox'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Name in its greeting. */
  readonly hostname: string;
  readonly keepMax?: number;
  /** Writes what comes back later. */
  readonly reports: Pick<Reports, 'about'>;
  /** Largest message; the submission limit decides, so this only must not be below it. */
  readonly messageBytesMax?: number;
}

export interface CaptureServer {
  readonly port: number;
  close(): Promise<void>;
}

export async function startCaptureServer(options: CaptureOptions): Promise<CaptureServer> {
  const patience = new Patience(options.clock);
  const server = await startSmtpServer(
    {
      hostname: options.hostname,
      openSession: (session) => hooks(session, options, patience),
      limits: {
        messageBytes: options.messageBytesMax ?? 256 * 1024 * 1024,
        recipientsPerMessage: 100_000,
        messagesPerConnection: UNLIMITED,
        errorsSoft: UNLIMITED,
        errorsHard: UNLIMITED,
        junkCommands: UNLIMITED,
        connectionsPerAddress: 5000,
      },
      clock: options.clock,
      log: options.log,
    },
    { host: '127.0.0.1', port: 0 },
  );
  return { port: server.port, close: () => server.close() };
}

function hooks(session: SessionFacts, options: CaptureOptions, patience: Patience): SessionHooks {
  return {
    onRcpt: ({ path }, envelope) => {
      const behaviour = mailboxOf(path.local)?.behaviour;
      return behaviour === undefined ? undefined : patience.answer(behaviour, envelope.sender, path.address);
    },
    onMessage: (envelope, bytes) => receive(session, options, envelope, bytes),
  };
}

/** What those mailboxes that answer to the message say; otherwise it is captured. */
async function receive(session: SessionFacts, options: CaptureOptions, envelope: Envelope, bytes: Buffer): Promise<HookAnswer> {
  let delayMs = 0;
  for (const { address } of envelope.recipients) {
    const behaviour = mailboxOf(address.slice(0, address.lastIndexOf('@')))?.behaviour;
    if (behaviour?.kind === 'drop') return 'drop';
    if (behaviour?.kind === 'refuse') return behaviour.reply;
    if (behaviour?.kind === 'delay') delayMs = Math.max(delayMs, behaviour.delayMs);
  }
  if (delayMs > 0 && !(await pause(delayMs, session.signal))) return 'drop';
  const id = await capture(options.store.sandbox, options, envelope, bytes);
  for (const { address } of envelope.recipients) {
    const kind = mailboxOf(address.slice(0, address.lastIndexOf('@')))?.behaviour.kind;
    if (kind === 'later-bounce' || kind === 'complain' || kind === 'reply') options.reports.about(kind, envelope.sender, address, bytes);
  }
  return { code: 250, enhanced: '2.0.0', text: `Captured by the sandbox as message ${id}` };
}

function capture(store: SandboxStore, options: CaptureOptions, envelope: Envelope, bytes: Buffer): Promise<number> {
  const header = readHeader(bytes);
  const shown = (name: string): string => (headerValue(header, name) ?? '').slice(0, SHOWN_MAX);
  return store.capture(
    {
      atMs: options.clock.nowMs(),
      sender: envelope.sender,
      recipients: envelope.recipients.map(({ address }) => address),
      sizeBytes: bytes.length,
      subject: shown('subject'),
      from: shown('from'),
      bytes,
    },
    options.keepMax ?? KEEP_DEFAULT,
  );
}

/** Remembers who was put off, and says when it is enough. */
class Patience {
  readonly #clock: Clock;
  readonly #seen = new BoundedCache<string, { readonly times: number; readonly firstMs: number }>({
    max: REMEMBERED_MAX,
    ttlMs: REMEMBERED_MS,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  answer(behaviour: Behaviour, sender: string, recipient: string): HookAnswer {
    if (behaviour.kind === 'refuse') return behaviour.at === 'rcpt' ? behaviour.reply : undefined;
    if (behaviour.kind !== 'defer' && behaviour.kind !== 'wait') return undefined;
    const now = this.#clock.monotonicMs();
    const key = `${sender} ${recipient}`;
    const { times, firstMs } = this.#seen.get(key, now) ?? { times: 0, firstMs: now };
    const isEnough = behaviour.kind === 'defer' ? times >= behaviour.times : times > 0 && now - firstMs >= behaviour.waitMs;
    if (isEnough) {
      this.#seen.delete(key);
      return undefined;
    }
    this.#seen.set(key, { times: times + 1, firstMs }, now);
    return behaviour.reply;
  }
}
