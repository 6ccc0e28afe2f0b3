/** One leased recipient on its way through this node's memory: what the lanes carry. */
import type { TlsDemand } from '#model/egress.ts';
import type { Priority, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { Wait, WaitReason } from '#model/wait-reason.ts';
import type { SuppressionKind } from '#store/store.ts';

export interface WorkItem {
  readonly message: StoredMessage;
  readonly recipient: StoredRecipient;
  readonly suppressed: SuppressionKind | undefined;
  readonly accountId: number;
  readonly priority: Priority;
  readonly groupKey: number;
  readonly tls: TlsDemand;
  /** Since when it is in memory (epoch ms), and why it is not being tried yet. */
  readonly sinceMs: number;
  wait: WaitReason;
  /** Why it was left on disk when it was due. */
  readonly parkedFor: WaitReason | undefined;
  /** Of the node's leases when it was leased (leases.ts). */
  readonly tenure: number;
}

export function workItem(
  message: StoredMessage,
  recipient: StoredRecipient,
  suppressed: SuppressionKind | undefined,
  nowMs: number,
  tenure: number,
  parkedFor?: WaitReason,
): WorkItem {
  const { options } = message.info;
  return {
    message,
    recipient,
    suppressed,
    accountId: message.accountId,
    priority: message.priority,
    groupKey: isShared(message) && !recipient.possibleDuplicate ? message.id : 0,
    tls: options.requireTls === true ? (options.skipVerification === true ? 'require' : 'require-verified') : 'opportunistic',
    sinceMs: nowMs,
    wait: 'due',
    parkedFor,
    tenure,
  };
}

/** Recipients of one content share a transaction only where nothing differs between them: not in a batch, not with links of their own, not when one may be a repeat. */
function isShared({ info }: StoredMessage): boolean {
  return info.batchId === undefined && info.tracking === undefined && info.unsubscribe === undefined;
}

/** What it waited for until now: on disk since it was due (or accepted), then in memory. Stretches under 50 ms are not worth telling. */
export function waitsOf(item: WorkItem, nowMs: number): readonly Wait[] | undefined {
  const waits: Wait[] = [];
  const { recipient, message } = item;
  const dueMs = Math.max(recipient.dueAtMs, message.createdMs);
  if (recipient.attempts === 0 && recipient.dueAtMs - message.createdMs > TOLD_MS) {
    waits.push({ reason: recipient.wait, fromMs: message.createdMs, untilMs: recipient.dueAtMs });
  }
  // One that was given back by a lane waited for that since before it was due again: however short the rest, its reason must be told.
  const wasGivenBack = recipient.attempts > 0 && !PLANNED.has(recipient.wait);
  if (item.sinceMs - dueMs > TOLD_MS || wasGivenBack) {
    waits.push({
      reason: item.parkedFor ?? (recipient.wait === 'scheduled' || recipient.wait === 'retry' ? 'due' : recipient.wait),
      fromMs: dueMs,
      untilMs: Math.max(dueMs, item.sinceMs),
    });
  }
  if (nowMs - item.sinceMs > TOLD_MS) waits.push({ reason: item.wait, fromMs: item.sinceMs, untilMs: nowMs });
  return waits.length === 0 ? undefined : waits;
}

const TOLD_MS = 50;
/** Waits that settling planned. */
const PLANNED: ReadonlySet<WaitReason> = new Set(['due', 'scheduled', 'retry', 'retry-hint', 'dns-trouble']);
