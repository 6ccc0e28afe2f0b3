/**
 * HTTP to a certificate authority: one request, its whole answer, within a time and a size. Redirects are not followed, since requests are signed for their
 * URL (RFC 8555 §6.4). undici is loaded when something is asked first.
 */
import type { Agent, request } from 'undici';

const ANSWER_MAX_BYTES = 256 * 1024;
const CONNECTIONS_MAX = 4;

export interface AcmeAnswer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly text: string;
}

export interface AcmeHttp {
  /** `signal` bounds the whole. Rejects when there is no answer. */
  ask(method: 'HEAD' | 'GET' | 'POST', url: string, body: string | undefined, signal: AbortSignal): Promise<AcmeAnswer>;
  close(): Promise<void>;
}

export interface AcmeHttpOptions {
  /** Certificates (PEM) that the authority's own server is checked by; default: those that Node knows. */
  readonly authorities?: string;
  readonly userAgent: string;
}

export function createAcmeHttp({ authorities, userAgent }: AcmeHttpOptions): AcmeHttp {
  let loading: Promise<{ readonly request: typeof request; readonly dispatcher: Agent }> | undefined;
  const load = async () => {
    const undici = await import('undici');
    const connect = authorities === undefined ? {} : { connect: { ca: authorities } };
    return { request: undici.request, dispatcher: new undici.Agent({ connections: CONNECTIONS_MAX, ...connect }) };
  };
  return {
    async ask(method, url, body, signal) {
      loading ??= load();
      const { request, dispatcher } = await loading;
      const headers = { 'user-agent': userAgent, ...(body !== undefined && { 'content-type': 'application/jose+json' }) };
      const answer = await request(url, { method, headers, body: body ?? null, dispatcher, signal });
      const pieces: Buffer[] = [];
      let size = 0;
      for await (const piece of answer.body as AsyncIterable<Buffer>) {
        size += piece.length;
        if (size > ANSWER_MAX_BYTES) throw new Error(`the answer is longer than ${ANSWER_MAX_BYTES} bytes`);
        pieces.push(piece);
      }
      return {
        status: answer.statusCode,
        header(name) {
          const value = answer.headers[name];
          return Array.isArray(value) ? value[0] : value;
        },
        text: Buffer.concat(pieces).toString('utf8'),
      };
    },
    async close() {
      if (loading !== undefined) await (await loading).dispatcher.destroy();
    },
  };
}
