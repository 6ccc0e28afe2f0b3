/**
 * GET /v3/{domain}/events, and its pages. The token stands in the path and in `?page=`: some SDKs follow the URL, some take what is
 * behind the last slash, with `?page=` and all, as one part of a path, some copy the query.
 */
import { mailgunEvent } from '#events/mailgun-json.ts';
import { readEventQuery, readToken, runEventQuery } from '#events/query.ts';
import type { PageRequest } from '#events/query.ts';
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { requiredDomain } from '#api/conventions/tenant.ts';
import { eventUrls } from '#api/conventions/urls.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { eventQuery, eventsAnswer } from '#api/shapes/events.ts';

export function listEvents(door: Door): Endpoint {
  return {
    method: 'GET',
    url: '/v3/:domain/events',
    summary: 'List what happened to messages',
    right: 'read',
    query: eventQuery,
    answer: eventsAnswer,
    handle: (call) => answer(door, call, call.query.get('page')),
  };
}

export function eventsPage(door: Door): Endpoint {
  return {
    method: 'GET',
    url: '/v3/:domain/events/:token',
    summary: 'One page of events, by its token',
    right: 'read',
    answer: eventsAnswer,
    handle: (call) => answer(door, call, call.param('token').split('?')[0]),
  };
}

async function answer(door: Door, call: Call, token: string | undefined): Promise<Answer> {
  const name = call.param('domain');
  const domain = await requiredDomain(door.deps.accounts, call.principal, name, `Domain not found: ${name.slice(0, 253)}`);
  // A token carries its whole query; SDKs send the old parameters beside it.
  const page: PageRequest =
    token === undefined ? { query: readEventQuery((name) => call.query.all(name)), isBack: false } : readToken(token);
  const bounds = { accountId: domain.accountId, domainId: domain.id };
  const { items, paging } = await runEventQuery(door.deps.store.events, bounds, page, door.limits.eventScanRows);
  const urls = eventUrls(call.publicUrl);
  const url = (token: string): string => `${call.publicUrl}/v3/${domain.name}/events/${token}?page=${token}`;
  return json({
    items: items.map((view) => mailgunEvent(view, urls)),
    paging: { next: url(paging.next), previous: url(paging.previous), first: url(paging.first), last: url(paging.last) },
  });
}
