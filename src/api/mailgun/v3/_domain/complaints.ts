/** /v3/{domain}/complaints and /v3/{domain}/complaints/{address}. */
import { COMPLAINTS, suppressionEndpoints } from '#api/conventions/suppressions.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';

export function complaints(door: Door): Endpoint[] {
  return suppressionEndpoints(door, COMPLAINTS);
}
