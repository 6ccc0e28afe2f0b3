import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterEach, test } from 'node:test';
import { LargeAnswers } from './large-answers.ts';

const MB = 1_000_000;
const LARGE = 10 * MB;

class Response extends EventEmitter {
  closed = false;
  destroyed = false;

  destroy(): void {
    this.closed = true;
    this.destroyed = true;
    this.emit('close');
  }
}

const open: Response[] = [];

function response(): Response & ServerResponse {
  const made = new Response();
  open.push(made);
  return made as Response & ServerResponse;
}

afterEach(() => {
  for (const each of open.splice(0)) each.destroy();
});

/** After what is decided already. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  const later = new Promise((resolve) => setImmediate(resolve, 'later'));
  return (await Promise.race([promise.then(() => 'done'), later])) === 'done';
}

test('an account has half of the places, and gets the next one when an answer is out', async () => {
  const answers = new LargeAnswers(4 * LARGE, LARGE);
  const first = response();
  await answers.hold(1, LARGE, first);
  await answers.hold(1, LARGE, response());
  const third = answers.hold(1, LARGE, response());
  assert.equal(await isDone(third), false);
  await answers.hold(2, LARGE, response());
  first.destroy();
  await third;
  assert.equal(answers.usedBytes, 3 * LARGE);
});

test('small answers need no place, and nothing is remembered of accounts whose answers are out', async () => {
  const answers = new LargeAnswers(LARGE, LARGE);
  const one = response();
  await answers.hold(1, LARGE, one);
  await answers.hold(2, 1000, response());
  one.destroy();
  assert.equal(answers.usedBytes, 0);
  assert.equal(answers.accountCount, 0);
});

test('who was gone before there was a place keeps none', async () => {
  const answers = new LargeAnswers(LARGE, LARGE);
  const gone = response();
  gone.destroy();
  await assert.rejects(answers.hold(1, LARGE, gone));
  assert.equal(answers.usedBytes, 0);
});

test('an answer that is not read ends after a minute when another waits for its place', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const answers = new LargeAnswers(LARGE, LARGE);
  const unread = response();
  await answers.hold(1, LARGE, unread);
  t.mock.timers.tick(70_000);
  assert.equal(unread.destroyed, false, 'nobody waits');
  const other = answers.hold(2, LARGE, response());
  await isDone(other);
  t.mock.timers.tick(1000);
  assert.equal(unread.destroyed, true);
  await other;
});
