/** The store that the tests of one suite share: opened before the first of them, closed after the last. Called inside the suite's `describe`. */
import { after, before } from 'node:test';
import type { Store } from '#store/store.ts';
import type { Open, Opened } from './tenant.ts';

export function suiteOpened(open: Open): () => Opened {
  let opened: Opened;
  before(async () => {
    opened = await open();
  });
  after(() => opened.store.close());
  return () => opened;
}

export function suiteStore(open: Open): () => Store {
  const opened = suiteOpened(open);
  return () => opened().store;
}
