/** /v1/webhook_endpoints: how the servers fare that the account's webhooks go to. */
import type { PostEndpoint } from '#store/post-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { endpointList } from '#api/shapes/webhook-posts.ts';

const SHOWN_MAX = 1000;

export function webhookEndpoints(door: Door): Endpoint {
  const { store, clock } = door.deps;
  return {
    method: 'GET',
    url: '/v1/webhook_endpoints',
    summary: 'Servers that webhooks go to: how they fare, and what waits for them',
    right: 'read',
    answer: endpointList,
    async handle({ principal }) {
      const nowMs = clock.nowMs();
      return json({ items: (await store.outbox.postEndpoints(principal.accountId, nowMs, SHOWN_MAX)).map(shown) });
    },
  };
}

function shown(each: PostEndpoint): object {
  const { endpoint, waiting, nextMs, last, sinceMs } = each;
  const iso = (ms: number): string => new Date(ms).toISOString();
  return {
    endpoint,
    state: stateOf(each),
    ...(sinceMs !== undefined && { since: iso(sinceMs) }),
    ...(last !== undefined && { last_at: iso(last.atMs) }),
    ...(last?.status !== undefined && { last_status: last.status }),
    ...(last !== undefined && last.error !== '' && { last_error: last.error }),
    waiting,
    ...(nextMs !== undefined && { next_at: iso(nextMs) }),
  };
}

/** paused: it failed several times in a row, and is left alone for a while. */
function stateOf({ last, pausedUntilMs }: PostEndpoint): 'well' | 'failing' | 'paused' | 'unknown' {
  if (pausedUntilMs !== undefined) return 'paused';
  if (last === undefined) return 'unknown';
  return last.result === 'done' ? 'well' : 'failing';
}
