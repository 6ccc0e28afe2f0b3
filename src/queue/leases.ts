/** What work in memory must know of this node's leases: whether they can be relied on now, and whether those it came with are still the node's own. */
export interface Leases {
  /** Attempts may begin: nobody else can have been given what this node has leased. */
  readonly isHeld: boolean;
  /** Counts up when the node has lost its leases: what came under an earlier one is not its own. */
  readonly tenure: number;
}

/** Where nobody else could take them. */
export const HELD_FOR_EVER: Leases = { isHeld: true, tenure: 0 };
