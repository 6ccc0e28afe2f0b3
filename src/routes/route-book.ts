/**
 * The rules of accounts for mail that comes in, read: routes by account, in the order in which they are tried, and the plain rules of a domain. Asked for each recipient, so the answer comes from memory; what was changed on
 * this node holds at once, on others within `FRESH_MS`. A rule that an older version took and this one cannot read is passed by.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import { InFlight } from '#base/in-flight.ts';
import { AppError } from '#model/errors.ts';
import type { ForwardRule, ForwardStore } from '#store/forward-store.ts';
import type { Route, RouteStore } from '#store/route-store.ts';
import { type Action, parseAction } from './action.ts';
import { type Expression, parseExpression } from './expression.ts';

export interface ReadRoute {
  readonly id: string;
  /** As it was written. */
  readonly text: string;
  readonly expression: Expression;
  readonly actions: readonly Action[];
}

/** What a recipient is asked about. */
export interface Rules {
  /** Of the recipient's domain; they are tried before routes. */
  readonly forwards: readonly ForwardRule[];
  readonly routes: readonly ReadRoute[];
}

/** A domain may have so many plain rules. */
export const FORWARDS_MAX = 1000;
const FORWARD_DOMAINS_MAX = 5000;
const FRESH_MS = 1500;
const PAGE = 200;
/** Some tens of milliseconds. */
const CHARACTERS_PER_TURN = 64 * 1024;
/** Of one account. With more than this its mail is put off: what it wants done cannot be looked through for each message. */
const ACCOUNT_CHARACTERS_MAX = 4 * 1024 * 1024;
/** Characters of rules in memory; what is read of one takes some times that. */
const CHARACTERS_MAX = 16 * 1024 * 1024;

type BookStore = Pick<RouteStore, 'listRoutes'> & Pick<ForwardStore, 'listForwards'>;

export class RouteBook {
  readonly #store: BookStore;
  readonly #clock: Clock;
  readonly #known = new BoundedCache<number, { readonly routes: readonly ReadRoute[] | 'too many'; readonly characters: number }>({
    max: CHARACTERS_MAX,
    ttlMs: FRESH_MS,
    weigh: ({ characters }) => characters,
  });
  readonly #reading = new InFlight<number, readonly ReadRoute[] | 'too many'>();
  /** Of accounts whose routes are being read. */
  readonly #readings = new Map<number, { isOld: boolean }>();
  readonly #forwards = new BoundedCache<number, readonly ForwardRule[]>({ max: FORWARD_DOMAINS_MAX, ttlMs: FRESH_MS });
  readonly #readingForwards = new InFlight<number, readonly ForwardRule[]>();
  /** Of plain rules. */
  #changes = 0;

  constructor(store: BookStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Rejects as the store does. */
  async rulesOf(accountId: number, domainId: number): Promise<Rules> {
    const [forwards, routes] = await Promise.all([this.#forwardsOf(accountId, domainId), this.#routesOf(accountId)]);
    return { forwards, routes };
  }

  async #forwardsOf(accountId: number, domainId: number): Promise<readonly ForwardRule[]> {
    const known = this.#forwards.get(domainId, this.#clock.monotonicMs());
    if (known !== undefined) return known;
    return this.#readingForwards.once(domainId, async () => {
      for (;;) {
        const change = this.#changes;
        const readAtMs = this.#clock.monotonicMs();
        const rules = await this.#store.listForwards(accountId, domainId, 0, FORWARDS_MAX);
        if (change !== this.#changes) continue;
        this.#forwards.set(domainId, rules, readAtMs);
        return rules;
      }
    });
  }

  async #routesOf(accountId: number): Promise<readonly ReadRoute[]> {
    const known = this.#known.get(accountId, this.#clock.monotonicMs());
    const routes = known?.routes ?? (await this.#reading.once(accountId, () => this.#read(accountId)));
    if (routes === 'too many') throw new AppError('overloaded');
    return routes;
  }

  /** Rules of the account were changed here. What others have is kept, and being read: who changes often makes nobody else's mail wait. */
  forget(accountId: number): void {
    this.#known.delete(accountId);
    const reading = this.#readings.get(accountId);
    if (reading !== undefined) reading.isOld = true;
    this.#changes++;
    this.#forwards.clear();
  }

  async #read(accountId: number): Promise<readonly ReadRoute[] | 'too many'> {
    const reading = { isOld: false };
    this.#readings.set(accountId, reading);
    try {
      for (;;) {
        reading.isOld = false;
        const readAtMs = this.#clock.monotonicMs();
        const rows = await this.#rows(accountId);
        const routes = rows === 'too many' ? rows : await readRoutes(rows);
        if (reading.isOld) continue;
        this.#known.set(accountId, { routes, characters: rows === 'too many' ? 0 : charactersOf(rows) }, readAtMs);
        return routes;
      }
    } finally {
      this.#readings.delete(accountId);
    }
  }

  async #rows(accountId: number): Promise<readonly Route[] | 'too many'> {
    const rows: Route[] = [];
    let characters = 0;
    for (;;) {
      const page = await this.#store.listRoutes(accountId, rows.length, PAGE);
      rows.push(...page);
      characters += charactersOf(page);
      if (characters > ACCOUNT_CHARACTERS_MAX) return 'too many';
      if (page.length < PAGE) return rows;
    }
  }
}

function charactersOf(routes: readonly Route[]): number {
  return routes.reduce((sum, { expression, actions }) => sum + 100 + expression.length + actions.join('').length, 0);
}

/** In slices: they take whatever time the account's patterns take to be read. */
async function readRoutes(rows: readonly Route[]): Promise<readonly ReadRoute[]> {
  const routes: ReadRoute[] = [];
  let characters = 0;
  for (const row of rows) {
    characters += row.expression.length;
    if (characters > CHARACTERS_PER_TURN) {
      characters = 0;
      await turn();
    }
    const route = readRoute(row);
    if (route !== undefined) routes.push(route);
  }
  return routes;
}

function readRoute({ id, expression, actions }: Route): ReadRoute | undefined {
  try {
    return { id, text: expression, expression: parseExpression(expression), actions: actions.map(parseAction) };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
