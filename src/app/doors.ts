/** Opens the doors: submission and mail from elsewhere where this node accepts, and the HTTP API, each with what it needs from the rooms. */
import type { createAccounts } from '#accounts/accounts.ts';
import type { DynamicPools } from '#accounts/dynamic-pools.ts';
import type { AlertKeys } from '#accounts/signing-key.ts';
import { startApi } from '#api/start.ts';
import { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Quotas } from '#grants/quotas.ts';
import type { RequestRates } from '#grants/request-rates.ts';
import type { Submit } from '#model/submission.ts';
import type { AppError } from '#model/errors.ts';
import type { AddresseeHandler } from '#model/inbound.ts';
import type { ImportRunner } from '#lists/import-runner.ts';
import type { InboundCounts } from '#smtpd/inbound-session.ts';
import type { SmtpdListener } from '#smtpd/open-listeners.ts';
import type { OpenedStore } from '#store/open.ts';
import type { createRenderer } from '#templates/render.ts';
import type { Validate } from '#validation/validate.ts';
import type { Alerts } from '#webhooks/alerts.ts';
import type { Unsubscriber } from '#unsubscribe/unsubscriber.ts';
import type { SandboxReports } from './bounces.ts';
import type { ReturnCounts } from '#bounces/recorder.ts';
import type { Certificates } from './certificates.ts';
import type { Config } from './config.ts';
import type { DomainCheck } from './domain-check.ts';
import type { startDelivery } from './delivery.ts';
import { egressSources } from './delivery.ts';
import { type FirstCredentials, openPage } from './first-start.ts';
import { openInbound } from './inbound.ts';
import type { ThisNode } from './node.ts';
import type { AboutUs } from './reports.ts';
import { queueQuestions } from './queue-report.ts';
import type { InboundRoutes } from './routes.ts';
import type { OpenAddress } from './running.ts';
import type { Services } from './services.ts';
import { openSubmission } from './submission-door.ts';
import { openTls, type OwnPair, tlsFiles } from './tls.ts';
import type { TrackedLinks } from './tracking.ts';

/** Doors close and running transactions end within this; the rest of the 30 seconds that a stop may take is the store's. */
const DRAIN_MS = 12_000;
const QUICK_STOP_MS = 3000;

export interface DoorParts {
  readonly certificates: Certificates;
  readonly domainCheck: DomainCheck;
  readonly config: Config;
  readonly log: Log;
  readonly services: Services;
  readonly store: OpenedStore;
  readonly accounts: ReturnType<typeof createAccounts>;
  readonly dynamicPools: DynamicPools;
  readonly submit: Submit;
  readonly render: ReturnType<typeof createRenderer>;
  readonly pipeline: Awaited<ReturnType<typeof startDelivery>>;
  readonly state: { addresses: OpenAddress[]; credentials: FirstCredentials | undefined };
  readonly isReady: { value: boolean };
  readonly node: ThisNode;
  readonly clock: Clock;
  readonly imports: ImportRunner;
  readonly validateAddress: Validate;
  readonly ringValidations: () => void;
  readonly alertKeys: AlertKeys;
  readonly testAlert: Alerts['test'];
  readonly trackedLinks: TrackedLinks;
  readonly unsubscriber: Unsubscriber;
  readonly quotas: Quotas;
  readonly requestRates: RequestRates;
  /** Who answers for recipients of mail that comes in, in the order in which they are asked. */
  readonly addressees: readonly AddresseeHandler[];
  readonly routes: InboundRoutes;
  readonly returnCounts: ReturnCounts;
  readonly aboutUs: AboutUs;
  readonly reports: SandboxReports;
}

export async function openDoors(parts: DoorParts): Promise<void> {
  const { config, log, clock, services, node, accounts, pipeline, state, addressees, store } = parts;
  const memory = new ByteBudget(config.limits.memoryBytes);
  const own = node.does('accept') || config.http.tlsListen.length > 0 ? openTls(tlsFiles(config), clock, log) : undefined;
  if (!node.does('accept') || own === undefined) return openApi(parts, memory, own, undefined, undefined);
  const secureContext = parts.certificates.forName(config.smtp.hostname, own);
  const refusal = (): AppError | undefined => node.refusal();
  const submission = await openSubmission({ config, log, clock, services, memory, accounts, submit: parts.submit, secureContext, refusal });
  const { resolver } = pipeline;
  const inbound = await openInbound({
    config,
    log,
    clock,
    services,
    memory: strangersPart(config, memory),
    resolver,
    accounts,
    store,
    handlers: addressees,
    secureContext,
    refusal,
  });
  for (const { kind, address, port } of [...submission, ...(inbound?.listeners ?? [])])
    state.addresses.push({ service: kind, host: address, port });
  parts.reports.door = inbound?.sandboxDoor;
  const smtp = submission.find(({ kind }) => kind === 'submission');
  await openApi(parts, memory, own, smtp, inbound?.counts);
}

