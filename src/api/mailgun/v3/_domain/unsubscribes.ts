/** /v3/{domain}/unsubscribes and /v3/{domain}/unsubscribes/{address}. */
import { UNSUBSCRIBES, suppressionEndpoints } from '#api/conventions/suppressions.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';

export function unsubscribes(door: Door): Endpoint[] {
  return suppressionEndpoints(door, UNSUBSCRIBES);
}
