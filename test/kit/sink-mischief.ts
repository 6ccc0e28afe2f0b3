/** How the sink carries out each of its misbehaviours on a socket. */
import type { Socket } from 'node:net';
import { replyFor } from './sink-behaviour.ts';
import type { Action, Behaviour, Stage } from './sink-behaviour.ts';

const PADDING = Buffer.alloc(16_384, 'x');
const LATE_MS = 100;
/** Latin-1, a colour by escape sequence, NUL, a right-to-left override, and a script. */
const HOSTILE_REPLY = Buffer.from('550 5.7.1 caf\xe9 \x1b[31mred\x1b[0m\x00 \xe2\x80\xae<script>alert(1)</script>\r\n', 'latin1');

interface Hands {
  readonly socket: Socket;
  deafen(): void;
  reset(): void;
  close(): void;
  /** Obeys no command until the returned function is called. */
  hold(): () => void;
}

/** `proper` is the reply that a well-behaved server would give, without its last CRLF. */
export function misbehave(behaviour: Behaviour, stage: Stage, proper: string, hands: Hands): void {
  const { socket } = hands;
  const write = (data: string | Buffer): void => {
    if (socket.writable) socket.write(data);
  };
  const actions: Readonly<Record<Action, () => void>> = {
    hang: hands.deafen,
    drop: hands.close,
    reset: hands.reset,
    half() {
      write(proper.slice(0, 2));
      hands.close();
    },
    malformed: () => write('What a lovely day it is\r\n'),
    'endless-line'() {
      hands.deafen();
      write('250 ');
      flood(socket, PADDING);
    },
    'endless-lines'() {
      hands.deafen();
      flood(socket, Buffer.from('250-and another one\r\n'.repeat(500)));
    },
    mixed: () => write('250-Yes\r\n550 5.1.1 No\r\n'),
    'eight-bit': () => write(HOSTILE_REPLY),
    double: () => write(`${proper}\r\n${proper}\r\n`),
    early: () => write(`${proper}\r\n250 2.0.0 Ok: before it was asked\r\n`),
    split: () => trickle(socket, `${proper}\r\n`, hands.hold()),
    late() {
      const release = hands.hold();
      setTimeout(() => {
        write(`${proper}\r\n`);
        release();
      }, LATE_MS);
    },
    'bare-lf': () => write(`${proper.replaceAll('\r\n', '\n')}\n`),
    long: () => write(`${'550-5.7.1 One of very many lines of explanation\r\n'.repeat(149)}550 5.7.1 That was all\r\n`),
    'close-421'() {
      write(`${replyFor(421)}\r\n`);
      hands.close();
    },
    'odd-code': () => write(stage === 'dot' ? '354 Go on\r\n' : '199 Hm\r\n'),
  };
  const action = actions[behaviour as Action];
  if (action === undefined) throw new Error(`the sink does not know ${behaviour}`);
  action();
}

function trickle(socket: Socket, text: string, done: () => void): void {
  let at = 0;
  const next = (): void => {
    if (at === text.length || !socket.writable) {
      done();
      return;
    }
    socket.write(text[at++] as string);
    setImmediate(next);
  };
  next();
}

/** Writes without end, no faster than the client reads. */
function flood(socket: Socket, block: Buffer): void {
  if (!socket.writable) return;
  if (socket.write(block)) setImmediate(() => flood(socket, block));
  else socket.once('drain', () => flood(socket, block));
}
