import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventFilter, EventPosition, EventView } from '#store/store.ts';
import { readEventQuery, readToken, runEventQuery } from './query.ts';

/** Rows 1, 2, 3 … in order of time, each with its number as the subject; what was asked is kept. */
function rows(count: number) {
  const all = Array.from({ length: count }, (_, i) => ({
    event: { id: i + 1, atUs: i + 1, kind: 'accepted' },
    message: { info: { subject: String(i + 1) } },
  })) as unknown as EventView[];
  const asked: EventFilter[] = [];
  return {
    asked,
    list: (filter: EventFilter, order: string, after: EventPosition | undefined, limit: number): Promise<EventView[]> => {
      asked.push(filter);
      const ordered = order === 'ascending' ? all : all.toReversed();
      const from =
        after === undefined ? 0 : ordered.findIndex(({ event }) => (order === 'ascending' ? event.id > after.id : event.id < after.id));
      return Promise.resolve(from === -1 ? [] : ordered.slice(from, from + limit));
    },
  };
}

const BOUNDS = { accountId: 1, domainId: 2 };
const query = (parameters: Record<string, string>) => readEventQuery((name) => (parameters[name] === undefined ? [] : [parameters[name]]));

test('a page looks at a bounded number of rows, and its next goes on where it stopped looking', async () => {
  const store = rows(1000);
  let page = await runEventQuery(store, BOUNDS, { query: query({ ascending: 'yes', subject: '950' }), isBack: false }, 300);
  assert.deepEqual(page.items, []);
  for (let turns = 0; page.items.length === 0 && turns < 4; turns++)
    page = await runEventQuery(store, BOUNDS, readToken(page.paging.next), 300);
  assert.deepEqual(
    page.items.map(({ event }) => event.id),
    [950],
  );
});

test('one recipient, one Message-ID, one tag and the kinds are asked of the store, and cost no looking', async () => {
  const store = rows(10);
  await runEventQuery(
    store,
    BOUNDS,
    {
      query: query({ recipient: 'Bob@Example.NET', 'message-id': '<m@x>', tags: 'News', event: 'failed', severity: 'temporary' }),
      isBack: false,
    },
    300,
  );
  assert.deepEqual(store.asked, [
    { ...BOUNDS, beginUs: undefined, endUs: undefined, kinds: ['deferred'], recipient: 'Bob@example.net', messageId: 'm@x', tag: 'News' },
  ]);
});

test('times are Unix seconds with a fraction, RFC 2822 and ISO 8601; a time without a zone is UTC', () => {
  const us = Date.UTC(2026, 0, 2, 3, 4, 5) * 1000;
  for (const text of [
    '1767323045',
    '1767323045.0',
    'Fri, 2 Jan 2026 03:04:05 GMT',
    '02 Jan 2026 04:04:05 +0100',
    'Fri, 2 Jan 2026 03:04:05 UTC',
    '2026-01-02T03:04:05Z',
    '2026-01-02 03:04:05',
  ]) {
    assert.equal(query({ begin: text, ascending: 'yes' }).beginUs, us, text);
  }
  assert.equal(query({ begin: '1767323045.123456', ascending: 'yes' }).beginUs, us + 123_456);
});

test('the direction follows from begin, end and ascending', () => {
  const directed = (parameters: Record<string, string>): unknown[] => {
    const { order, beginUs, endUs } = query(parameters);
    return [order, beginUs, endUs];
  };
  assert.deepEqual(directed({}), ['descending', undefined, undefined]);
  assert.deepEqual(directed({ begin: '1', end: '2' }), ['ascending', 1e6, 2e6]);
  assert.deepEqual(directed({ begin: '2', end: '1' }), ['descending', 2e6, 1e6]);
  assert.deepEqual(directed({ begin: '1', ascending: 'yes' }), ['ascending', 1e6, undefined]);
  assert.deepEqual(directed({ begin: '1', ascending: 'no' }), ['descending', 1e6, undefined]);
  // Since then, newest first.
  assert.deepEqual(directed({ begin: '1' }), ['descending', undefined, 1e6]);
  assert.throws(() => directed({ begin: '2', end: '1', ascending: 'yes' }), /contradicts/);
});

test('a token with anything strange in it is refused', () => {
  const token = (data: unknown): string => Buffer.from(JSON.stringify(data)).toString('base64url');
  assert.equal(readToken(token([1, null, null, 100, [], null, 0])).query.order, 'ascending');
  for (const data of [
    null,
    {},
    [],
    [1, 'x', null, 100, [], null, 0],
    [1, null, null, -1, [], null, 0],
    [1, null, null, 1, [['password', 'x']], null, 0],
    [1, null, null, 1, [], [1], 0],
  ]) {
    assert.throws(() => readToken(token(data)), /'page' parameter/, JSON.stringify(data));
  }
});
