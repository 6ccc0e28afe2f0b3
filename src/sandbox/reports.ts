/**
 * What comes back later to mail that the sandbox took: a report that it could not be delivered (RFC 3464), or that its recipient calls it spam (RFC 5965), or an answer. They are real
 * mail, sent by SMTP to this program's own door for mail from elsewhere, and believed there for the same reasons as anybody's.
 *
 * Nothing of it is durable: what has not left when the program stops is not sent.
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { randomHex } from '#base/random.ts';
import { buildDsn } from '#mail/dsn.ts';
import { buildFeedbackReport } from '#mail/feedback-report.ts';
import { findField, type Header, rawValue, readHeader } from '#mail/header.ts';
import { pause } from './pause.ts';
import { replyTo } from './reply.ts';

export interface ReportsOptions {
  /** Hands mail to the door. `sender`: of an answer; '' for reports. */
  post(recipient: string, bytes: Buffer, sender: string): Promise<PostResult>;
  readonly hostname: string;
  readonly clock: Clock;
  readonly log: Log;
  /** For tests; default a second. */
  readonly afterMs?: number;
}

export type PostResult = { readonly kind: 'taken' } | { readonly kind: 'refused' | 'later'; readonly trouble: string };

export type ReportKind = 'later-bounce' | 'complain' | 'reply';

export interface Reports {
  /** `sender`: the reverse-path that the mail came with. */
  about(kind: ReportKind, sender: string, recipient: string, bytes: Buffer): void;
  stop(): Promise<void>;
}

const AFTER_MS = 1000;
const AGAIN_MS = [500, 1000, 5000, 15_000, 60_000];
/** Reports on their way; mail beyond that is taken without one. */
const PENDING_MAX = 1000;

export function createReports(options: ReportsOptions): Reports {
  const { log, clock } = options;
  const stop = new AbortController();
  const pending = new Set<Promise<void>>();

  async function send(kind: ReportKind, recipient: string, report: { readonly to: string; readonly bytes: Buffer }): Promise<void> {
    const from = kind === 'reply' ? recipient : '';
    let result: PostResult = { kind: 'later', trouble: 'it was stopped' };
    for (const waitMs of [options.afterMs ?? AFTER_MS, ...AGAIN_MS]) {
      if (!(await pause(waitMs, stop.signal))) return;
      result = await options.post(report.to, report.bytes, from);
      if (result.kind !== 'later') break;
    }
    // An answer that no route wants is nothing unusual: most senders read none.
    if (result.kind === 'refused' && kind === 'reply')
      log.info({ recipient, to: report.to, reply: result.trouble }, 'an answer of the sandbox is taken by no route');
    else if (result.kind !== 'taken')
      log.warn({ kind, recipient, to: report.to, trouble: result.trouble }, 'a report of the sandbox was not taken');
  }

  return {
    about(kind, sender, recipient, bytes) {
      if (pending.size >= PENDING_MAX)
        return log.warn({ kind, recipient }, 'the sandbox has too many reports on their way and writes none for this mail');
      const report = reportOf(kind, sender, recipient, bytes);
      if (report === undefined && kind === 'reply') return log.info({ recipient }, 'the sandbox does not answer this mail');
      if (report === undefined) return log.warn({ kind, recipient }, 'mail of the sandbox has nowhere to report to');
      const sending = send(kind, recipient, report).catch((error: unknown) =>
        log.warn({ kind, recipient, error: String(error) }, 'a report of the sandbox could not be sent'),
      );
      pending.add(sending);
      void sending.finally(() => pending.delete(sending));
    },
    async stop() {
      stop.abort();
      await Promise.all(pending);
    },
  };

  function reportOf(kind: ReportKind, sender: string, recipient: string, bytes: Buffer): { to: string; bytes: Buffer } | undefined {
    if (kind === 'complain') return complaint(options, headerOf(bytes), sender, recipient);
    return kind === 'reply' ? answer(options, sender, recipient, bytes) : bounce(options, headerOf(bytes), sender, recipient);
  }

  function answer({ hostname }: ReportsOptions, sender: string, from: string, bytes: Buffer): { to: string; bytes: Buffer } | undefined {
    // Who has no return path is a program.
    if (sender === '') return undefined;
    const host = `sandbox.${hostname}`;
    return replyTo(bytes, { from, host, messageId: `${randomHex(12)}@${host}`, dateMs: clock.nowMs() });
  }

  function bounce(
    { hostname }: ReportsOptions,
    header: Header,
    sender: string,
    recipient: string,
  ): { to: string; bytes: Buffer } | undefined {
    // RFC 3461 §5.2.1: nobody is told about a notification.
    if (sender === '') return undefined;
    const nowMs = clock.nowMs();
    const bytes = buildDsn({
      reportingMta: `sandbox.${hostname}`,
      to: sender,
      messageId: `${randomHex(12)}@sandbox.${hostname}`,
      dateMs: nowMs,
      arrivalMs: nowMs,
      recipients: [{ address: recipient, action: 'failed', status: '5.1.1', remoteMta: 'mailbox.invalid', reply: REPLY }],
      original: header.bytes.subarray(0, header.headerEnd),
      ret: 'HDRS',
    });
    return { to: sender, bytes };
  }

  function complaint(
    { hostname }: ReportsOptions,
    header: Header,
    sender: string,
    recipient: string,
  ): { to: string; bytes: Buffer } | undefined {
    const to = complaintAddress(header);
    if (to === undefined) return undefined;
    const bytes = buildFeedbackReport({
      from: `feedback@sandbox.${hostname}`,
      to,
      messageId: `${randomHex(12)}@sandbox.${hostname}`,
      dateMs: clock.nowMs(),
      type: 'abuse',
      userAgent: 'Postrider-Sandbox/1',
      mailFrom: sender,
      recipient,
      original: header,
    });
    return { to, bytes };
  }
}

const REPLY = '550 5.1.1 The email account that you tried to reach does not exist';

/** A copy of the header alone: a report does not keep a large message in memory. */
function headerOf(bytes: Buffer): Header {
  return readHeader(Buffer.from(bytes.subarray(0, readHeader(bytes).bodyStart)));
}

/** RFC 9477 §3.1; without it where people complain: abuse@ the author's domain. */
function complaintAddress(header: Header): string | undefined {
  const field = (name: string): string => {
    const found = findField(header, name);
    return found === undefined ? '' : rawValue(header, found);
  };
  const wished = (field('cfbl-address').split(';', 1)[0] as string).trim();
  if (wished.includes('@')) return wished;
  const domain = /@([A-Za-z0-9.-]{1,253})/.exec(field('from'))?.[1];
  return domain === undefined ? undefined : `abuse@${domain.toLowerCase()}`;
}
