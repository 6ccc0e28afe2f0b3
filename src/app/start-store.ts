/** The store from the settings: opened, waited for when it is not there yet, closed last, and watched meanwhile: that it is lost and that it is back is told once each. */
import type { Log } from '#base/log.ts';
import { systemClock } from '#base/clock.ts';
import { type OpenedStore, type StoreOptions, openStore } from '#store/open.ts';
import type { NodeFacts, Store } from '#store/store.ts';
import { storePlace } from '#store/store-url.ts';
import type { Config } from './config.ts';
import type { Services } from './services.ts';

const CLOSE_MS = 10_000;
const LOOK_MS = 250;

/** What every opening of it needs, a server's or a tool's. */
export function storeOptions(config: Config): Pick<StoreOptions, 'url' | 'passwordFile' | 'connections' | 'leaseMs'> {
  const { url, passwordFile, connections, leaseMs } = config.store;
  return { url, connections, leaseMs, ...(passwordFile !== undefined && { passwordFile }) };
}

export async function startStore(
  config: Config,
  log: Log,
  services: Services,
  node: NodeFacts,
  onFatal: (error: Error) => void,
): Promise<OpenedStore> {
  let isWaiting = false;
  const store = await openStore({
    ...storeOptions(config),
    mode: 'server',
    directory: config.data,
    // A shared one goes by the clock of the database.
    ...(storePlace(config.store.url).kind === 'sqlite' && { nowMs: systemClock.nowMs() }),
    node,
    onFatal,
    waitMs: config.store.startTimeoutMs,
    onWait(why) {
      isWaiting = true;
      log.warn({ why, forMs: config.store.startTimeoutMs }, 'waiting for the database');
    },
  });
  if (isWaiting) log.info({}, 'the database is there');
  const watch = watchStore(store, log);
  services.add({
    name: 'store',
    stopMs: CLOSE_MS,
    stop() {
      clearInterval(watch);
      return store.close();
    },
  });
  return store;
}

export function watchStore(store: Pick<Store, 'health'>, log: Log, everyMs = LOOK_MS): NodeJS.Timeout {
  let lostAtMs: number | undefined;
  return setInterval(() => {
    const { isWritable, isFull, trouble } = store.health();
    if (!isWritable && lostAtMs === undefined) {
      lostAtMs = systemClock.monotonicMs();
      log.error(
        { trouble: trouble ?? (isFull ? 'space is short' : 'unknown') },
        'the store cannot be written: new mail is put off until it can; nothing that was accepted is lost',
      );
    } else if (isWritable && lostAtMs !== undefined) {
      log.info({ afterMs: Math.round(systemClock.monotonicMs() - lostAtMs) }, 'the store can be written again');
      lostAtMs = undefined;
    }
  }, everyMs);
}
