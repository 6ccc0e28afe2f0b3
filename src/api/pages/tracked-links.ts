/**
 * Where links and pixels of mail lead: GET /c/{token} goes on to the link's target, GET /o/{token} answers with a picture of one pixel. No key: the token is the authority, and what it
 * says was signed by us, so nobody is sent to where another wrote. A token that is not ours is not found, and never leads anywhere.
 *
 * The answer waits for nothing: what is to be written down is noted beside it. It works while the store is away, and for mail that was deleted.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BoundedCache } from '#base/bounded-cache.ts';
import { TokenBucket } from '#base/token-bucket.ts';
import type { TrackedCopy } from '#tracking/link-tokens.ts';
import type { TrackedVisit } from '#tracking/recorder.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { ApiTracking } from '#api/deps.ts';
import { send } from '#api/endpoint.ts';
import type { Door } from '#api/endpoint.ts';

const PIXEL = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
const HEADERS = {
  'cache-control': 'no-store, no-cache, must-revalidate, private, max-age=0',
  'referrer-policy': 'no-referrer',
  'x-robots-tag': 'noindex, nofollow, noarchive',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};
const TEXT = 'text/plain; charset=utf-8';

/** Tokens that are none, from one address: so many at once, then one a second. */
const WRONG_MAX = 120;
const ADDRESSES_MAX = 20_000;

export function mountTrackedLinks(app: FastifyInstance, door: Door, tracking: ApiTracking): void {
  const wrong = new BoundedCache<string, TokenBucket>({ max: ADDRESSES_MAX });

  /** Not found; or, of who tries many, not even that. */
  function notOurs(address: string): Answer {
    const nowMs = door.deps.clock.monotonicMs();
    let bucket = wrong.get(address, nowMs);
    if (bucket === undefined) {
      bucket = new TokenBucket(1, 1000, WRONG_MAX, nowMs);
      wrong.set(address, bucket, nowMs);
    }
    return bucket.take(1, nowMs)
      ? { status: 404, body: 'This link is not known here.\n', contentType: TEXT, headers: HEADERS }
      : { status: 429, body: 'Too many wrong links.\n', contentType: TEXT, headers: { ...HEADERS, 'retry-after': '60' } };
  }

  const serve = (url: string, answer: (token: string, request: FastifyRequest) => Answer): void => {
    const handler = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
      const made = answer((request.params as { readonly token?: string }).token ?? '', request);
      door.counters.answered(request.method, made.status);
      return send(reply, made);
    };
    app.route({ method: ['GET', 'HEAD'], url, handler });
  };
  const visitOf = (kind: TrackedVisit['kind'], copy: TrackedCopy, request: FastifyRequest): TrackedVisit => ({
    kind,
    copy,
    method: request.method,
    ip: door.addressOf(request.raw),
    userAgent: request.headers['user-agent'] ?? '',
    isPrefetch: isPrefetch(request),
  });

  serve('/c/:token', (token, request) => {
    const link = tracking.openLink(token);
    const target = link === undefined ? null : URL.parse(link.target);
    if (link === undefined || target === null || !/^https?:$/.test(target.protocol)) return notOurs(door.addressOf(request.raw));
    tracking.note({ ...visitOf('clicked', link, request), url: link.target });
    return { status: 302, body: '', contentType: TEXT, headers: { ...HEADERS, location: target.href } };
  });
  serve('/o/:token', (token, request) => {
    const copy = tracking.openPixel(token);
    if (copy === undefined) return notOurs(door.addressOf(request.raw));
    tracking.note(visitOf('opened', copy, request));
    return { status: 200, body: PIXEL, contentType: 'image/gif', headers: { ...HEADERS, 'cross-origin-resource-policy': 'cross-origin' } };
  });
}

/** Sec-Purpose (Fetch Standard) and what came before it. */
function isPrefetch({ headers }: FastifyRequest): boolean {
  const said = [headers['sec-purpose'], headers['purpose'], headers['x-purpose'], headers['x-moz']].flat();
  return said.some((value) => /prefetch|prerender|preview/i.test(value ?? ''));
}
