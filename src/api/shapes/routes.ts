/** Shapes of the route endpoints, for openapi.json. */
import { z } from 'zod';

const facts = {
  id: z.string(),
  priority: z.number(),
  description: z.string(),
  expression: z.string(),
  actions: z.array(z.string()),
  created_at: z.string(),
};

const route = z.object(facts);
const list = z.union([z.string(), z.array(z.string())]);
const expression = z.string().describe('match_recipient("pattern"), match_header("name", "pattern"), catch_all(), with and, or, not');
const action = list.describe('forward("…"), store(), store(notify="…"), stop(); repeated');

export const routesQuery = z.object({ skip: z.string().optional(), limit: z.string().optional().describe('At most 1000') });
export const matchQuery = z.object({ address: z.string() });

export const routeForm = z.object({
  priority: z.string().optional().describe('0, which it is unless it says otherwise, goes first'),
  description: z.string().optional(),
  expression,
  action,
});

export const routeChangeForm = z.object({
  priority: z.string().optional(),
  description: z.string().optional(),
  expression: expression.optional(),
  action: action.optional(),
});

export const routeAnswer = z.object({ route });
export const routeMade = z.object({ message: z.string(), route });
export const routeChanged = z.object({ ...facts, message: z.string(), route });
export const routeDeleted = z.object({ message: z.string(), id: z.string() });
export const routeList = z.object({ total_count: z.number(), items: z.array(route) });
