/** What an account wants done with mail that comes in for it: rules in the order of their priority. */

export interface Route {
  /** 24 hexadecimal digits. */
  readonly id: string;
  readonly accountId: number;
  /** 0 first; of equal ones the earlier made. */
  readonly priority: number;
  readonly description: string;
  readonly expression: string;
  readonly actions: readonly string[];
  readonly createdMs: number;
}

export type RouteChange = Partial<Pick<Route, 'priority' | 'description' | 'expression' | 'actions'>>;

export interface RouteStore {
  /** False: the account has `max` already. */
  createRoute(route: Route, max: number): Promise<boolean>;
  routeOf(accountId: number, id: string): Promise<Route | undefined>;
  /** As it is then; undefined: no such route. */
  changeRoute(accountId: number, id: string, change: RouteChange): Promise<Route | undefined>;
  deleteRoute(accountId: number, id: string): Promise<boolean>;
  /** In the order in which they are tried. */
  listRoutes(accountId: number, skip: number, limit: number): Promise<Route[]>;
  countRoutes(accountId: number): Promise<number>;
}
