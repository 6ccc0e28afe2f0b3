/**
 * Why a recipient is not being tried now (P6). A closed list: a new way to wait needs a new name here, its sentence, and a test.
 * Stored by its short name; shown with the sentence.
 */
export const WAIT_REASONS = {
  due: 'it is due and will be picked up by the next claim',
  scheduled: 'it is scheduled for a later time by the sender',
  retry: 'it waits for the next attempt after a temporary failure',
  'retry-hint': 'it waits as long as the receiving server asked for',
  'lane-connections': 'all connections that this destination is given are busy',
  'lane-rate': 'the message rate that this destination is given is used up for the moment',
  'lane-suspended': 'the destination is suspended after repeated connection failures',
  'lane-starting': 'the destination is being tried with few connections first',
  'lane-fairness': 'other accounts have their turn at this destination',
  ceiling: 'all nodes together have sent as much as they may there, or from its source, for the moment',
  'warm-up': 'its source, which is being warmed up, has sent as much as it may in a day',
  'memory-limit': 'enough mail is in memory; this one waits on disk',
  'dns-trouble': 'the recipient domain cannot be looked up at the moment',
  'no-source': 'no egress source is available for it',
  quota: 'the quota of recipients that its account has is used up for the moment',
  draining: 'the node is shutting down',
  'lease-lapsed': 'its node has lost touch with the store and tries nothing until it is back, or until another node takes over',
  recovered: 'its lease ended without a result; it is tried again',
  'our-fault': 'an internal error stopped the attempt; it is tried again',
} as const;

export type WaitReason = keyof typeof WAIT_REASONS;

/** A stretch of waiting that ended, as attempts record it. Times are epoch milliseconds. */
export interface Wait {
  readonly reason: WaitReason;
  readonly fromMs: number;
  readonly untilMs: number;
}
