/**
 * Alerts: tells URLs and addresses that an account named what concerns it. What is to be told is written down first, and told by whichever node comes first; what was not told is tried
 * again, for some hours. A call may come twice: its `id` is the same then. A POST has the HMAC-SHA256 of its whole body in `X-Sign`, by a key that is for alerts alone.
 */
import { createHmac } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import { randomHex } from '#base/random.ts';
import { repeat } from '#base/repeat.ts';
import type { AlertChannel, AlertPost, AlertStore } from '#store/alert-store.ts';
import type { Poster, PostResult } from './guarded-post.ts';

/** What happens here. */
export const ALERT_TYPES = ['send_alert', 'send_limit', 'domain_dns_broken', 'domain_dns_mended', 'dynamic_pool_changed'] as const;
export type AlertType = (typeof ALERT_TYPES)[number];

/** Types of the hosted service that may be named, and never happen: nobody watches blocklists here. */
export const ALERT_TYPES_ELSEWHERE: readonly string[] = ['ip_listed', 'ip_delisted', 'domain_listed', 'domain_delisted'];

export interface AlertMail {
  readonly accountId: number;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export interface AlertsParts {
  readonly store: AlertStore;
  readonly keyOf: (accountId: number) => Promise<string>;
  readonly poster: Poster;
  /** False: the account has no domain that it could be sent from. */
  readonly sendMail: (mail: AlertMail) => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Log;
  /** This node tells, and was not asked to drain. */
  mayPost(): boolean;
}

export interface Alerts {
  /** `channels`: those alone; absent or empty: all that the account set up. Never rejects. */
  raise(accountId: number, type: AlertType, data: Readonly<Record<string, unknown>>, channels?: readonly string[]): Promise<void>;
  /** Tells it at once, once. undefined: it was told; else why not. */
  test(accountId: number, channel: AlertChannel, type: string, targets: readonly string[]): Promise<string | undefined>;
  stop(): Promise<void>;
}

const POLL_MS = 5000;
const CLAIM_MAX = 20;
/** Longer than a post may take. */
const HOLD_MS = 120_000;
const WAITS_MS = [60_000, 300_000, 900_000, 3_600_000, 7_200_000, 14_400_000];
/** P9: of one account. */
const WAITING_MAX = 1000;
const TESTS_MAX = 10;

export function startAlerts(parts: AlertsParts): Alerts {
  const { store, clock, log } = parts;
  let tests = 0;
  const telling = repeat({
    round: async (stopped) => parts.mayPost() && (await tellSome(stopped)) >= CLAIM_MAX,
    pauseMs: POLL_MS,
    log,
    trouble: 'alerts cannot be told at the moment',
  });

  async function tellSome(stopped: AbortSignal): Promise<number> {
    const nowMs = clock.nowMs();
    const posts = await store.claimAlertPosts(nowMs, nowMs + HOLD_MS, CLAIM_MAX);
    await Promise.all(posts.map((post) => tellOne(post, stopped)));
    return posts.length;
  }

  async function tellOne(post: AlertPost, stopped: AbortSignal): Promise<void> {
    const trouble = await tell(post, stopped).catch(errorText);
    if (stopped.aborted && trouble !== undefined) return store.settleAlertPost(post.id, clock.nowMs());
    const waitMs = trouble === undefined ? undefined : WAITS_MS[post.attempts - 1];
    if (trouble !== undefined)
      log.warn(
        { alert: post.id, type: post.eventType, channel: post.channel, trouble, isGivenUp: waitMs === undefined },
        'an alert was not told',
      );
    await store.settleAlertPost(post.id, waitMs === undefined ? undefined : clock.nowMs() + waitMs);
  }

  /** undefined: it was told. */
  async function tell({ accountId, channel, target, payload, eventType }: AlertPost, stopped: AbortSignal): Promise<string | undefined> {
    if (channel === 'email') {
      const isSent = await parts.sendMail({ accountId, to: target, subject: `Alert: ${eventType}`, text: mailText(payload) });
      return isSent ? undefined : 'the account has no domain to send it from';
    }
    const body = Buffer.from(payload);
    const signature = createHmac('sha256', await parts.keyOf(accountId))
      .update(body)
      .digest('hex');
    const headers = { 'content-type': 'application/json', 'user-agent': 'postrider', 'x-sign': signature };
    return troubleOf(await parts.poster.post({ url: target, headers, body: [body] }, stopped));
  }

  function postOf(
    accountId: number,
    eventType: string,
    channel: AlertChannel,
    target: string,
    data: Readonly<Record<string, unknown>>,
  ): AlertPost {
    const nowMs = clock.nowMs();
    const id = randomHex(12);
    const payload = JSON.stringify({ id, event_type: eventType, timestamp: Math.floor(nowMs / 1000), data });
    return { id, accountId, eventType, channel, target, payload, createdMs: nowMs, dueMs: nowMs, attempts: 0 };
  }

  return {
    async raise(accountId, type, data, channels = []) {
      try {
        const settings = (await store.listAlerts(accountId)).filter(
          ({ eventType, channel }) => eventType === type && (channels.length === 0 || channels.includes(channel)),
        );
        const posts = settings.flatMap(({ channel, targets }) => targets.map((target) => postOf(accountId, type, channel, target, data)));
        if (posts.length === 0) return;
        const kept = await store.putAlertPosts(accountId, posts, WAITING_MAX);
        if (kept < posts.length)
          log.warn({ accountId, type, lost: posts.length - kept }, 'too many alerts of an account wait; some are not told');
        telling.ring();
      } catch (error) {
        log.warn({ type, error: errorText(error) }, 'an alert could not be written down');
      }
    },
    async test(accountId, channel, type, targets) {
      if (tests >= TESTS_MAX) return 'too many tests at a time; try again';
      tests++;
      try {
        const troubles = await Promise.all(
          targets.map((target) => tell(postOf(accountId, type, channel, target, { test: true }), telling.stopped)),
        );
        return troubles.find((trouble) => trouble !== undefined);
      } finally {
        tests--;
      }
    },
    stop: telling.stop,
  };
}

function troubleOf(result: PostResult): string | undefined {
  if (result.kind !== 'answered') return result.text;
  return result.status >= 200 && result.status < 300 ? undefined : `it was answered with ${result.status}`;
}

/** What a person reads: the facts, one on each line. */
function mailText(payload: string): string {
  const { event_type: type, data } = JSON.parse(payload) as {
    readonly event_type: string;
    readonly data: Readonly<Record<string, unknown>>;
  };
  const lines = Object.entries(data).map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return [`This is an alert of the type ${type}.`, '', ...lines, ''].join('\n');
}
