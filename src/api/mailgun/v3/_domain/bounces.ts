/** /v3/{domain}/bounces and /v3/{domain}/bounces/{address}. */
import { BOUNCES, suppressionEndpoints } from '#api/conventions/suppressions.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';

export function bounces(door: Door): Endpoint[] {
  return suppressionEndpoints(door, BOUNCES);
}
