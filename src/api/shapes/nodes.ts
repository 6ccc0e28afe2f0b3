/** Shapes of /v1/nodes, as the description of the API tells them. */
import { z } from 'zod';

const node = z.object({
  id: z.number().describe('Given anew at each start'),
  name: z.string(),
  version: z.string(),
  services: z.array(z.string()),
  sources: z.array(z.string()).describe('Egress sources'),
  state: z.enum(['running', 'draining', 'drained', 'stopped', 'lost']),
  startedMs: z.number(),
  seenMs: z.number().describe('Last beat, by the clock of the store'),
  silentMs: z.number().describe('Since the last beat; one that is silent for a lease is given up as lost'),
  leased: z.number().describe('Recipients that it has in work'),
});

export const nodeList = z.object({ items: z.array(node) });
export const nodeAsked = z.object({ message: z.string() });
