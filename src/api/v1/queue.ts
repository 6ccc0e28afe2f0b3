/** GET /v1/queue: the lanes of this node and the depth of the queue by receiving domain. It belongs to the whole installation: for admin keys. */
import { json } from '#api/conventions/answer.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { queueAnswer } from '#api/shapes/messages.ts';

const DOMAINS_MAX = 500;

export function queue(door: Door): Endpoint {
  return {
    method: 'GET',
    url: '/v1/queue',
    summary: 'Lanes and queue depth',
    right: 'operate',
    answer: queueAnswer,
    async handle() {
      const { store, clock, queueByDomain = (limit: number) => store.events.queueByDomain(clock.nowMs(), limit) } = door.deps;
      const [depth, domains] = await Promise.all([store.events.queueDepth(), queueByDomain(DOMAINS_MAX)]);
      return json({ ...depth, lanes: door.deps.laneReport(), domains });
    },
  };
}
