import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldClock } from '#base/clock.ts';
import { AppError } from '#model/errors.ts';
import type { Route } from '#store/route-store.ts';
import { RouteBook } from './route-book.ts';

function route(n: number, change: Partial<Route> = {}): Route {
  return {
    id: String(n),
    accountId: 1,
    priority: n,
    description: '',
    expression: 'catch_all()',
    actions: ['stop()'],
    createdMs: 0,
    ...change,
  };
}

function bookOf(rows: Route[]): { book: RouteBook; clock: HeldClock; reads: () => number } {
  const clock = new HeldClock(0);
  let reads = 0;
  const listRoutes = async (_account: number, skip: number, limit: number): Promise<Route[]> => {
    if (skip === 0) reads++;
    return rows.slice(skip, skip + limit);
  };
  return { book: new RouteBook({ listRoutes, listForwards: async () => [] }, clock), clock, reads: () => reads };
}

test('rules are read once for a moment, however many ask, and again after a change here', async () => {
  const rows = Array.from({ length: 450 }, (_, n) => route(n));
  const { book, reads } = bookOf(rows);
  const [first, second] = await Promise.all([book.rulesOf(1, 1), book.rulesOf(1, 2)]);
  assert.deepEqual([first.routes.length, second.routes.length, reads()], [450, 450, 1]);
  rows.length = 1;
  assert.equal((await book.rulesOf(1, 1)).routes.length, 450);
  book.forget(1);
  assert.equal((await book.rulesOf(1, 1)).routes.length, 1);
});

test('a change elsewhere holds after a moment', async () => {
  const rows = [route(1)];
  const { book, clock } = bookOf(rows);
  await book.rulesOf(1, 1);
  rows.push(route(2));
  clock.advance(1501);
  assert.equal((await book.rulesOf(1, 1)).routes.length, 2);
});

test('a rule that cannot be read is passed by', async () => {
  const { book } = bookOf([route(1, { expression: 'eval()' }), route(2, { actions: ['drop()'] }), route(3)]);
  assert.deepEqual(
    (await book.rulesOf(1, 1)).routes.map(({ id }) => id),
    ['3'],
  );
});

test('mail is put off where the rules are too many to be looked through', async () => {
  const { book, reads } = bookOf(
    Array.from({ length: 600 }, (_, n) =>
      route(n, { actions: Array.from({ length: 32 }, () => `forward("${'a'.repeat(400)}@b.example")`) }),
    ),
  );
  for (let i = 0; i < 3; i++) await assert.rejects(book.rulesOf(1, 1), (error) => error instanceof AppError && error.smtpCode === 451);
  assert.equal(reads(), 1);
});

test('what is changed while many rules are being read holds for whoever asks after it, and is remembered', async () => {
  const expression = Array.from({ length: 100 }, (_, n) => `match_recipient("user${n}@a\\.example")`).join(' or ');
  const rows = Array.from({ length: 60 }, (_, n) => route(n, { expression }));
  const { book, reads } = bookOf(rows);
  const before = book.rulesOf(1, 1);
  // By then the rows are there, and what they say is being made out in slices.
  await new Promise(setImmediate);
  rows.length = 1;
  book.forget(1);
  const after = book.rulesOf(1, 1);
  assert.equal((await after).routes.length, 1);
  await before;
  assert.deepEqual([(await book.rulesOf(1, 1)).routes.length, reads()], [1, 2]);
});

test('who changes rules again and again holds up nobody else', async () => {
  let pages = 0;
  const listRoutes = async (_account: number, skip: number): Promise<Route[]> => {
    assert.ok(++pages <= 3, 'it is read again');
    book.forget(2);
    return Array.from({ length: skip === 400 ? 50 : 200 }, (_, n) => route(skip + n));
  };
  const book = new RouteBook({ listRoutes, listForwards: async () => [] }, new HeldClock(0));
  assert.equal((await book.rulesOf(1, 1)).routes.length, 450);
  book.forget(2);
  assert.equal((await book.rulesOf(1, 1)).routes.length, 450);
});
