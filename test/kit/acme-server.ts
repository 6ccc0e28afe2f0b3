/**
 * A certificate authority that speaks ACME (RFC 8555) on loopback, over plain HTTP: accounts, orders, proofs over HTTP (http-01) by really fetching them, certificates. Every request is checked as
 * an authority does (nonce, URL, account, signature), and what is wrong is refused. How it misbehaves is data, which a test may change at any time.
 */
import { createHash, createPublicKey, type KeyObject, randomBytes, verify, type webcrypto } from 'node:crypto';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CertificateAuthority, createAuthority, readRequest } from './certificate-authority.ts';

export interface AcmeMischief {
  /** So many nonces are called bad. */
  badNonces?: number;
  /** What is ordered is refused for now; seconds. */
  rateLimited?: number;
  /** Connections end without an answer. */
  isDown?: boolean;
  /** Looks so often before a proof is decided. */
  slowProofs?: number;
  /** Of certificates. */
  lifeMs?: number;
  /** The certificate is for this name. */
  wrongName?: string;
  /** It began so long ago. */
  ageMs?: number;
}

export interface AcmeServer extends AsyncDisposable {
  readonly directory: string;
  /** Trusted: what it issued. */
  readonly root: string;
  readonly mischief: AcmeMischief;
  /** "newOrder", … with the names that were ordered. */
  readonly log: string[];
  readonly orders: string[][];
  readonly accounts: number;
  /** Where proofs are fetched: a port on loopback, for every name. */
  challengePort: number;
}

interface Order {
  readonly names: string[];
  readonly account: string;
  status: 'pending' | 'ready' | 'valid' | 'invalid';
  readonly authorizations: Authorization[];
  chain?: string;
}

interface Authorization {
  readonly name: string;
  readonly token: string;
  status: 'pending' | 'valid' | 'invalid';
  looksLeft: number;
  error?: { readonly type: string; readonly detail: string };
}

class Refused extends Error {
  readonly status: number;
  readonly type: string;
  readonly seconds: number | undefined;

  constructor(status: number, type: string, detail: string, seconds?: number) {
    super(detail);
    this.status = status;
    this.type = `urn:ietf:params:acme:error:${type}`;
    this.seconds = seconds;
  }
}

export async function startAcmeServer(): Promise<AcmeServer> {
  const state = new Authority();
  const server = createServer((incoming, response) => void answer(state, incoming, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  state.base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(state, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  });
}

async function answer(state: Authority, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  if (state.mischief.isDown === true) {
    incoming.socket.destroy();
    return;
  }
  response.setHeader('replay-nonce', state.newNonce());
  try {
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece as Buffer);
    const { status, headers, body } = await state.handle(incoming, Buffer.concat(pieces).toString('utf8'));
    const text = typeof body === 'string' ? body : JSON.stringify(body ?? {});
    response.writeHead(status, {
      'content-type': typeof body === 'string' ? 'application/pem-certificate-chain' : 'application/json',
      ...headers,
    });
    response.end(incoming.method === 'HEAD' ? undefined : text);
  } catch (error) {
    const { status, type, message, seconds } = error instanceof Refused ? error : new Refused(500, 'serverInternal', String(error));
    state.log.push(`refused: ${message}`);
    response.writeHead(status, {
      'content-type': 'application/problem+json',
      ...(seconds !== undefined && { 'retry-after': String(seconds) }),
    });
    response.end(JSON.stringify({ type, detail: message, status }));
  }
}

interface Made {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

class Authority {
  base = '';
  challengePort = 80;
  readonly mischief: AcmeMischief = {};
  readonly log: string[] = [];
  readonly orders: string[][] = [];
  readonly #authority: CertificateAuthority = createAuthority();
  readonly #nonces = new Set<string>();
  /** By URL. */
  readonly #keys = new Map<string, { readonly key: KeyObject; readonly thumbprint: string }>();
  readonly #orders: Order[] = [];

  get directory(): string {
    return `${this.base}/directory`;
  }

  get root(): string {
    return this.#authority.root;
  }

