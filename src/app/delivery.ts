/**
 * Builds the delivering half: resolver, routes, connections, composer, lanes and pipeline from the configuration. With `sandbox.capture` every route
 * leads to the capturing server inside the program, over real SMTP.
 */
import type { Accounts } from '#accounts/accounts.ts';
import { createAddressGuard } from '#base/address-guard.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { createConnect } from '#delivery/attempt.ts';
import { type Composer, type ComposerDeps, createComposer } from '#delivery/compose.ts';
import { createFindRoute } from '#delivery/route.ts';
import { createResolver, type Resolver } from '#dns/resolver.ts';
import { limitConnections } from '#lanes/connection-limit.ts';
import type { Purse } from '#grants/purse.ts';
import type { WarmUps } from '#grants/warm-ups.ts';
import type { ListExpander } from '#lists/expander.ts';
import type { LaneLimits } from '#lanes/lane.ts';
import type { BodyPassFor } from '#model/body-pass.ts';
import type { Connect, DeliveryJob, FindRoute } from '#model/delivery.ts';
import type { EgressSource, Route } from '#model/egress.ts';
import type { Leases } from '#queue/leases.ts';
import type { WorkItem } from '#queue/work-item.ts';
import { ZeroContent } from '#queue/zero-content.ts';
import { startCaptureServer } from '#sandbox/capture-server.ts';
import type { Reports } from '#sandbox/reports.ts';
import type { Srs } from '#routes/srs.ts';
import type { Store } from '#store/store.ts';
import { createDsnWriter } from '#submission/dsn.ts';
import type { Render } from '#templates/render.ts';
import type { Config } from './config.ts';
import { gateFor, matches, withSitesOfCeilings } from './ceilings.ts';
import { senderBehind } from './routes.ts';
import { createPipeline, type Pipeline } from './pipeline.ts';
import type { OpenAddress } from './running.ts';
import type { Services } from './services.ts';
import type { SourceChoice } from './source-choice.ts';
import { startWebhooks, type Webhooks } from './webhooks.ts';

const MINUTE_MS = 60_000;
/** A submitter who asked for NOTIFY=DELAY is told after this time. */
const DELAY_TOLD_AFTER_MS = 4 * 60 * MINUTE_MS;
const LANE_DRAIN_MS = 15_000;
const RETRY_SPREAD = 0.1;
const HINT_MIN_MS = 1000;
const HINT_MAX_MS = 24 * 60 * MINUTE_MS;
const RECIPIENTS_PER_TRANSACTION = 100;
/** One message that takes minutes must not hold up a whole destination while its lane is new. */
const OPENED_FIRST = 3;
/** Ready items for each connection: enough that a connection never waits for the store, few enough that memory stays small. */
const READY_PER_CONNECTION = 40;

export interface DeliveryParts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Store;
  readonly accounts: Accounts;
  readonly render: Render;
  readonly sourceChoice: SourceChoice;
  readonly services: Services;
  readonly purse: Purse;
  readonly warmUps: WarmUps;
  readonly leases: Leases;
  readonly srs: Srs;
  /** What is open by now. */
  readonly addresses: () => readonly OpenAddress[];
  readonly expandList: ListExpander['expand'];
  /** Variables that are filled in for each recipient. */
  readonly words: NonNullable<ComposerDeps['words']>;
  /** What is each recipient's own in a message, in this order. */
  readonly passes: readonly BodyPassFor[];
  /** See `WebhookParts`. */
  mayPost(): boolean;
  /** What lets word of a message come back. */
  readonly returning: NonNullable<ComposerDeps['returning']>;
  /** What the sandbox writes about mail that it took. */
  readonly reports: Pick<Reports, 'about'>;
}