/** Half of the memory for messages: whatever strangers bring, those who submit have the rest. */
function strangersPart({ limits }: Config, memory: ByteBudget): ByteBudget {
  return new ByteBudget(Math.max(limits.memoryBytes / 2, limits.messageSizeBytes), memory);
}

async function openApi(
  parts: DoorParts,
  memory: ByteBudget,
  own: (() => OwnPair) | undefined,
  smtp: SmtpdListener | undefined,
  inboundCounts: InboundCounts | undefined,
): Promise<void> {
  const { config, log, services, store, submit, pipeline, state, isReady, node, clock, certificates } = parts;
  const api = await startApi({
    memory,
    store,
    accounts: certificates.noting(parts.accounts),
    ...(certificates.ofApi && { certificates: certificates.ofApi }),
    ...(own && { tls: certificates.forDoor(own) }),
    submit,
    render: parts.render,
    verifyDomain: async (domain) => (await parts.domainCheck.verify(domain)).domain,
    egress: egressSources(config),
    dynamicPools: parts.dynamicPools,
    validateAddress: parts.validateAddress,
    ringValidations: parts.ringValidations,
    alertKeys: parts.alertKeys,
    testAlert: parts.testAlert,
    laneReport: () => pipeline.report(),
    waitOf: pipeline.waitOf,
    queueByDomain: queueQuestions(store, pipeline, clock).domains,
    deliveryCounts: () => pipeline.counts,
    postCounts: () => pipeline.posts,
    webhooksChanged: pipeline.webhooks.changed,
    routesChanged: parts.routes.changed,
    sendAgain: parts.routes.sendAgain,
    ringOutbox: pipeline.webhooks.ring,
    ringQueue: () => pipeline.claimer.ring(),
    testWebhook: ({ id, accountId, name }, type, url) => pipeline.webhooks.test({ accountId, domainId: id, domain: name }, type, url),
    inboundCounts: () => inboundCounts,
    returnCounts: () => parts.returnCounts,
    reportCounts: () => parts.aboutUs.counts,
    isOurAddress: parts.aboutUs.isOurAddress,
    quotaOf: (accountId) => parts.quotas.stateOf(accountId),
    ringImports: () => parts.imports.ring(),
    tracking: parts.trackedLinks,
    unsubscriber: parts.unsubscriber,
    takeRequest: (accountId) => parts.requestRates.take(accountId),
    clock,
    log,
    isReady: () => isReady.value && store.health().isWritable && node.refusal() === undefined,
    refusal: () => node.refusal(),
    services: config.node.services,
    config: {
      listen: config.http.listen.map(({ host, port }) => ({ host: host ?? '::', port })),
      tlsListen: config.http.tlsListen.map(({ host, port }) => ({ host: host ?? '::', port })),
      publicUrl: config.http.publicUrl,
      hostname: config.smtp.hostname,
      proxyFrom: config.http.proxyFrom,
      metricsNetworks: config.http.metricsNetworks,
      isCapturing: config.sandbox.capture,
      openPage: openPage(config, state.credentials, smtp),
      limits: {
        requestBytes: config.http.requestSizeBytes,
        messageBytes: config.limits.messageSizeBytes,
        recipients: config.limits.recipientsPerMessage,
        connections: config.http.connections,
        connectionsPerAddress: config.http.connectionsPerAddress,
        requestTimeoutMs: config.http.requestTimeoutMs,
        idleTimeoutMs: config.http.idleTimeoutMs,
        scheduleHorizonMs: config.delivery.scheduleHorizonMs,
        tagsPerMessage: config.limits.tagsPerMessage,
        uploadsInFlightBytes: config.limits.memoryBytes,
      },
    },
  });
  services.add({
    name: 'api',
    stopMs: DRAIN_MS + QUICK_STOP_MS,
    async stop() {
      isReady.value = false;
      await Promise.race([api.drain(), new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref())]);
      await api.close();
    },
  });
  for (const { address, port } of api.addresses) state.addresses.push({ service: 'http', host: address, port });
  for (const { address, port } of api.tlsAddresses) state.addresses.push({ service: 'https', host: address, port });
  // Authorities look for their proof at the door.
  certificates.begin();
}