  get accounts(): number {
    return this.#keys.size;
  }

  newNonce(): string {
    const nonce = randomBytes(12).toString('base64url');
    this.#nonces.add(nonce);
    return nonce;
  }

  async handle({ method, url = '' }: IncomingMessage, text: string): Promise<Made> {
    if (method === 'GET' && url === '/directory')
      return { status: 200, body: { newNonce: `${this.base}/nonce`, newAccount: `${this.base}/account`, newOrder: `${this.base}/order` } };
    if (method === 'HEAD' && url === '/nonce') return { status: 200 };
    if (method !== 'POST') throw new Refused(405, 'malformed', 'POST, please');
    const { payload, account } = this.#verified(`${this.base}${url}`, text);
    const [, what = '', first = '', second = ''] = url.split('/');
    if (what === 'account') return { status: 201, headers: { location: account }, body: { status: 'valid' } };
    if (what === 'order' && first === '') return this.#order(account, payload);
    const order = this.#orders[Number(first)];
    if (order?.account !== account) throw new Refused(404, 'malformed', 'there is no such order');
    if (what === 'order') return { status: 200, body: this.#shown(order) };
    if (what === 'authorization') return { status: 200, body: this.#shownAuthorization(order, Number(second)) };
    if (what === 'challenge') return this.#challenge(order, Number(second));
    if (what === 'finalize') return this.#finalize(order, payload);
    if (what === 'certificate' && order.chain !== undefined) return { status: 200, body: order.chain };
    throw new Refused(404, 'malformed', 'there is nothing');
  }

  /** RFC 8555 §6.2 to §6.5 */
  #verified(url: string, text: string): { readonly payload: Record<string, unknown>; readonly account: string } {
    const jws = JSON.parse(text) as { protected: string; payload: string; signature: string };
    const header = JSON.parse(Buffer.from(jws.protected, 'base64url').toString()) as Record<string, unknown>;
    const { alg, nonce, url: said, kid, jwk } = header;
    if (alg !== 'ES256') throw new Refused(400, 'badSignatureAlgorithm', 'ES256, please');
    if (said !== url) throw new Refused(401, 'unauthorized', 'it was signed for another URL');
    if (!this.#nonces.delete(String(nonce)) || (this.mischief.badNonces ?? 0) > 0) {
      this.mischief.badNonces = Math.max(0, (this.mischief.badNonces ?? 0) - 1);
      throw new Refused(400, 'badNonce', 'that nonce is not known');
    }
    const isNew = url === `${this.base}/account`;
    if (isNew !== (jwk !== undefined) || isNew === (kid !== undefined))
      throw new Refused(400, 'malformed', 'jwk for a new account, else kid');
    const known = isNew ? keyOf(jwk as webcrypto.JsonWebKey) : this.#keys.get(String(kid));
    if (known === undefined) throw new Refused(400, 'accountDoesNotExist', 'there is no such account');
    const signed = Buffer.from(`${jws.protected}.${jws.payload}`);
    if (!verify('sha256', signed, { key: known.key, dsaEncoding: 'ieee-p1363' }, Buffer.from(jws.signature, 'base64url')))
      throw new Refused(401, 'unauthorized', 'the signature does not hold');
    const account = isNew ? `${this.base}/accounts/${known.thumbprint}` : String(kid);
    const payload = jws.payload === '' ? {} : (JSON.parse(Buffer.from(jws.payload, 'base64url').toString()) as Record<string, unknown>);
    if (isNew) {
      if (payload['termsOfServiceAgreed'] !== true) throw new Refused(403, 'userActionRequired', 'agree to the terms first');
      this.#keys.set(account, known);
    }
    return { payload, account };
  }

  #order(account: string, payload: Record<string, unknown>): Made {
    const names = (payload['identifiers'] as { type: string; value: string }[]).map(({ value }) => value);
    this.log.push(`newOrder ${names.join(' ')}`);
    if (this.mischief.rateLimited !== undefined)
      throw new Refused(429, 'rateLimited', 'too many certificates for this name', this.mischief.rateLimited);
    this.orders.push(names);
    const looksLeft = this.mischief.slowProofs ?? 0;
    const authorizations = names.map((name) => ({
      name,
      token: randomBytes(24).toString('base64url'),
      status: 'pending' as const,
      looksLeft,
    }));
    const order: Order = { names, account, status: 'pending', authorizations };
    this.#orders.push(order);
    return { status: 201, headers: { location: `${this.base}/order/${this.#orders.length - 1}` }, body: this.#shown(order) };
  }

  #shown(order: Order): unknown {
    const at = this.#orders.indexOf(order);
    if (order.status === 'pending' && order.authorizations.every(({ status }) => status === 'valid')) order.status = 'ready';
    return {
      status: order.status,
      authorizations: order.authorizations.map((_, i) => `${this.base}/authorization/${at}/${i}`),
      finalize: `${this.base}/finalize/${at}`,
      ...(order.chain !== undefined && { certificate: `${this.base}/certificate/${at}` }),
    };
  }

