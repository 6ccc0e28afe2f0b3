/**
 * An authoritative, recursive-looking DNS server for tests, over UDP and TCP on one free port of 127.0.0.1, answering from a zone
 * described as data. A name that is not in the zone is NXDOMAIN; a name that only has names below it has no data.
 * The zone may be changed while the server runs. Every query is recorded.
 */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Server, Socket as TcpSocket } from 'node:net';

export type RecordType = 'A' | 'AAAA' | 'CNAME' | 'MX' | 'TXT';
/** How a name misbehaves instead of answering. `silent`: no answer at all. `garbage`: octets that are no DNS message. */
export type Refusal = 'SERVFAIL' | 'REFUSED' | 'FORMERR' | 'NOTIMP' | 'NXDOMAIN' | 'silent' | 'garbage';

export interface ZoneNode {
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  readonly MX?: readonly (readonly [preference: number, host: string])[];
  /** Each record is one string or its several character-strings. */
  readonly TXT?: readonly (string | readonly string[])[];
  readonly CNAME?: string;
  /** Seconds; 300 unless given. */
  readonly ttl?: number;
  readonly refusal?: Refusal;
  /** Refuses only these types. */
  readonly refusalOf?: Readonly<Partial<Record<RecordType, Refusal>>>;
  /** UDP answers are cut (TC), so that the client must come back over TCP. */
  readonly truncated?: boolean;
  /** These records go out first under a wrong query id, as an off-path forger sends them. */
  readonly forged?: ZoneNode;
  /** The CNAME's target is not added to the answer, as by a server that is not recursive. */
  readonly bareCname?: boolean;
}

export interface Query {
  readonly name: string;
  readonly type: RecordType | 'other';
  readonly transport: 'udp' | 'tcp';
}

export interface DnsZone {
  /** "127.0.0.1:PORT", as dns.servers wants it. */
  readonly server: string;
  readonly queries: Query[];
  /** Names are lower case without trailing dot. */
  readonly zone: Record<string, ZoneNode>;
  close(): Promise<void>;
}

const TYPE_NUMBERS: Readonly<Record<RecordType, number>> = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28 };
const TYPE_NAMES = new Map(Object.entries(TYPE_NUMBERS).map(([name, number]) => [number, name as RecordType]));
const RCODES: Readonly<Record<string, number>> = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 };
const UDP_ANSWER_MAX = 1232;
const CNAME_STEPS_MAX = 16;
const PORT_TRIES = 20;

export async function startDnsZone(zone: Record<string, ZoneNode>): Promise<DnsZone> {
  const queries: Query[] = [];
  const respond = (message: Buffer, transport: 'udp' | 'tcp'): Buffer[] => answer(zone, queries, message, transport);
  const { udp, tcp, port } = await listenOnBoth();
  const tcpSockets = new Set<TcpSocket>();
  let isClosed = false;
  udp.on('message', (message, from) => {
    for (const reply of respond(message, 'udp')) udp.send(reply, from.port, from.address);
  });
  tcp.on('connection', (socket) => {
    tcpSockets.add(socket);
    socket.on('close', () => tcpSockets.delete(socket));
    socket.on('error', () => socket.destroy());
    serveTcp(socket, (message) => respond(message, 'tcp'));
  });
  return {
    server: `127.0.0.1:${port}`,
    queries,
    zone,
    async close() {
      if (isClosed) return;
      isClosed = true;
      for (const socket of tcpSockets) socket.destroy();
      await Promise.all([new Promise<void>((done) => udp.close(() => done())), new Promise<void>((done) => tcp.close(() => done()))]);
    },
  };
}

/** UDP and TCP must share the port number, so a port that TCP cannot have is given back. */
async function listenOnBoth(): Promise<{ udp: Socket; tcp: Server; port: number }> {
  for (let tried = 0; tried < PORT_TRIES; tried++) {
    const udp = createSocket('udp4');
    await new Promise<void>((done) => udp.bind(0, '127.0.0.1', done));
    const { port } = udp.address();
    const tcp = createServer();
    const isOpen = await new Promise<boolean>((done) => {
      tcp.once('error', () => done(false));
      tcp.listen(port, '127.0.0.1', () => done(true));
    });
    if (isOpen) return { udp, tcp, port };
    udp.close();
  }
  throw new Error('no port is free for both UDP and TCP');
}

function serveTcp(socket: TcpSocket, respond: (message: Buffer) => Buffer[]): void {
  let pending = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const length = pending.readUInt16BE(0);
      for (const reply of respond(pending.subarray(2, 2 + length))) {
        const prefix = Buffer.alloc(2);
        prefix.writeUInt16BE(reply.length);
        socket.write(Buffer.concat([prefix, reply]));
      }
      pending = pending.subarray(2 + length);
    }
  });
}

