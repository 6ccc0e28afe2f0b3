/**
 * One connection of the sink. States: `command` (a command line is awaited), `data` (up to CRLF.CRLF), `chunk` (BDAT octets), `deaf` (hangs: reads and
 * drops everything), `closed`. Commands are obeyed in order; what the client sends ahead is kept, and a violation when PIPELINING was not offered. */
import type { Socket } from 'node:net';
import { type Behaviour, planOf, type Stage, timesOf } from './sink-behaviour.ts';
import { misbehave } from './sink-mischief.ts';
import type { SinkState, SinkTransaction } from './sink.ts';

const LINE_OCTETS_MAX = 1000; // RFC 5321 §4.5.3.1.6, with CRLF
/** Behaviours that give the proper reply, in an odd way. */
const REFUSING = /^[1345]\d\d|^(malformed|mixed|eight-bit|long|odd-code|close-421)/;
const NOT_REFUSING = /^(double|split|late|bare-lf|early)$/;

interface Recipient {
  readonly address: string;
  readonly parameters: string;
}

export class SinkConnection {
  readonly #sink: SinkState;
  readonly #number: number;
  /** The TCP socket, under TLS if there is any. */
  readonly #raw: Socket;
  #socket: Socket;
  #state: 'command' | 'data' | 'chunk' | 'deaf' | 'closed' = 'command';
  #pending: Buffer = Buffer.alloc(0);
  /** A reply is on its slow way; commands wait for it. */
  #isHeld = false;
  #isTls = false;
  #greeted = false;
  #login: string | undefined;
  #sender: { readonly address: string; readonly parameters: string } | undefined;
  #recipients: Recipient[] = [];
  #chunks: Buffer[] = [];
  #chunkLeft = 0;
  #chunkIsLast = false;
  #transactions = 0;
  #beganMs = 0;
  #authStep: ((line: string) => void) | undefined;

  constructor(sink: SinkState, socket: Socket, number: number) {
    this.#sink = sink;
    this.#raw = socket;
    this.#socket = socket;
    this.#number = number;
  }

  start(): void {
    if (this.#sink.options.tls === 'implicit') this.#startTls();
    else this.#listen();
    this.#act('greeting', this.#sink.options.at?.greeting, `220 ${this.#hostname} ESMTP sink`);
  }

  get #hostname(): string {
    return this.#sink.options.hostname ?? 'mx.test';
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on('end', () => this.#socket.end());
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('close', () => {
      this.#state = 'closed';
    });
  }

  #startTls(): void {
    this.#socket.removeAllListeners('data');
    this.#socket.removeAllListeners('end');
    this.#socket = this.#sink.secure(this.#socket);
    this.#isTls = true;
    this.#greeted = false;
    this.#listen();
  }

