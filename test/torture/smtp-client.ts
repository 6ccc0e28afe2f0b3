/**
 * A persistent SMTP client of the crash test: connects, hands in one message after the other, writes down what was accepted, and connects again when
 * the server is gone, until it is told to stop. A message whose reply did not come is not sent again: whether it was taken is unknown.
 */
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { SENDER, header, text } from '../../bench/message.ts';
import type { Ledger } from './ledger.ts';

const AGAIN_AFTER_MS = 20;
const PAUSE_MS = 3;
const BODY = text(4000);

class Gone extends Error {}
class PutOff extends Error {}

export async function smtpClient(port: number, ledger: Ledger, recipient: () => string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await session(port, ledger, recipient, signal);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      ledger.cut++;
      await sleep(AGAIN_AFTER_MS);
    }
  }
}

async function session(port: number, ledger: Ledger, recipient: () => string, signal: AbortSignal): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  try {
    await reply(lines);
    await command(socket, lines, 'EHLO torture.example');
    while (!signal.aborted) {
      try {
        await message(socket, lines, ledger, recipient());
      } catch (error) {
        if (!(error instanceof PutOff)) throw error;
        ledger.putOff++;
        await command(socket, lines, 'RSET');
      }
      await sleep(PAUSE_MS);
    }
    await command(socket, lines, 'QUIT');
  } finally {
    socket.destroy();
    if (!socket.closed) await once(socket, 'close');
  }
}

async function message(socket: Socket, lines: AsyncIterator<string>, ledger: Ledger, recipient: string): Promise<void> {
  await expectOk(ledger, await command(socket, lines, `MAIL FROM:<${SENDER}>`));
  await expectOk(ledger, await command(socket, lines, `RCPT TO:<${recipient}>`));
  await expectOk(ledger, await command(socket, lines, 'DATA'));
  const entry = ledger.open('smtp', [recipient]);
  const answer = await command(socket, lines, `${header(entry.id, recipient)}${BODY}.`);
  await expectOk(ledger, answer);
  entry.isAccepted = true;
}

function expectOk(ledger: Ledger, line: string): Promise<void> {
  if (line[0] === '2' || line[0] === '3') return Promise.resolve();
  if (line[0] !== '4') ledger.wrong(`SMTP: ${line}`);
  return Promise.reject(line.startsWith('421') ? new Gone(line) : new PutOff(line));
}

function command(socket: Socket, lines: AsyncIterator<string>, line: string): Promise<string> {
  socket.write(`${line}\r\n`, 'latin1');
  return reply(lines);
}

/** The last line of the next reply. */
async function reply(lines: AsyncIterator<string>): Promise<string> {
  for (;;) {
    const next = await lines.next().catch((error: unknown) => {
      throw new Gone('the connection failed', { cause: error });
    });
    if (next.done === true) throw new Gone('the connection ended');
    if (next.value[3] !== '-') return next.value;
  }
}
