import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { silentLog } from '#base/log.ts';
import type { Settlement } from '#store/store.ts';
import { ZeroContent } from './zero-content.ts';

/** Messages whose content the store was asked to take, in order. */
let asked: number[];
/** Messages that have recipients left. */
let open: Set<number>;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  asked = [];
  open = new Set();
});
afterEach(() => mock.timers.reset());

function zeroContent(wantsNone = true): ZeroContent {
  return new ZeroContent({
    mail: {
      deleteContent: async (_account, message) => {
        asked.push(message);
        return !open.has(message);
      },
    },
    wantsNone: async () => wantsNone,
    log: silentLog,
  });
}

const settled = (message: number, ending: Settlement['ending'] = 'delivered'): Settlement =>
  ({ accountId: 1, domainId: 1, message, ...(ending !== undefined && { ending }) }) as unknown as Settlement;

test('the content goes when its only recipient is settled, and is not asked for again', async () => {
  const content = zeroContent();
  content.settled(settled(1));
  await turn();
  mock.timers.tick(700_000);
  await turn();
  assert.deepEqual(asked, [1]);
});

test('of a message with recipients left it is asked again after twice the time each, however many are settled meanwhile', async () => {
  const content = zeroContent();
  open.add(1);
  for (let i = 0; i < 100; i++) content.settled(settled(1));
  await turn();
  assert.deepEqual(asked, [1]);
  for (const [elapsedMs, times] of [
    [1000, 2],
    [1000, 2],
    [1000, 3],
  ] as const) {
    mock.timers.tick(elapsedMs);
    content.settled(settled(1));
    await turn();
    assert.equal(asked.length, times);
  }
  open.delete(1);
  mock.timers.tick(4000);
  await turn();
  mock.timers.tick(700_000);
  await turn();
  assert.equal(asked.length, 4);
});

test('mail of domains that keep contents, and what is only deferred, is let be', async () => {
  zeroContent(false).settled(settled(1));
  zeroContent().settled({ ...settled(2), ending: undefined } as unknown as Settlement);
  await turn();
  assert.deepEqual(asked, []);
});

test('a stop ends every wait', async () => {
  const content = zeroContent();
  open.add(1);
  content.settled(settled(1));
  await turn();
  content.stop();
  mock.timers.tick(700_000);
  content.settled(settled(3));
  await turn();
  assert.deepEqual(asked, [1]);
});
