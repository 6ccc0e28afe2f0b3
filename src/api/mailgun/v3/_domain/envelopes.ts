/** DELETE /v3/{domain}/envelopes: takes back scheduled mail and what is not being delivered this moment. */
import { json } from '#api/conventions/answer.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';

export function deleteEnvelopes(door: Door): Endpoint {
  return {
    method: 'DELETE',
    url: '/v3/:domain/envelopes',
    summary: 'Delete scheduled and undelivered mail',
    right: 'write',
    answer: messageAnswer,
    async handle(call) {
      const domain = await domainOf(door, call, 'domain not found');
      await door.deps.store.mail.cancel(domain.accountId, domain.id, undefined, door.deps.clock.nowMs());
      return json({ message: 'done' });
    },
  };
}
