/** An SMTP server session on a port of its own that keeps what it is given: for tests of the session itself. */
import type { Buffer } from 'node:buffer';
import { createSecureContext } from 'node:tls';
import type { TestContext } from 'node:test';
import { systemClock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Envelope } from '#model/submission.ts';
import type { SessionFacts, SessionHooks, SessionOptions, SmtpServer } from '#smtp/server-hooks.ts';
import { type Sharing, startSmtpServer } from '#smtp/server-listener.ts';
import { TEST_CERTIFICATE, TEST_KEY } from './sink-certificate.ts';
import { SmtpTalk } from './smtp-talk.ts';
import { until as untilSo } from './until.ts';

export interface Received {
  readonly envelope: Envelope;
  readonly bytes: Buffer;
  readonly text: string;
}

export interface Receiver {
  readonly server: SmtpServer;
  readonly port: number;
  readonly messages: Received[];
  readonly sessions: SessionFacts[];
  readonly errors: string[];
  /** Connections whose onClose was called. */
  closed: number;
  open(): Promise<SmtpTalk>;
}

export const TEST_CONTEXT = createSecureContext({ cert: TEST_CERTIFICATE, key: TEST_KEY });

export async function startReceiver(
  t: TestContext,
  hooks: Partial<SessionHooks> | ((session: SessionFacts) => Partial<SessionHooks>) = {},
  options: Partial<SessionOptions> = {},
  sharing: Sharing = {},
): Promise<Receiver> {
  const messages: Received[] = [];
  const sessions: SessionFacts[] = [];
  const errors: string[] = [];
  const log: Log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (_, sentence) => void errors.push(sentence),
  };
  const server = await startSmtpServer(
    {
      hostname: 'mx.test',
      clock: systemClock,
      log,
      openSession: (session) => {
        sessions.push(session);
        return {
          onMessage: (envelope, bytes) => {
            messages.push({ envelope, bytes, text: bytes.toString('latin1') });
          },
          onClose: () => void receiver.closed++,
          ...(typeof hooks === 'function' ? hooks(session) : hooks),
        };
      },
      ...options,
    },
    { host: '127.0.0.1', port: 0 },
    sharing,
  );
  t.after(() => server.close());
  const { port } = server;
  const receiver: Receiver = { server, port, messages, sessions, errors, closed: 0, open: () => SmtpTalk.open(port) };
  return receiver;
}

/** Past EHLO. */
export async function greeted(receiver: Receiver): Promise<SmtpTalk> {
  const talk = await receiver.open();
  await talk.say('EHLO client.test');
  return talk;
}

/** Past EHLO, MAIL, RCPT. */
export async function ready(receiver: Receiver): Promise<SmtpTalk> {
  const talk = await greeted(receiver);
  talk.send('MAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\n');
  await talk.codes(2);
  return talk;
}

/** Past 354. */
export async function inData(receiver: Receiver): Promise<SmtpTalk> {
  const talk = await ready(receiver);
  await talk.say('DATA');
  return talk;
}

/** Resolves once `isTrue`. A test that waits in vain fails, and does not keep its process from ending. */
export async function until(isTrue: () => boolean): Promise<void> {
  await untilSo(isTrue, String(isTrue));
}
