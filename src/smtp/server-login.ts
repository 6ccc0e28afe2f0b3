/** AUTH (RFC 4954) as a session speaks it: when it is allowed, the exchange, and what the hook says to the credentials. */
import type { Buffer } from 'node:buffer';
import { beginAuth } from './server-auth.ts';
import type { AuthExchange, AuthStep } from './server-auth.ts';
import type { Credentials, ServerReply } from './server-hooks.ts';
import type { ServerSession } from './server-session.ts';

export function auth(session: ServerSession, argument: string): void {
  const trouble = authTrouble(session);
  if (trouble !== undefined) return session.refuse(trouble);
  if (session.authFailures >= session.limits.authFailures)
    return session.close({ code: 421, enhanced: '4.7.0', text: 'Too many failed logins' });
  const begun = beginAuth(argument);
  if ('code' in begun) return failed(session, begun);
  advance(session, begun.exchange, begun.step);
}

function authTrouble(session: ServerSession): ServerReply | undefined {
  if (session.hooks.onAuth === undefined) return { code: 502, enhanced: '5.5.1', text: 'The command is not offered' };
  // RFC 4954 §4: after EHLO, once, not inside a transaction.
  if (!session.facts.isEsmtp) return { code: 503, enhanced: '5.5.1', text: 'Say EHLO first' };
  if (session.facts.login !== undefined) return { code: 503, enhanced: '5.5.1', text: 'You are logged in already' };
  if (session.transaction !== undefined) return { code: 503, enhanced: '5.5.1', text: 'Not inside a message' };
  if (!session.offersAuth) return { code: 538, enhanced: '5.7.11', text: 'Say STARTTLS first' };
  return undefined;
}

function advance(session: ServerSession, exchange: AuthExchange, step: AuthStep): void {
  if (step.kind === 'challenge') {
    session.send(334, undefined, step.text);
    session.readLines((line) => {
      session.readLines();
      if (session.hasMoreInput)
        return session.close({ code: 554, enhanced: '5.5.0', text: 'You did not wait for the reply; nothing after it is obeyed' });
      advance(session, exchange, exchange.answer(responseText(line)));
    });
  } else if (step.kind === 'refused') failed(session, step.reply);
  else decide(session, step.credentials);
}

function decide(session: ServerSession, credentials: Credentials): void {
  session.ask(
    () => session.hooks.onAuth?.(credentials),
    (words) => {
      session.facts.login = credentials.login;
      session.junkCommands = 0;
      session.send(235, '2.7.0', words?.text ?? 'Welcome');
    },
    () => void session.authFailures++,
  );
}

function failed(session: ServerSession, reply: ServerReply): void {
  session.authFailures++;
  session.refuse(reply);
}

function responseText(line: Buffer): string {
  return line.toString('latin1');
}