function answer(zone: Record<string, ZoneNode>, queries: Query[], message: Buffer, transport: 'udp' | 'tcp'): Buffer[] {
  const question = readQuestion(message);
  const { name } = question;
  const type = TYPE_NAMES.get(question.type);
  queries.push({ name, type: type ?? 'other', transport });
  const node = zone[name];
  const refusal = type === undefined ? 'NOTIMP' : (node?.refusalOf?.[type] ?? node?.refusal);
  if (refusal === 'silent') return [];
  if (refusal === 'garbage') return [Buffer.concat([message.subarray(0, 2), Buffer.from('not a DNS message')])];
  if (refusal !== undefined) return [encode(question, RCODES[refusal] as number, [])];
  const replies: Buffer[] = [];
  if (node?.forged !== undefined) {
    const forged = encode(question, 0, recordsOf(name, node.forged, type as RecordType));
    forged.writeUInt16BE(question.id ^ 0x5a5a, 0);
    replies.push(forged);
  }
  const { records, exists } = collect(zone, name, type as RecordType);
  const whole = encode(question, exists ? 0 : (RCODES['NXDOMAIN'] as number), records);
  const isCut = transport === 'udp' && (node?.truncated === true || whole.length > UDP_ANSWER_MAX);
  if (isCut) {
    const cut = encode(question, 0, []);
    cut.writeUInt8(cut.readUInt8(2) | 0x02, 2);
    replies.push(cut);
  } else {
    replies.push(whole);
  }
  return replies;
}

/** Follows CNAMEs as a recursive resolver would; a loop ends with what was collected. */
function collect(zone: Record<string, ZoneNode>, asked: string, type: RecordType): { records: Buffer[]; exists: boolean } {
  const records: Buffer[] = [];
  let name = asked;
  for (let step = 0; step < CNAME_STEPS_MAX; step++) {
    const node = zone[name];
    if (node === undefined) {
      const hasNamesBelow = Object.keys(zone).some((other) => other.endsWith(`.${name}`));
      return { records, exists: hasNamesBelow || step > 0 };
    }
    if (node.CNAME === undefined || type === 'CNAME') return { records: [...records, ...recordsOf(name, node, type)], exists: true };
    records.push(...recordsOf(name, node, 'CNAME'));
    if (node.bareCname === true) return { records, exists: true };
    name = node.CNAME;
  }
  return { records, exists: true };
}

function recordsOf(name: string, node: ZoneNode, type: RecordType): Buffer[] {
  const make = (data: Buffer): Buffer => {
    const fixed = Buffer.alloc(10);
    fixed.writeUInt16BE(TYPE_NUMBERS[type], 0);
    fixed.writeUInt16BE(1, 2);
    fixed.writeUInt32BE(node.ttl ?? 300, 4);
    fixed.writeUInt16BE(data.length, 8);
    return Buffer.concat([encodeName(name), fixed, data]);
  };
  switch (type) {
    case 'A':
      return (node.A ?? []).map((address) => make(Buffer.from(address.split('.').map(Number))));
    case 'AAAA':
      return (node.AAAA ?? []).map((address) => make(encodeIpv6(address)));
    case 'CNAME':
      return node.CNAME === undefined ? [] : [make(encodeName(node.CNAME))];
    case 'MX':
      return (node.MX ?? []).map(([preference, host]) =>
        make(Buffer.concat([Buffer.from([preference >> 8, preference & 255]), encodeName(host)])),
      );
    case 'TXT':
      return (node.TXT ?? []).map((text) =>
        make(
          Buffer.concat(
            (typeof text === 'string' ? [text] : text).map((part) => Buffer.concat([Buffer.from([part.length]), Buffer.from(part)])),
          ),
        ),
      );
  }
}

function encodeName(name: string): Buffer {
  const labels = name === '.' || name === '' ? [] : name.replace(/\.$/, '').split('.');
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);
}

/** Full or "::"-shortened text; an IPv4 tail ("::ffff:127.0.0.1") is understood. */
function encodeIpv6(text: string): Buffer {
  const plain = text.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_whole, a: string, b: string, c: string, d: string) =>
      `${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`,
  );
  const [head = '', tail] = plain.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back];
  const bytes = Buffer.alloc(16);
  groups.forEach((group, index) => bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2));
  return bytes;
}

interface Question {
  readonly id: number;
  readonly name: string;
  readonly type: number;
  readonly raw: Buffer;
}

function readQuestion(message: Buffer): Question {
  const labels: string[] = [];
  let at = 12;
  while ((message[at] ?? 0) > 0) {
    const length = message[at] as number;
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return {
    id: message.readUInt16BE(0),
    name: labels.join('.').toLowerCase(),
    type: message.readUInt16BE(at + 1),
    raw: Buffer.from(message.subarray(12, at + 5)),
  };
}

function encode(question: Question, rcode: number, records: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(question.id, 0);
  header.writeUInt16BE(0x8180 | rcode, 2); // response, recursion desired and available
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, question.raw, ...records]);
}
