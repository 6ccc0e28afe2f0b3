/**
 * The commands of RFC 5321 and its extensions, as one table: what each does, and what it is (see `Command`). Replies are those that the RFCs prescribe.
 * RFC 2920 §3.1 (and RFC 3207, RFC 4954 for theirs) name the commands that end a group: a client that sends more without waiting for the reply is
 * out of step or is not the one that it seems; it is told 554 and nothing that it sent ahead is obeyed.
 */
import type { Buffer } from 'node:buffer';
import type { EnvelopeRecipient } from '#model/submission.ts';
import { isHeloName, isHttp, readCommandLine } from './server-command-line.ts';
import { auth } from './server-login.ts';
import { bdat, data } from './server-message.ts';
import { parseMail, parseRcpt } from './server-parameters.ts';
import type { ServerSession } from './server-session.ts';

interface Command {
  run(session: ServerSession, argument: string): void;
  /** Must be the last of a group of pipelined commands. */
  readonly endsGroup?: true;
  /** Brings no mail forward; counted. */
  readonly isJunk?: true;
  /** Takes no argument. */
  readonly isBare?: true;
}

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['EHLO', { run: (session, name) => hello(session, name, true), endsGroup: true, isJunk: true }],
  ['HELO', { run: (session, name) => hello(session, name, false), endsGroup: true, isJunk: true }],
  ['MAIL', { run: mail }],
  ['RCPT', { run: rcpt }],
  ['DATA', { run: data, endsGroup: true, isBare: true }],
  ['BDAT', { run: bdat }],
  ['RSET', { run: reset, isJunk: true, isBare: true }],
  ['STARTTLS', { run: startTls, endsGroup: true, isBare: true }],
  ['AUTH', { run: auth, endsGroup: true }],
  ['NOOP', { run: (session) => session.send(250, '2.0.0', 'Ok'), endsGroup: true, isJunk: true }],
  ['VRFY', { run: verify, endsGroup: true, isJunk: true }],
  [
    'EXPN',
    { run: (session) => session.refuse({ code: 502, enhanced: '5.5.1', text: 'Lists are not shown' }), endsGroup: true, isJunk: true },
  ],
  ['HELP', { run: (session) => session.send(214, '2.0.0', 'See RFC 5321'), endsGroup: true, isJunk: true }],
  ['QUIT', { run: (session) => session.close({ code: 221, enhanced: '2.0.0', text: 'Bye' }), isBare: true }],
  ...['TURN', 'ETRN', 'ATRN', 'SEND', 'SOML', 'SAML'].map((verb): [string, Command] => [verb, { run: notOffered, endsGroup: true }]),
]);

/** Handles one command line, without its CRLF. */
export function command(session: ServerSession, line: Buffer): void {
  const read = readCommandLine(line);
  if ('code' in read) return session.hasRefusedData ? outOfStep(session) : session.refuse(read);
  const { verb, argument } = read;
  const known = COMMANDS.get(verb);
  if (known === undefined) {
    if (isHttp(verb)) return session.close({ code: 554, enhanced: '5.5.1', text: 'This is SMTP' });
    if (session.hasRefusedData) return outOfStep(session);
    return session.refuse({ code: 500, enhanced: '5.5.1', text: 'The command is not known' });
  }
  session.hasRefusedData = false;
  if (known.endsGroup && session.hasMoreInput) return outOfStep(session);
  if (known.isJunk) session.junkCommands++;
  if (known.isBare && argument !== '') return session.refuse({ code: 501, enhanced: '5.5.4', text: `${verb} takes no argument` });
  known.run(session, argument);
}

function outOfStep(session: ServerSession): void {
  session.close({ code: 554, enhanced: '5.5.0', text: 'You did not wait for the reply; nothing after it is obeyed' });
}

function hello(session: ServerSession, argument: string, isEsmtp: boolean): void {
  if (!isHeloName(argument)) return session.refuse({ code: 501, enhanced: '5.5.4', text: 'Say your host name' });
  session.ask(
    () => session.hooks.onHelo?.(argument),
    () => {
      // RFC 5321 §4.1.4: EHLO and HELO also do what RSET does.
      session.endTransaction();
      session.facts.helo = argument;
      session.facts.isEsmtp = isEsmtp;
      session.send(250, undefined, isEsmtp ? offer(session, argument) : session.shared.options.hostname);
    },
  );
}

