/** Where mail leaves from and where it goes: the words that lanes are made of. */

/** A local address with its own EHLO name, in a pool. */
export interface EgressSource {
  readonly name: string;
  /** Local address to bind; absent: the system chooses. */
  readonly address?: string;
  readonly ehlo: string;
  readonly pool: string;
  /** Recipients in any 24 hours, of all nodes together, while it is warmed up. */
  readonly capPerDay?: number;
}

export interface RouteHost {
  /** Host name of the MX (without trailing dot), or an address literal's text. */
  readonly host: string;
  /** MX preference; lower first. */
  readonly preference: number;
}

/** How a recipient domain is reached. `site` names the set of hosts, so that domains with the same MX set share a lane. */
export interface Route {
  readonly site: string;
  readonly hosts: readonly RouteHost[];
  readonly port: number;
  /** To our own listener for mail from elsewhere: DNS says that we are who takes it. */
  readonly isInside?: true;
  /** A smart host from delivery.routes. */
  readonly smartHost?: {
    readonly tls: 'none' | 'opportunistic' | 'required' | 'implicit';
    readonly username?: string;
    readonly password?: string;
  };
}

/** What a message demands of the connection. */
export type TlsDemand = 'opportunistic' | 'require' | 'require-verified';