export async function startDelivery(
  parts: DeliveryParts,
): Promise<Pipeline & { readonly posts: Webhooks['counts']; readonly webhooks: Webhooks; readonly resolver: Resolver }> {
  const { config, log, clock, store, accounts, services } = parts;
  const sources = egressSources(config);
  const resolver = createResolver({
    servers: config.dns.servers,
    timeoutMs: config.dns.timeoutMs,
    tries: config.dns.tries,
    cacheMax: config.dns.cache,
    clock,
  });
  services.add({ name: 'resolver', stopMs: 1000, stop: async () => resolver.close() });
  const findRoute = config.sandbox.capture ? await captureRoutes(parts) : mxRoutes();
  const guard = createAddressGuard({ allowNetworks: config.delivery.allowNetworks, ownListeners: ownListeners(config) });
  const composer = createComposer({
    clock,
    isEnabled: config.dkim.sign,
    signingKeys: accounts.signingKeys,
    secondaryKey: async (accountId, name, selector) => {
      const domain = await accounts.domainFor(name);
      if (domain?.accountId !== accountId) return undefined;
      return (await accounts.signingKeys(domain.id)).find((key) => key.selector === selector);
    },
    render: parts.render,
    words: parts.words,
    passes: parts.passes,
    returning: parts.returning,
  });
  const webhooks = startWebhooks({ ...parts, resolver, composer });
  const connect = createConnect({ resolver, guard, timeouts: config.delivery.timeouts, clock, log });
  const writeDsn = createDsnWriter({
    clock,
    hostname: config.smtp.hostname,
    delayAfterMs: DELAY_TOLD_AFTER_MS,
    senderBehind: (sender) => senderBehind(parts.srs, sender, clock.nowMs()),
    lifetimeMs: config.delivery.expireAfterMs,
  });
  const zeroContent = new ZeroContent({
    mail: store.mail,
    wantsNone: async (domainId) => (await accounts.domainById(domainId))?.settings?.zeroContent === true,
    log,
  });
  services.add({ name: 'zero content', stopMs: 1000, stop: async () => zeroContent.stop() });
  const pipeline = createPipeline({
    store,
    clock,
    log,
    findRoute: withSitesOfCeilings(findRoute, config),
    connect: limitConnections(config.sandbox.capture ? withoutDemands(connect) : connect, config.delivery.connectionsTotal),
    retry: { delaysMs: config.delivery.retry, spread: RETRY_SPREAD, hintMinMs: HINT_MIN_MS, hintMaxMs: HINT_MAX_MS },
    readyRecipients: config.delivery.readyRecipients,
    readyBytes: config.delivery.readyMemoryBytes,
    leases: parts.leases,
    laneLimits: (route, domain) => laneLimits(config, route, domain),
    ceilings: (route, source) => gateFor(parts, route, source),
    sourceFor: parts.sourceChoice.sourceFor,
    settled: (settlement) => zeroContent.settled(settlement),
    expandList: parts.expandList,
    job: (items, content) => deliveryJob(composer, webhooks, items, content),
    outbox: webhooks.entries,
    ringOutbox: webhooks.ring,
    follow: ({ message, recipient }, settlement) => writeDsn(message, recipient, settlement, () => store.mail.content(message.contentId)),
  });
  services.add({ name: 'pipeline', stopMs: LANE_DRAIN_MS + 2000, stop: () => stopPipeline(pipeline) });
  return { ...pipeline, isIdle: () => pipeline.isIdle() && webhooks.isIdle(), posts: webhooks.counts, webhooks, resolver };

  function mxRoutes(): FindRoute {
    return createFindRoute({
      resolver,
      routes: config.delivery.routes,
      port: config.delivery.port,
      inside: () => insideRoute(parts.addresses()),
      ownNames: [config.smtp.hostname, ...sources.map(({ ehlo }) => ehlo)],
      allowLiterals: config.delivery.allowNetworks.length > 0,
      clock,
    });
  }
}

function deliveryJob(composer: Composer, webhooks: Webhooks, items: readonly WorkItem[], content: () => Promise<Buffer>): DeliveryJob {
  const { message, tls } = items[0] as WorkItem;
  const recipients = items.map(({ recipient }) => recipient);
  return {
    sender: message.sender,
    recipients,
    ret: message.info.ret,
    envid: message.info.envid,
    tls,
    compose: webhooks.remembering(items, composer.job(message, recipients, content)),
  };
}