  #onData(chunk: Buffer): void {
    if (this.#state === 'deaf' || this.#state === 'closed') return;
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    if (this.#state === 'command') this.#sink.flights.count++;
    this.#work();
  }

  #work(): void {
    while (this.#pending.length > 0 && !this.#isHeld) {
      if (this.#state === 'data') {
        if (!this.#takeData()) return;
      } else if (this.#state === 'chunk') {
        if (!this.#takeChunk()) return;
      } else if (this.#state === 'command') {
        const end = this.#pending.indexOf('\n');
        if (end === -1) return;
        const line = this.#pending.toString('utf8', 0, end).replace(/\r$/, '');
        if (this.#pending[end - 1] !== 13) this.#sink.violations.push(`bare LF ends a command: ${line}`);
        this.#pending = this.#pending.subarray(end + 1);
        this.#command(line);
      } else {
        return;
      }
    }
  }

  #command(line: string): void {
    this.#sink.commands.push(line);
    if (this.#authStep !== undefined) {
      const step = this.#authStep;
      this.#authStep = undefined;
      step(line);
      return;
    }
    const verb = /^[a-z]+/i.exec(line)?.[0].toUpperCase() ?? '';
    if (this.#sink.options.pipelining === false && this.#pending.length > 0 && verb !== 'BDAT') {
      this.#sink.violations.push(`pipelined behind ${verb} though PIPELINING was not offered`);
    }
    switch (verb) {
      case 'EHLO':
        this.#ehlo();
        return;
      case 'HELO':
        this.#greeted = true;
        this.#act('ehlo', undefined, `250 ${this.#hostname}`);
        return;
      case 'STARTTLS':
        this.#starttls();
        return;
      case 'AUTH':
        this.#auth(line);
        return;
      case 'MAIL':
        this.#mail(line);
        return;
      case 'RCPT':
        this.#rcpt(line);
        return;
      case 'DATA':
        this.#data();
        return;
      case 'BDAT':
        this.#bdat(line);
        return;
      case 'RSET':
        this.#reset();
        this.#act('rset', this.#sink.options.at?.rset, '250 2.0.0 Reset');
        return;
      case 'NOOP':
        this.#reply('250 2.0.0 Ok');
        return;
      case 'QUIT':
        this.#act('quit', this.#sink.options.at?.quit, '221 2.0.0 Bye');
        this.#close();
        return;
      default:
        this.#sink.violations.push(`unknown command: ${line.slice(0, 80)}`);
        this.#reply('500 5.5.2 Unknown command');
    }
  }

  #ehlo(): void {
    const { options } = this.#sink;
    if (options.heloOnly === true) {
      this.#reply('502 5.5.1 Not implemented');
      return;
    }
    this.#greeted = true;
    this.#reset();
    const lines = [this.#hostname];
    if (options.pipelining !== false) lines.push('PIPELINING');
    if (options.eightBitMime !== false) lines.push('8BITMIME');
    if (options.smtputf8 === true) lines.push('SMTPUTF8');
    if (options.chunking === true) lines.push('CHUNKING');
    if (options.binaryMime === true) lines.push('BINARYMIME');
    if (options.dsn === true) lines.push('DSN');
    if (options.sizeMax !== undefined) lines.push(`SIZE ${options.sizeMax}`);
    if (options.tls === 'starttls' && !this.#isTls) lines.push('STARTTLS');
    const { auth } = options;
    if (auth !== undefined && (this.#isTls || auth.inPlain === true))
      lines.push(`AUTH ${(auth.mechanisms ?? ['PLAIN', 'LOGIN']).join(' ')}`);
    lines.push('ENHANCEDSTATUSCODES');
    const reply = lines.map((text, index) => `250${index === lines.length - 1 ? ' ' : '-'}${text}`).join('\r\n');
    this.#act('ehlo', options.at?.ehlo, reply);
  }

  #starttls(): void {
    const { tlsTrouble, at } = this.#sink.options;
    if (at?.starttls !== undefined) {
      this.#act('starttls', at.starttls, '');
      return;
    }
    if (this.#pending.length > 0) this.#sink.violations.push('pipelined behind STARTTLS');
    if (tlsTrouble === 'refuse') {
      this.#reply('454 4.7.0 TLS not available');
      return;
    }
    this.#pending = Buffer.alloc(0);
    this.#reply(tlsTrouble === 'inject' ? '220 2.0.0 Go ahead\r\n250 injected' : '220 2.0.0 Go ahead');
    if (tlsTrouble === 'garbage') this.#answerWithGarbage();
    else if (tlsTrouble === 'drop') this.#close();
    else if (tlsTrouble === 'hang') this.#state = 'deaf';
    else this.#startTls();
  }

  /** Takes the ClientHello for a command. */
  #answerWithGarbage(): void {
    this.#state = 'deaf';
    this.#socket.once('data', () => this.#write('500 5.5.2 this is not TLS\r\n'));
  }

  #auth(line: string): void {
    const { auth, at } = this.#sink.options;
    if (at?.auth !== undefined || auth === undefined) {
      this.#act('auth', at?.auth, '503 5.5.1 Not offered');
      return;
    }
    if (!this.#isTls && auth.inPlain !== true) this.#sink.violations.push('AUTH in plaintext');
    const decode = (text: string): string => Buffer.from(text, 'base64').toString();
    const check = (username: string, password: string): void => {
      const isRight = username === auth.username && password === auth.password;
      if (isRight) this.#login = username;
      this.#reply(isRight ? '235 2.7.0 Welcome' : '535 5.7.8 Authentication credentials invalid');
    };
    const [, mechanism = '', initial] = line.split(' ');
    if (mechanism.toUpperCase() === 'PLAIN' && initial !== undefined) {
      const [, username = '', password = ''] = decode(initial).split('\0');
      check(username, password);
    } else if (mechanism.toUpperCase() === 'LOGIN') {
      const askPassword = (username: string): void => {
        this.#authStep = (password) => check(username, decode(password));
        this.#reply('334 UGFzc3dvcmQ6');
      };
      if (initial !== undefined) {
        askPassword(decode(initial));
        return;
      }
      this.#authStep = (username) => askPassword(decode(username));
      this.#reply('334 VXNlcm5hbWU6');
    } else {
      this.#reply('504 5.5.4 Mechanism not supported');
    }
  }

  #mail(line: string): void {
    const { options } = this.#sink;
    const match = /^MAIL FROM:<([^>]*)>(.*)$/i.exec(line);
    if (!this.#greeted || this.#sender !== undefined || match === null) {
      this.#sink.violations.push(`MAIL out of order or malformed: ${line}`);
      this.#reply('503 5.5.1 Bad sequence of commands');
      return;
    }
    if (options.auth !== undefined && this.#login === undefined) {
      this.#reply('530 5.7.0 Authentication required');
      return;
    }
    this.#checkParameters(match[2] as string);
    this.#beganMs = performance.now();
    const address = match[1] as string;
    const behaviour = this.#behaviour(address, 'mail') ?? options.at?.mail;
    if (behaviour === undefined || !REFUSING.test(behaviour)) this.#sender = { address, parameters: (match[2] as string).trim() };
    this.#act('mail', behaviour, '250 2.1.0 Sender ok');
  }

  #checkParameters(parameters: string): void {
    const { options } = this.#sink;
    const forbidden: [boolean, RegExp][] = [
      [options.eightBitMime === false, /BODY=/i],
      [options.smtputf8 !== true, /SMTPUTF8/i],
      [options.sizeMax === undefined, /SIZE=/i],
      [options.dsn !== true, /RET=|ENVID=|NOTIFY=|ORCPT=/i],
    ];
    for (const [isForbidden, pattern] of forbidden) {
      if (isForbidden && pattern.test(parameters)) this.#sink.violations.push(`parameter that was not offered: ${parameters}`);
    }
  }

  #rcpt(line: string): void {
    const match = /^RCPT TO:<([^>]+)>(.*)$/i.exec(line);
    if (this.#sender === undefined || match === null) {
      this.#reply('503 5.5.1 Bad sequence of commands');
      return;
    }
    const address = match[1] as string;
    this.#checkParameters(match[2] as string);
    const plan = planOf(localOf(address));
    const behaviour = this.#behaviour(address, 'rcpt') ?? this.#tooMany() ?? this.#sink.options.at?.rcpt;
    const isAfter = plan?.after !== undefined && this.#recipients.length < plan.after;
    const isRefused = behaviour !== undefined && !isAfter && REFUSING.test(behaviour);
    if (!isRefused) this.#recipients.push({ address, parameters: (match[2] as string).trim() });
    this.#act('rcpt', isAfter ? undefined : behaviour, '250 2.1.5 Recipient ok');
  }

  /** Once one recipient of the transaction has named a maximum, it holds for the others too. */
  #tooMany(): Behaviour | undefined {
    for (const { address } of this.#recipients) {
      const plan = planOf(localOf(address));
      if (plan?.after !== undefined && this.#recipients.length >= plan.after) return plan.behaviour;
    }
    return undefined;
  }

  #data(): void {
    if (this.#recipients.length === 0) {
      this.#reply('554 5.5.1 No valid recipients');
      return;
    }
    const behaviour = this.#behaviourOfRecipients('data') ?? this.#sink.options.at?.data;
    if (behaviour === undefined || behaviour === 'drop' || behaviour === 'early') this.#state = 'data';
    this.#chunks = [];
    if (behaviour === 'drop') {
      this.#reply('354 Send it');
      return;
    }
    this.#act('data', behaviour, '354 Send it');
    if (behaviour !== undefined && NOT_REFUSING.test(behaviour)) this.#state = 'data';
  }

