/**
 * Reads a request's body whole, within three limits: its own size (413 in Mailgun's words), the bytes of all bodies in flight
 * (503), and time (the server's request and idle timeouts). gzip bodies are undone with the same size limit, so a bomb costs at
 * most one body. What is refused is still read away for a while, so that the client gets to see the answer.
 */
import { Buffer } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createGunzip } from 'node:zlib';
import { ArrivalPace } from '#base/arrival-pace.ts';
import type { ByteBudget } from '#base/byte-budget.ts';
import { LARGE_BYTES, leftBehind } from '#base/large.ts';
import { AppError, badParameter } from '#model/errors.ts';

const MEBIBYTE = 1024 * 1024;
/** A large body waits so long for its place in memory. */
const PLACE_WAIT_MS = 20_000;
const LOOK_MS = 1000;
const INFLATED_PIECE_BYTES = 64 * 1024;

/** Mailgun's sentence: "request size exceeds 52.4MiB limit". */
export class RequestTooLarge extends Error {
  constructor(maxBytes: number) {
    super(`request size exceeds ${Math.round((maxBytes / MEBIBYTE) * 10) / 10}MiB limit`);
    this.name = 'RequestTooLarge';
  }
}

export class UnsupportedEncoding extends Error {
  constructor(encoding: string) {
    super(`Content-Encoding ${encoding.slice(0, 40)} is not supported; use gzip or none`);
    this.name = 'UnsupportedEncoding';
  }
}

/** The client went away, or its time ran out, before the body was whole. Nobody is left to answer. */
export class ClientGone extends Error {}

/**
 * The budget's share of a small body is taken as bytes arrive, that of a large one before, and kept only while it comes or nobody else is in want of it: an announcement costs an
 * attacker nothing. It is given back when the answer is out or the connection is gone.
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
  budget: ByteBudget,
): Promise<Buffer<ArrayBufferLike>> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity' && encoding !== '' && encoding !== 'gzip') throw new UnsupportedEncoding(encoding);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
    readAway(request, maxBytes);
    throw new RequestTooLarge(maxBytes);
  }
  let taken = 0;
  /** Of what was taken, not filled yet. */
  let reserved = 0;
  const take = (bytes: number): boolean => {
    const lacking = Math.max(0, bytes - reserved);
    if (!budget.take(lacking)) return false;
    reserved -= bytes - lacking;
    taken += lacking;
    return true;
  };
  let isOver = false;
  response.once('close', () => {
    isOver = true;
    budget.give(taken);
    leftBehind(taken);
  });
  const announced = Number(request.headers['content-length'] ?? 0);
  // A large one waits for its place, so that several come one after the other; who announces has shown a key before.
  if (announced >= LARGE_BYTES && (await budget.reserve(announced, PLACE_WAIT_MS))) {
    if (isOver) budget.give(announced);
    else taken = reserved = announced;
  }
  if (isOver) throw new ClientGone();
  const body = await collect(request, maxBytes, take, reserved > 0 ? { budget, heldBytes: reserved } : undefined);
  return encoding === 'gzip' ? await unzip(body, maxBytes, take) : body;
}

interface Place {
  readonly budget: ByteBudget;
  readonly heldBytes: number;
}

function collect(request: IncomingMessage, maxBytes: number, take: (bytes: number) => boolean, place: Place | undefined): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const refuse = (error: Error): void => {
      clearInterval(watch);
      request.removeAllListeners('data');
      readAway(request, maxBytes);
      reject(error);
    };
    const watch =
      place === undefined
        ? undefined
        : watched(
            place,
            () => size,
            () => refuse(new AppError('overloaded')),
          );
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) refuse(new RequestTooLarge(maxBytes));
      else if (!take(chunk.length)) refuse(new AppError('overloaded'));
      else chunks.push(chunk);
    });
    request.once('end', () => {
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size));
      leftBehind(size);
    });
    request.once('error', () => reject(new ClientGone()));
    // 'close' comes after a whole body too; an Error is too dear to make for nothing.
    request.once('close', () => {
      clearInterval(watch);
      if (!request.complete) reject(new ClientGone());
    });
  });
}

/** Ends what keeps a place and does not come. */
function watched({ budget, heldBytes }: Place, sizeBytes: () => number, end: () => void): NodeJS.Timeout {
  const pace = new ArrivalPace(budget, 0);
  let elapsedMs = 0;
  return setInterval(() => {
    elapsedMs += LOOK_MS;
    if (pace.isTooSlow(sizeBytes(), heldBytes, elapsedMs)) end();
  }, LOOK_MS);
}

async function unzip(body: Buffer, maxBytes: number, take: (bytes: number) => boolean): Promise<Buffer> {
  if (body.length === 0) return body;
  const pieces: Buffer[] = [];
  let size = 0;
  const inflating = createGunzip({ chunkSize: INFLATED_PIECE_BYTES });
  inflating.end(body);
  try {
    // Its memory is taken as it comes: a bomb is small until it goes off, and many go off together.
    for await (const piece of inflating as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > maxBytes) throw new RequestTooLarge(maxBytes);
      if (!take(piece.length)) throw new AppError('overloaded');
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof AppError || error instanceof RequestTooLarge) throw error;
    throw badParameter('the body is not valid gzip');
  }
  leftBehind(size);
  return Buffer.concat(pieces, size);
}

/** Lets the rest flow by, up to `maxBytes` more; then the connection ends. */
function readAway(request: IncomingMessage, maxBytes: number): void {
  let seen = 0;
  request.on('data', (chunk: Buffer) => {
    seen += chunk.length;
    if (seen > maxBytes) request.destroy();
  });
  request.on('error', () => undefined);
}