/** Where this node takes mail from other servers, as it reaches it itself. */
function insideRoute(addresses: readonly OpenAddress[]): Pick<Route, 'hosts' | 'port'> | undefined {
  const door = addresses.find(({ service }) => service === 'inbound');
  if (door === undefined) return undefined;
  const hosts = door.host === '::' ? ['127.0.0.1', '::1'] : [door.host === '0.0.0.0' ? '127.0.0.1' : door.host];
  return { hosts: hosts.map((host, preference) => ({ host, preference })), port: door.port };
}

/** Where other servers reach us: mail that would be delivered there comes back. */
function ownListeners({ smtp }: Config): { address: string; port: number }[] {
  return [...smtp.submission, ...smtp.submissions, ...smtp.inbound].map(({ host, port }) => ({ address: host ?? '::', port }));
}

/** New claims end first, then lanes return what waits and finish what runs, then what is left is written. */
async function stopPipeline({ claimer, lanes, settler, stop }: Pipeline): Promise<void> {
  await claimer.stop();
  await lanes.drain(LANE_DRAIN_MS);
  stop.abort();
  const endMs = performance.now() + 1000;
  while (settler.pending > 0 && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 10));
  settler.close();
}

async function captureRoutes({ config, log, clock, store, services, reports }: DeliveryParts): Promise<FindRoute> {
  const server = await startCaptureServer({
    store,
    clock,
    log,
    hostname: config.smtp.hostname,
    keepMax: config.sandbox.keep,
    reports,
    messageBytesMax: config.limits.messageSizeBytes * 2,
  });
  services.add({ name: 'sandbox', stopMs: 3000, stop: () => server.close() });
  return async (domain) => ({
    kind: 'route',
    route: { site: `sandbox:${domain}`, hosts: [{ host: '127.0.0.1', preference: 0 }], port: server.port, smartHost: { tls: 'none' } },
  });
}

/** The sandbox is inside the program: mail that demands TLS is captured too. */
function withoutDemands(connect: Connect): Connect {
  return (route, source, _demand, signal) => connect(route, source, 'opportunistic', signal);
}

export function egressSources(config: Config): readonly EgressSource[] {
  const { sources } = config.delivery;
  if (sources.length === 0) return [{ name: 'default', ehlo: config.smtp.hostname, pool: 'default' }];
  return sources.map((source, position) => ({
    name: source.name ?? source.address ?? `source-${position + 1}`,
    address: source.address,
    ehlo: source.ehlo ?? config.smtp.hostname,
    pool: source.pool,
    ...(source.capPerDay !== undefined && { capPerDay: source.capPerDay }),
  }));
}

/** A rule names a receiving domain (of the mail that the lane was made for), one of the hosts of its site, or the site. */
function laneLimits({ delivery }: Config, route: Route, domain: string): LaneLimits {
  const rule = delivery.shaping.find(({ match }) => matches(match, [domain, route.site, ...route.hosts.map(({ host }) => host)]));
  const rate = rule?.rate ?? delivery.ratePerSite;
  return {
    connectionsMax: rule?.connections ?? delivery.connectionsPerSite,
    openedFirst: OPENED_FIRST,
    messagesPerConnection: rule?.messagesPerConnection ?? delivery.messagesPerConnection,
    ratePerMinute: rate === undefined ? undefined : (rate.count * MINUTE_MS) / rate.perMs,
    rateWindowMs: rate?.perMs,
    recipientsPerTransaction: RECIPIENTS_PER_TRANSACTION,
    readyPerConnection: READY_PER_CONNECTION,
    idleMs: delivery.connectionIdleMs,
    suspendAfter: delivery.suspendAfter,
    suspendMinMs: delivery.suspendMinMs,
    suspendMaxMs: delivery.suspendMaxMs,
  };
}
