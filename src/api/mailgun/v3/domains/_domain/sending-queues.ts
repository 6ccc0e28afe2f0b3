/** GET /v3/domains/{domain}/sending_queues: whether mail of the domain flows. */
import { json } from '#api/conventions/answer.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { sendingQueues } from '#api/shapes/domains.ts';

export function sendingQueueStatus(door: Door): Endpoint {
  return {
    method: 'GET',
    url: '/v3/domains/:domain/sending_queues',
    summary: 'Whether mail of the domain flows',
    right: 'read',
    answer: sendingQueues,
    async handle(call) {
      const domain = await domainOf(door, call);
      const isDisabled = domain.state === 'disabled';
      // `until` is left out: SDKs parse it as a date, and there is no such time.
      const queue = { is_disabled: isDisabled, disabled: { reason: isDisabled ? 'The domain is disabled' : '' } };
      return json({ regular: queue, scheduled: queue });
    },
  };
}