function offer(session: ServerSession, name: string): string {
  const { extensions, options } = session.shared;
  const lines = [`${options.hostname} greets ${name}`.slice(0, 400)];
  for (const keyword of ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'CHUNKING', 'DSN', 'ENHANCEDSTATUSCODES'] as const) {
    if (extensions[keyword]) lines.push(keyword);
  }
  if (extensions.SIZE) lines.push(`SIZE ${session.limits.messageBytes}`);
  if (canStartTls(session)) lines.push('STARTTLS');
  if (session.offersAuth && session.facts.login === undefined) lines.push('AUTH PLAIN LOGIN');
  return lines.join('\n');
}

function canStartTls(session: ServerSession): boolean {
  return session.shared.options.secureContext !== undefined && session.facts.tls === undefined;
}

function mail(session: ServerSession, argument: string): void {
  const { limits, facts } = session;
  if (facts.helo === undefined) return session.refuse({ code: 503, enhanced: '5.5.1', text: 'Say EHLO first' });
  if (session.transaction !== undefined)
    return session.refuse({ code: 503, enhanced: '5.5.1', text: 'A message is under way; RSET ends it' });
  if (facts.messageCount >= limits.messagesPerConnection) {
    return session.close({ code: 421, enhanced: '4.7.0', text: 'Too many messages in one connection; connect again' });
  }
  const { extensions } = session.shared;
  const parsed = parseMail(argument, { extensions, isEsmtp: facts.isEsmtp, offersAuth: session.offersAuth });
  if ('code' in parsed) return session.refuse(parsed);
  if (parsed.sizeBytes !== undefined && parsed.sizeBytes > limits.messageBytes) {
    return session.refuse({ code: 552, enhanced: '5.3.4', text: `The message is larger than ${limits.messageBytes} octets` }, false);
  }
  session.ask(
    () => session.hooks.onMail?.(parsed),
    (words) => {
      session.hasMail = true;
      const recipients: EnvelopeRecipient[] = [];
      session.transaction = {
        envelope: { ...parsed.envelope, recipients },
        recipients,
        announcedBytes: parsed.sizeBytes,
        chunks: 0,
        hasRcpt: false,
      };
      session.send(words?.code ?? 250, words?.enhanced ?? '2.1.0', words?.text ?? 'Ok');
    },
  );
}

function rcpt(session: ServerSession, argument: string): void {
  const { transaction } = session;
  if (transaction === undefined) return session.refuse({ code: 503, enhanced: '5.5.1', text: 'Say MAIL first' });
  if (transaction.collector !== undefined) return session.refuse({ code: 503, enhanced: '5.5.1', text: 'The message has begun' });
  transaction.hasRcpt = true;
  if (transaction.recipients.length >= session.limits.recipientsPerMessage) {
    return session.refuse({ code: 452, enhanced: '4.5.3', text: 'Too many recipients' }, false);
  }
  const { extensions, options } = session.shared;
  const rules = { extensions, isEsmtp: session.facts.isEsmtp, offersAuth: session.offersAuth, postmaster: options.postmaster };
  const parsed = parseRcpt(argument, rules, transaction.envelope.smtputf8);
  // An address that is none is the list's fault and not its client's, as one that a hook refuses: were it counted, mail to many could never be sent.
  if ('code' in parsed) return session.refuse(parsed, parsed.code !== 553);
  session.ask(
    () => session.hooks.onRcpt?.(parsed, transaction.envelope),
    (words) => {
      transaction.recipients.push(parsed.recipient);
      session.send(words?.code ?? 250, words?.enhanced ?? '2.1.5', words?.text ?? 'Ok');
    },
  );
}

function reset(session: ServerSession): void {
  session.endTransaction();
  session.send(250, '2.0.0', 'Ok');
}

function startTls(session: ServerSession): void {
  if (session.shared.options.secureContext === undefined) return notOffered(session);
  if (!canStartTls(session)) return session.refuse({ code: 503, enhanced: '5.5.1', text: 'TLS is on already' });
  // RFC 3207 §4.2: what was learned in plaintext is forgotten. A login cannot be, by whoever relies on it.
  if (session.facts.login !== undefined) return session.refuse({ code: 503, enhanced: '5.5.1', text: 'Not after AUTH' });
  session.endTransaction();
  session.send(220, '2.0.0', 'Ready for TLS');
  session.startTls();
}

function verify(session: ServerSession, argument: string): void {
  if (argument === '') return session.refuse({ code: 501, enhanced: '5.5.4', text: 'Whom?' });
  // RFC 5321 §7.3: says neither yes nor no, so that nobody can find out which addresses exist.
  session.send(252, '2.5.0', 'Try to send to it');
}

function notOffered(session: ServerSession): void {
  session.refuse({ code: 502, enhanced: '5.5.1', text: 'The command is not offered' });
}