  #takeData(): boolean {
    if (this.#behaviourOfRecipients('data', true) === 'drop') {
      this.#close();
      return false;
    }
    const opening = this.#chunks.length === 0 && this.#pending.subarray(0, 3).toString('latin1') === '.\r\n';
    const end = opening ? 0 : this.#pending.indexOf('\r\n.\r\n');
    if (end === -1) return false;
    const body = opening ? Buffer.alloc(0) : this.#pending.subarray(0, end + 2);
    this.#pending = this.#pending.subarray(opening ? 3 : end + 5);
    this.#state = 'command';
    this.#checkBody(body);
    this.#finish(unstuff(body), 'DATA');
    return true;
  }

  #bdat(line: string): void {
    const match = /^BDAT (\d+)( LAST)?$/i.exec(line);
    if (match === null) {
      this.#sink.violations.push(`malformed BDAT: ${line}`);
      this.#reply('501 5.5.4 Bad BDAT');
      return;
    }
    this.#chunkLeft = Number(match[1]);
    this.#chunkIsLast = match[2] !== undefined;
    this.#state = 'chunk';
    if (this.#chunkLeft === 0) this.#takeChunk();
  }

  #takeChunk(): boolean {
    const behaviour = this.#recipients.length === 0 ? undefined : this.#behaviourOfRecipients('data', true);
    if (behaviour === 'drop') {
      this.#close();
      return false;
    }
    const taken = this.#pending.subarray(0, this.#chunkLeft);
    this.#pending = this.#pending.subarray(taken.length);
    this.#chunkLeft -= taken.length;
    this.#chunks.push(Buffer.from(taken));
    if (this.#chunkLeft > 0) return false;
    this.#state = 'command';
    const body = Buffer.concat(this.#chunks);
    if (this.#recipients.length === 0) {
      this.#chunks = [];
      this.#reply('503 5.5.1 No valid recipients');
    } else if (behaviour !== undefined && !NOT_REFUSING.test(behaviour)) {
      this.#reset();
      this.#act('data', behaviour, '250 2.0.0 Chunk ok');
    } else if (this.#chunkIsLast) {
      this.#finish(body, 'BDAT');
    } else {
      this.#reply('250 2.0.0 Chunk ok');
    }
    return true;
  }

  #checkBody(body: Buffer): void {
    const text = body.toString('latin1');
    if (/(^|[^\r])\n|\r(?!\n)/.test(text)) this.#sink.violations.push('bare CR or LF in the body');
    if (text.split('\n').some((line) => line.length >= LINE_OCTETS_MAX + 1)) this.#sink.violations.push('line over 998 octets');
    const isEightBit = /BODY=8BITMIME/i.test(this.#sender?.parameters ?? '');
    if (!isEightBit && /[\x80-\xff]/.test(text)) this.#sink.violations.push('8-bit body without BODY=8BITMIME');
  }

  #finish(bytes: Buffer, via: 'DATA' | 'BDAT'): void {
    const transaction: SinkTransaction = {
      sender: this.#sender?.address ?? '',
      parameters: this.#sender?.parameters ?? '',
      recipients: this.#recipients,
      bytes,
      tls: this.#isTls,
      ...(this.#login === undefined ? {} : { login: this.#login }),
      via,
      connection: this.#number,
      beganMs: this.#beganMs,
      isAcknowledged: false,
    };
    this.#sink.transactions.push(transaction);
    const odd = via === 'BDAT' ? this.#behaviourOfRecipients('data') : undefined;
    const behaviour = odd ?? this.#behaviourOfRecipients('dot') ?? this.#sink.options.at?.dot;
    this.#reset();
    this.#transactions++;
    this.#act('dot', behaviour, '250 2.0.0 Ok: queued as SINK', () => {
      transaction.isAcknowledged = behaviour === undefined || /^2\d\d/.test(behaviour) || NOT_REFUSING.test(behaviour);
    });
    if (this.#transactions === this.#sink.options.transactionsMax && behaviour === undefined) {
      this.#reply('421 4.3.2 Enough for one connection');
      this.#close();
    }
  }

  #reset(): void {
    this.#sender = undefined;
    this.#recipients = [];
    this.#chunks = [];
  }

  /** What the mailbox asks for at this stage, as long as its "-times-N" lasts. `isPeek` does not count. */
  #behaviour(address: string, stage: Stage, isPeek = false): Behaviour | undefined {
    const local = localOf(address);
    const plan = planOf(local);
    if (plan === undefined || plan.stage !== stage) return undefined;
    const done = this.#sink.misdeeds.get(address) ?? 0;
    if (done >= timesOf(local)) return undefined;
    if (!isPeek) this.#sink.misdeeds.set(address, done + 1);
    return plan.behaviour;
  }

  #behaviourOfRecipients(stage: Stage, isPeek = false): Behaviour | undefined {
    for (const { address } of this.#recipients) {
      const behaviour = this.#behaviour(address, stage, isPeek);
      if (behaviour !== undefined) return behaviour;
    }
    return undefined;
  }

  /** `said` is called when the reply goes out. */
  #act(stage: Stage, behaviour: Behaviour | undefined, proper: string, said: () => void = () => undefined): void {
    const gate = this.#sink.options.gates?.[stage];
    if (gate === undefined) {
      said();
      this.#answer(stage, behaviour, proper);
      return;
    }
    this.#isHeld = true;
    void gate.then(() => {
      // Nobody hears it any more.
      if (this.#state !== 'closed') said();
      this.#isHeld = false;
      this.#answer(stage, behaviour, proper);
      this.#work();
    });
  }

  #answer(stage: Stage, behaviour: Behaviour | undefined, proper: string): void {
    if (behaviour === undefined) {
      this.#reply(proper);
      return;
    }
    if (/^\d/.test(behaviour)) {
      this.#reply(behaviour);
      if (behaviour.startsWith('421')) this.#close();
      return;
    }
    misbehave(behaviour, stage, proper, {
      socket: this.#socket,
      reset: () => {
        this.#state = 'closed';
        this.#raw.resetAndDestroy();
      },
      deafen: () => {
        this.#state = 'deaf';
      },
      close: () => this.#close(),
      hold: () => {
        this.#isHeld = true;
        return () => {
          this.#isHeld = false;
          this.#work();
        };
      },
    });
  }

  #reply(text: string): void {
    this.#write(`${text}\r\n`);
  }

  #write(data: string | Buffer): void {
    if (this.#socket.writable) this.#socket.write(data);
  }

  #close(): void {
    this.#state = 'closed';
    this.#socket.end();
  }
}

function localOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf('@')));
}

/** RFC 5321 §4.5.2, the receiver's side. */
function unstuff(body: Buffer): Buffer {
  const text = body.toString('latin1');
  return Buffer.from(text.replace(/(^|\r\n)\./g, '$1'), 'latin1');
}
