/** /v3/routes: what the account wants done with mail that comes in. Rules are checked when they are stored; `match` tells which one an address meets first. */
import { randomHex } from '#base/random.ts';
import { parsePath } from '#mail/address.ts';
import { AppError, badParameter } from '#model/errors.ts';
import { parseAction } from '#routes/action.ts';
import { MatchingWork } from '#routes/matching-work.ts';
import { type Expression, matchesExpression, parseExpression } from '#routes/expression.ts';
import type { Route, RouteChange } from '#store/route-store.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { gmtDate } from '#api/conventions/dates.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { fieldsOf, wholeNumber } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import {
  matchQuery,
  routeAnswer,
  routeChanged,
  routeChangeForm,
  routeDeleted,
  routeForm,
  routeList,
  routeMade,
  routesQuery,
} from '#api/shapes/routes.ts';

const ROUTES_MAX = 5000;
const ACTIONS_MAX = 32;
const DESCRIPTION_MAX = 1000;
const PRIORITY_MAX = 1_000_000_000;
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const NOT_FOUND = 'Route not found';

export function routes(door: Door): Endpoint[] {
  const url = '/v3/routes';
  return [
    {
      method: 'GET',
      url,
      summary: 'List routes',
      right: 'read',
      query: routesQuery,
      answer: routeList,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url,
      summary: 'Add a route',
      right: 'write',
      form: routeForm,
      answer: routeMade,
      handle: (call) => create(door, call),
    },
    {
      method: 'GET',
      url: `${url}/match`,
      summary: 'The route that an address meets first',
      right: 'read',
      query: matchQuery,
      answer: routeAnswer,
      handle: (call) => match(door, call),
    },
    { method: 'GET', url: `${url}/:id`, summary: 'One route', right: 'read', answer: routeAnswer, handle: (call) => one(door, call) },
    {
      method: 'PUT',
      url: `${url}/:id`,
      summary: 'Change a route',
      right: 'write',
      form: routeChangeForm,
      answer: routeChanged,
      handle: (call) => update(door, call),
    },
    {
      method: 'DELETE',
      url: `${url}/:id`,
      summary: 'Delete a route',
      right: 'write',
      answer: routeDeleted,
      handle: (call) => remove(door, call),
    },
  ];
}

function shown({ id, priority, description, expression, actions, createdMs }: Route): object {
  return { id, priority, description, expression, actions, created_at: gmtDate(createdMs) };
}

/** What the request says; everything in it is checked. */
function changeOf(call: Call): RouteChange {
  const { form } = call.body;
  const priority = wholeNumber(fieldsOf(call), 'priority', 0, PRIORITY_MAX);
  const description = form.get('description');
  const expression = form.get('expression')?.trim();
  const actions = form.all('action').map((action) => action.trim());
  if (description !== undefined && (description.length > DESCRIPTION_MAX || /[\u0000-\u001f\u007f]/.test(description))) {
    throw badParameter(`description parameter is one line of at most ${DESCRIPTION_MAX} characters`);
  }
  if (actions.length > ACTIONS_MAX) throw badParameter(`too many actions, max is ${ACTIONS_MAX}`);
  if (expression !== undefined) checked('expression', expression, parseExpression);
  for (const action of actions) checked('action', action, parseAction);
  return {
    ...(priority !== undefined && { priority }),
    ...(description !== undefined && { description }),
    ...(expression !== undefined && { expression }),
    ...(actions.length > 0 && { actions }),
  };
}

function checked(field: string, text: string, parse: (text: string) => unknown): void {
  try {
    parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw badParameter(`${field} parameter is not valid: ${error.message}`);
  }
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { accountId } = call.principal;
  const fields = fieldsOf(call);
  if (Number(fields.get('limit')) > LIMIT_MAX) throw badParameter(`The 'limit' parameter can't be larger than ${LIMIT_MAX}`);
  const limit = wholeNumber(fields, 'limit', 0, LIMIT_MAX) ?? LIMIT_DEFAULT;
  const skip = wholeNumber(fields, 'skip', 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const { routes: kept } = door.deps.store;
  const [total, items] = await Promise.all([kept.countRoutes(accountId), kept.listRoutes(accountId, skip, limit)]);
  return json({ total_count: total, items: items.map(shown) });
}

async function create(door: Door, call: Call): Promise<Answer> {
  const { priority = 0, description = '', expression, actions } = changeOf(call);
  if (expression === undefined) throw badParameter('expression parameter is missing');
  if (actions === undefined) throw badParameter('action parameter is missing');
  const route: Route = {
    id: randomHex(12),
    accountId: call.principal.accountId,
    priority,
    description,
    expression,
    actions,
    createdMs: door.deps.clock.nowMs(),
  };
  if (!(await door.deps.store.routes.createRoute(route, ROUTES_MAX))) throw badParameter(`too many routes, max is ${ROUTES_MAX}`);
  door.deps.routesChanged?.(call.principal.accountId);
  return json({ message: 'Route has been created', route: shown(route) });
}

async function one(door: Door, call: Call): Promise<Answer> {
  const route = await door.deps.store.routes.routeOf(call.principal.accountId, call.param('id').toLowerCase());
  if (route === undefined) throw new NotFound(NOT_FOUND);
  return json({ route: shown(route) });
}

/** Clients read the route beside the message, or inside `route`: it is in both places. */
async function update(door: Door, call: Call): Promise<Answer> {
  const route = await door.deps.store.routes.changeRoute(call.principal.accountId, call.param('id').toLowerCase(), changeOf(call));
  if (route === undefined) throw new NotFound(NOT_FOUND);
  door.deps.routesChanged?.(call.principal.accountId);
  return json({ ...shown(route), message: 'Route has been updated', route: shown(route) });
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const id = call.param('id').toLowerCase();
  if (!(await door.deps.store.routes.deleteRoute(call.principal.accountId, id))) throw new NotFound(NOT_FOUND);
  door.deps.routesChanged?.(call.principal.accountId);
  return json({ message: 'Route has been deleted', id });
}

async function match(door: Door, call: Call): Promise<Answer> {
  const text = call.query.get('address');
  if (text === undefined) throw badParameter('address parameter is missing');
  const recipient = parsePath(text.trim(), { allowNull: false })?.address;
  if (recipient === undefined) throw new AppError('bad-address', { field: 'address' });
  const work = new MatchingWork(() => badParameter('the routes of the account take too long to be matched'));
  for (let skip = 0; ; skip += LIMIT_MAX) {
    const page = await door.deps.store.routes.listRoutes(call.principal.accountId, skip, LIMIT_MAX);
    // Nothing before it matched, so that a route that catches the rest matches too.
    const arrival = { recipient, headers: new Map(), isCaught: false };
    for (const route of page) {
      await work.pause();
      work.spend(route.expression.length >> 2);
      const expression = readExpression(route.expression);
      if (expression !== undefined && matchesExpression(expression, arrival, work.spend)) return json({ route: shown(route) });
    }
    if (page.length < LIMIT_MAX) throw new NotFound(NOT_FOUND);
  }
}

/** Undefined: an older version took it, and this one cannot read it; mail passes it by, too. */
function readExpression(text: string): Expression | undefined {
  try {
    return parseExpression(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