  #shownAuthorization(order: Order, i: number): unknown {
    const { name, token, status, error, ...rest } = order.authorizations[i] as Authorization;
    const isDecided = rest.looksLeft <= 0;
    (order.authorizations[i] as Authorization).looksLeft -= status === 'pending' ? 0 : 1;
    const url = `${this.base}/challenge/${this.#orders.indexOf(order)}/${i}`;
    return {
      status: isDecided ? status : 'pending',
      identifier: { type: 'dns', value: name },
      challenges: [
        { type: 'dns-01', url: `${url}/dns`, token, status: 'pending' },
        { type: 'http-01', url, token, status, ...(error !== undefined && { error }) },
      ],
    };
  }

  async #challenge(order: Order, i: number): Promise<Made> {
    const authorization = order.authorizations[i] as Authorization;
    const { name, token } = authorization;
    const expected = `${token}.${this.#keys.get(order.account)?.thumbprint}`;
    const found = await fetched(this.challengePort, name, `/.well-known/acme-challenge/${token}`);
    this.log.push(`proof of ${name}: ${found}`);
    authorization.status = found.trimEnd() === expected ? 'valid' : 'invalid';
    if (authorization.status === 'invalid') {
      order.status = 'invalid';
      authorization.error = { type: 'urn:ietf:params:acme:error:unauthorized', detail: `found ${found.slice(0, 80)}` };
    }
    return { status: 200, body: { type: 'http-01', status: 'processing', token } };
  }

  #finalize(order: Order, payload: Record<string, unknown>): Made {
    this.#shown(order);
    if (order.status !== 'ready') throw new Refused(403, 'orderNotReady', 'not every name was proven');
    const asked = readRequest(Buffer.from(String(payload['csr']), 'base64url'));
    if (asked === undefined || asked.names.join() !== order.names.join())
      throw new Refused(400, 'badCSR', 'the request is for other names');
    const { wrongName, ageMs = 60_000, lifeMs = 90 * 86_400_000 } = this.mischief;
    const fromMs = Date.now() - ageMs;
    const names = wrongName === undefined ? order.names : [wrongName];
    order.chain = this.#authority.issue(names, asked.publicKey, new Date(fromMs), new Date(fromMs + lifeMs));
    order.status = 'valid';
    return { status: 200, body: this.#shown(order) };
  }
}

function keyOf(jwk: webcrypto.JsonWebKey): { readonly key: KeyObject; readonly thumbprint: string } {
  const { crv, kty, x, y } = jwk;
  const thumbprint = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  return { key: createPublicKey({ key: jwk, format: 'jwk' }), thumbprint };
}

/** The body, or what went wrong. */
function fetched(port: number, host: string, path: string): Promise<string> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path, headers: { host }, timeout: 5000 }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () => resolve(response.statusCode === 200 ? Buffer.concat(pieces).toString() : `status ${response.statusCode}`));
    });
    asked.on('error', (error) => resolve(error.message));
    asked.end();
  });
}
