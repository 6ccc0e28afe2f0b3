/** Builds what counts opens and clicks: the pass that makes links and pixels, where they lead for a domain, and the recorder behind them. */
import { answerKey, hostRecordsOf } from '#accounts/dns-records.ts';
import type { InstanceSecret } from '#accounts/instance-secret.ts';
import { BoundedCache } from '#base/bounded-cache.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { isLoopback } from '#base/networks.ts';
import type { BodyPassFor } from '#model/body-pass.ts';
import type { MessageTracking } from '#model/message.ts';
import type { SubmissionOptions } from '#model/submission.ts';
import type { Domain, EventStore } from '#store/store.ts';
import { createLinkTokens, type LinkTokens } from '#tracking/link-tokens.ts';
import { type RecorderOptions, TrackingRecorder, type TrackedVisit } from '#tracking/recorder.ts';
import { trackingPass } from '#tracking/tracking-pass.ts';
import { trackingOf, wantsTracking } from '#tracking/wishes.ts';
import type { Config } from './config.ts';
import type { OpenAddress } from './running.ts';
import type { Services } from './services.ts';

export interface TrackingParts {
  readonly config: Config;
  readonly secret: InstanceSecret;
  readonly clock: Clock;
  readonly log: Log;
  /** What is open by now. */
  readonly addresses: () => readonly OpenAddress[];
  /** The host is served with a certificate of ours; undefined: what stands before us sees to that, or nobody does. */
  readonly hasCertificate?: (host: string) => boolean | undefined;
}

export interface Tracking extends Pick<LinkTokens, 'openLink' | 'openPixel'> {
  readonly pass: BodyPassFor;
  /** What of a message that is accepted now is to be counted. */
  readonly of: (domain: Domain, options: SubmissionOptions) => MessageTracking | undefined;
  /** What links, pixels and pages of the domain begin with; undefined: there is nowhere that they could lead. */
  readonly baseOf: (domain: Domain) => string | undefined;
}

const TOLD_MAX = 1000;
const TOLD_AGAIN_MS = 3_600_000;
const STOP_MS = 3000;

export function createTracking(parts: TrackingParts): Tracking {
  const { config, clock, log } = parts;
  const tokens = createLinkTokens(parts.secret.keyFor('tracking'));
  const told = new BoundedCache<string, true>({ max: TOLD_MAX, ttlMs: TOLD_AGAIN_MS });

  /** The domain's own host when its DNS points here and it can be served; else ours. */
  function baseOf(domain: Domain): string | undefined {
    const { tracking } = hostRecordsOf(domain, config.smtp.hostname);
    if (domain.dnsAnswers?.[answerKey(tracking)]?.state === 'ok') {
      const hasCertificate = parts.hasCertificate?.(tracking.name);
      const scheme = domain.settings?.webScheme ?? (hasCertificate === true ? 'https' : undefined);
      // Links that a browser warns of are worse than ours.
      if (scheme === 'http' || (scheme === 'https' && hasCertificate !== false)) return `${scheme}://${tracking.name}`;
    }
    return ownUrl(config, parts.addresses());
  }

  function of(domain: Domain, options: SubmissionOptions): MessageTracking | undefined {
    const settings = domain.settings ?? {};
    if (!wantsTracking(options, settings)) return undefined;
    const base = baseOf(domain);
    if (base === undefined && told.get(domain.name, clock.monotonicMs()) === undefined) {
      told.set(domain.name, true, clock.monotonicMs());
      log.warn(
        { domain: domain.name },
        'opens and clicks are to be counted, but links could lead nowhere: set http.public_url, or point the tracking host of the domain here',
      );
    }
    return trackingOf(options, settings, base);
  }

  return {
    pass: (message, recipient, sentMs) => trackingPass(tokens, message, recipient, sentMs),
    of,
    baseOf,
    openLink: tokens.openLink,
    openPixel: tokens.openPixel,
  };
}

export interface VisitParts extends Pick<RecorderOptions, 'record' | 'clock' | 'log'> {
  readonly config: Config;
  readonly events: Pick<EventStore, 'recipientById'>;
  readonly services: Services;
}

/** What the HTTP door needs to serve links and pixels. */
export interface TrackedLinks extends Pick<LinkTokens, 'openLink' | 'openPixel'> {
  note(visit: TrackedVisit): void;
  readonly counts: TrackingRecorder['counts'];
}

export function startTrackedLinks({ openLink, openPixel }: Tracking, parts: VisitParts): TrackedLinks {
  const { config, services, ...rest } = parts;
  const recorder = new TrackingRecorder({ ...rest, humanAfterMs: config.tracking.humanAfterMs });
  services.add({ name: 'tracking', stopMs: STOP_MS, stop: () => recorder.stop() });
  return { openLink, openPixel, note: (visit) => recorder.note(visit), counts: recorder.counts };
}

/** Where this program is reached, as far as it knows. What only this machine reaches is a place to lead to while mail stays on it. */
function ownUrl(config: Config, addresses: readonly OpenAddress[]): string | undefined {
  const { http, smtp } = config;
  if (http.publicUrl !== undefined) return http.publicUrl;
  const open = addresses.find(({ service }) => service === 'http') ?? http.listen.find(({ port }) => port !== 0);
  if (open === undefined) return undefined;
  const host = open.host ?? '';
  const isLocal = host === 'localhost' || isLoopback(host);
  if (isLocal && !config.isDev && !config.sandbox.capture) return undefined;
  const name = isLocal ? (host.includes(':') ? `[${host}]` : host) : smtp.hostname;
  return `http://${name}${open.port === 80 ? '' : `:${open.port}`}`;
}
