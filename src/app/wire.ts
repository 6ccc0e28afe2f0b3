/**
 * Builds the program from its rooms and starts it, in the order of the table of services: store, accounts, pipeline, doors. Nothing here decides about
 * mail; what a room needs from another is handed to it here.
 */
import { createAccounts } from '#accounts/accounts.ts';
import type { Sending } from '#accounts/dns-records.ts';
import { startDomainWatch } from '#accounts/domain-watch.ts';
import { startPoolWatch } from '#accounts/dynamic-pool-watch.ts';
import { createDynamicPools, type DynamicPools } from '#accounts/dynamic-pools.ts';
import { openInstanceSecret } from '#accounts/instance-secret.ts';
import { type AlertKeys, createAlertKeys } from '#accounts/signing-key.ts';
import { startApi } from '#api/start.ts';
import { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { LimitBook } from '#grants/account-limits.ts';
import { Purse } from '#grants/purse.ts';
import { Quotas } from '#grants/quotas.ts';
import { RequestRates } from '#grants/request-rates.ts';
import { WarmUps } from '#grants/warm-ups.ts';
import type { Submit } from '#model/submission.ts';
import type { AppError } from '#model/errors.ts';
import type { AddresseeHandler } from '#model/inbound.ts';
import { createIntake } from '#queue/intake.ts';
import { ListExpander } from '#lists/expander.ts';
import { type ImportRunner, startImports } from '#lists/import-runner.ts';
import { parseEventTime } from '#events/event-time.ts';
import { startRetention } from '#queue/retention.ts';
import { measureHealth } from './pool-health.ts';
import { measureBy } from './thresholds.ts';
import type { InboundCounts } from '#smtpd/inbound-session.ts';
import type { SmtpdListener } from '#smtpd/open-listeners.ts';
import type { AcceptResult } from '#store/store.ts';
import type { OpenedStore } from '#store/open.ts';
import { storePlace } from '#store/store-url.ts';
import { createSubmit } from '#submission/submit.ts';
import { startListRunner } from '#validation/list-runner.ts';
import { htmlToText } from '#templates/html-text.ts';
import { createRenderer } from '#templates/render.ts';
import { LimitGate } from '#thresholds/gate.ts';
import type { Validate } from '#validation/validate.ts';
import type { Alerts } from '#webhooks/alerts.ts';
import { startThresholdWatch } from '#thresholds/watch.ts';
import type { Unsubscriber } from '#unsubscribe/unsubscriber.ts';
import { addressValidation } from './address-validation.ts';
import { openAlerts, tellMoved, tellReached, tellRecords } from './alerts.ts';
import { createBounces, createReturnPaths, createSandboxReports, type SandboxReports } from './bounces.ts';
import type { ReturnCounts } from '#bounces/recorder.ts';
import { type Certificates, startCertificates } from './certificates.ts';
import type { Config } from './config.ts';
import { createDomainCheck, type DomainCheck } from './domain-check.ts';
import { startControl } from './control.ts';
import { controlPath } from './control-path.ts';
import { egressSources, startDelivery } from './delivery.ts';
import { firstStart, type FirstCredentials, openPage } from './first-start.ts';
import { openInbound } from './inbound.ts';
import { nodeFacts, ThisNode } from './node.ts';
import { type AboutUs, createAboutUs } from './reports.ts';
import { queueQuestions } from './queue-report.ts';
import { createInboundRoutes, createSenderRewriting, type InboundRoutes } from './routes.ts';
import type { OpenAddress, Running } from './running.ts';
import { Services } from './services.ts';
import { createSourceChoice } from './source-choice.ts';
import { startStore } from './start-store.ts';
import { openSubmission } from './submission-door.ts';
import { openTls, type OwnPair, tlsFiles } from './tls.ts';
import { createTracking, startTrackedLinks, type TrackedLinks } from './tracking.ts';
import { createUnsubscriber, createUnsubscribing } from './unsubscribe.ts';

/** Doors close and running transactions end within this; the rest of the 30 seconds that a stop may take is the store's. */
const DRAIN_MS = 12_000;
const QUICK_STOP_MS = 3000;
const DOMAINS_TOLD_MAX = 1000;

export function startPostrider(config: Config, log: Log): Running {
  const services = new Services(log);
  const fatal = Promise.withResolvers<Error>();
  const state: { addresses: OpenAddress[]; credentials: FirstCredentials | undefined } = { addresses: [], credentials: undefined };
  const stop = async (): Promise<void> => {
    const late = await services.stop();
    if (late.length > 0) log.warn({ late }, 'some services did not stop in time; nothing that was accepted is lost');
  };
  const ready = start(config, log, services, fatal.resolve, state).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    ready,
    get addresses() {
      return state.addresses;
    },
    get credentials() {
      return state.credentials;
    },
    fatal: fatal.promise,
    stop,
  };
}

async function start(
  config: Config,
  log: Log,
  services: Services,
  onFatal: (error: Error) => void,
  state: { addresses: OpenAddress[]; credentials: FirstCredentials | undefined },
): Promise<void> {
  const store = await startStore(config, log, services, nodeFacts(config, sourceNames(config)), onFatal);
  const node = await startNode(config, log, services, store);
  const { clock } = node;
  if (store.recovered > 0) log.warn({ recipients: store.recovered }, 'leases of a former process ended; these recipients may be repeated');
  const secret = await openInstanceSecret(config, store.accounts);
  if (secret.madeAt !== undefined && storePlace(config.store.url).kind === 'postgres')
    log.warn(
      { file: secret.madeAt },
      'the instance secret was made: give each further node of this store a copy of the file, and keep one with your backups',
    );
  const accounts = createAccounts({
    store: store.accounts,
    access: store.access,
    domains: store.domains,
    secret,
    dkim: config.dkim,
    retentionMs: config.retention.bodiesMs,
    sending: sendingOf(config),
    clock,
  });
  const purse = new Purse({ store: store.grants, clock, log, leaseMs: config.store.leaseMs });
  services.add({ name: 'grants', stopMs: QUICK_STOP_MS, stop: () => purse.close() });
  const warmUps = new WarmUps({ store: store.egress, purse, clock, log });
  await warmUps.start();
  services.add({ name: 'warm-ups', stopMs: QUICK_STOP_MS, stop: () => warmUps.stop() });
  const render = createRenderer();
  const returnPaths = createReturnPaths(config, accounts, secret);
  const reports = createSandboxReports(config, clock, log);
  services.add({ name: 'sandbox reports', stopMs: QUICK_STOP_MS, stop: () => reports.stop() });
  const dynamicPools = createDynamicPools({
    egress: store.egress,
    changeDomain: accounts.changeDomain,
    domainById: accounts.domainById,
    parentOf: async (accountId) => (await accounts.standingOf(accountId))?.parentId,
    measure: measureHealth(store, clock),
    // Nothing moves before the watch begins, which is after this.
    moved: (move) => tellMoved(alerts)(move),
    clock,
    log,
  });
  const sourceChoice = createSourceChoice({
    sources: egressSources(config),
    domains: store.domains,
    domainById: accounts.domainById,
    dynamicAddresses: dynamicPools.addressesOf,
    isUsedUp: ({ address }) => warmUps.isUsedUp(address),
    clock,
  });
  const srs = createSenderRewriting(secret);
  const certificates = startCertificates({ config, store, secret, accounts, services, clock, log });
  const { hasCertificate } = certificates;
  const tracking = createTracking({ config, secret, clock, log, addresses: () => state.addresses, hasCertificate });
  const unsubscribing = createUnsubscribing({ config, secret, accounts, baseOf: tracking.baseOf });
  const pipeline = await startDelivery({
    config,
    log,
    clock,
    store,
    accounts,
    render,
    words: unsubscribing.words,
    passes: [tracking.pass, unsubscribing.pass],
    sourceChoice,
    services,
    purse,
    warmUps,
    leases: node.leases,
    srs,
    addresses: () => state.addresses,
    expandList: (message, recipient, mayGoOn) => expander.expand(message, recipient, mayGoOn),
    mayPost: () => node.isRunning && node.does('webhooks'),
    returning: returnPaths.returning,
    reports,
  });
  const trackedLinks = startTrackedLinks(tracking, {
    config,
    events: store.events,
    record: pipeline.webhooks.record,
    services,
    clock,
    log,
  });
  const { unsubscriber, handler: unsubscribeMail } = createUnsubscriber(unsubscribing, {
    store,
    accounts,
    record: pipeline.webhooks.record,
    clock,
    log,
  });
  const accept = createIntake({
    store,
    clock,
    memory: pipeline.memory,
    roomFor: (domain, accountId, priority) => pipeline.roomFor(domain, accountId, priority).room,
    enter: pipeline.enter,
    ring: () => pipeline.claimer.ring(),
    // A notification is nobody's mail.
    outbox: ({ accountId, domainId, info }) =>
      info.notifiesOf === undefined ? pipeline.webhooks.entriesFor(accountId, domainId, 'accepted') : undefined,
    ringOutbox: pipeline.webhooks.ring,
    leases: node.leases,
  });
  const { proofs } = returnPaths;
  const bounces = createBounces({ config, proofs, accounts, store, record: pipeline.webhooks.record, accept, srs, clock, log });
  const limits = new LimitBook(store.grants, config.limits, clock);
  const quotas = new Quotas({ purse, limits, clock });
  const requestRates = new RequestRates({ purse, limits, clock });
  const acceptWithinLimits = new LimitGate(store.thresholds, clock).accepting(quotas.accepting(accept), accept);
  const acceptCounted = async (message: Parameters<typeof acceptWithinLimits>[0]): Promise<AcceptResult> => {
    const result = await acceptWithinLimits(message);
    if (result.kind === 'accepted') pipeline.counts.accepted += message.recipients.length;
    return result;
  };
  const routes = createInboundRoutes({
    config,
    srs,
    accounts,
    store,
    webhooks: pipeline.webhooks,
    accept,
    acceptWithinLimits: acceptCounted,
    ringQueue: () => pipeline.claimer.ring(),
    clock,
    log,
  });
  const aboutUs = createAboutUs({ config, accounts, store, others: [routes.taker], clock, log });
  // Nothing is tried before the pipeline begins, which is after this.
  const expander = new ListExpander({
    lists: store.lists,
    events: store.events,
    clock,
    accept: acceptCounted,
    content: (contentId) => store.mail.content(contentId),
    unsubscribing: unsubscribing.ofList,
  });
  const submit = createSubmit({
    domainFor: accounts.domainFor,
    accept: acceptCounted,
    clock,
    hostname: config.smtp.hostname,
    limits: {
      messageBytesMax: config.limits.messageSizeBytes,
      headerBytesMax: config.limits.headerSizeBytes,
      recipientsMax: config.limits.recipientsPerMessage,
      batchCopiesMax: Math.max(10_000, config.limits.recipientsPerMessage),
      receivedMax: config.limits.receivedHops,
      apiLifetimeMs: config.delivery.apiExpireAfterMs,
      smtpLifetimeMs: config.delivery.expireAfterMs,
      idempotencyMs: config.retention.idempotencyMs,
    },
    requireVerification: config.domains.requireVerification,
    templates: store.templates,
    render,
    htmlToText,
    timeZone: config.delivery.timeZone,
    maySendFrom: (_account, ip) => config.delivery.sources.some((source) => source.address === ip),
    refusalOf: accounts.sendingRefusal,
    trackingOf: tracking.of,
    unsubscribing: unsubscribing.prepare,
    // Captured mail goes nowhere.
    ...(!config.sandbox.capture && { maySandboxSendTo: accounts.maySandboxSendTo }),
    mayUsePool: sourceChoice.mayUsePool,
  });
  const retention = startRetention({
    mail: store.mail,
    reports: store.reports,
    clock,
    log,
    eventsMs: config.retention.eventsMs,
    postsMs: config.webhooks.logMs,
    reportsMs: config.retention.reportsMs,
  });
  services.add({ name: 'retention', stopMs: QUICK_STOP_MS, stop: () => retention.stop() });
  const alertKeys = createAlertKeys(store.alerts, secret);
  const alerts = openAlerts({
    config,
    store,
    keys: alertKeys,
    resolver: pipeline.resolver,
    submit,
    clock,
    log,
    mayPost: () => node.isRunning && node.does('webhooks'),
  });
  services.add({ name: 'alerts', stopMs: QUICK_STOP_MS, stop: () => alerts.stop() });
  const poolWatch = startPoolWatch({ egress: store.egress, pools: dynamicPools, clock, log });
  services.add({ name: 'dynamic pools', stopMs: QUICK_STOP_MS, stop: () => poolWatch.stop() });
  const thresholds = startThresholdWatch({ store: store.thresholds, measure: measureBy(store), reached: tellReached(alerts), clock, log });
  services.add({ name: 'thresholds', stopMs: QUICK_STOP_MS, stop: () => thresholds.stop() });
  const domainCheck = createDomainCheck(config, accounts, clock, certificates.noted);
  services.add({ name: 'domain check', stopMs: QUICK_STOP_MS, stop: async () => domainCheck.close() });
  const watch = startDomainWatch({
    domains: store.domains,
    accounts,
    verify: domainCheck.verify,
    changed: tellRecords(alerts),
    clock,
    log,
    // With the sandbox nothing leaves the machine, questions included.
    checkMs: config.sandbox.capture ? undefined : config.domains.checkEveryMs,
  });
  services.add({ name: 'domain watch', stopMs: QUICK_STOP_MS, stop: () => watch.stop() });
  const imports = startImports({
    imports: store.imports,
    clock,
    log,
    parseTime: parseEventTime,
    mayRun: () => node.isRunning && node.does('web'),
  });
  services.add({ name: 'imports', stopMs: QUICK_STOP_MS, stop: () => imports.stop() });
  const validateAddress = addressValidation(config, store, pipeline.resolver);
  const validatedLists = startListRunner({
    validations: store.validations,
    validate: validateAddress,
    clock,
    log,
    mayRun: () => node.isRunning && node.does('web'),
  });
  services.add({ name: 'validated lists', stopMs: QUICK_STOP_MS, stop: () => validatedLists.stop() });
  state.credentials = await firstStart(config, accounts, store.accounts, log);
  const isReady = { value: false };
  await openDoors({
    config,
    log,
    services,
    store,
    accounts,
    dynamicPools,
    submit,
    render,
    pipeline,
    state,
    isReady,
    node,
    clock,
    quotas,
    requestRates,
    imports,
    validateAddress,
    ringValidations: validatedLists.ring,
    alertKeys,
    testAlert: alerts.test,
    trackedLinks,
    unsubscriber,
    domainCheck,
    certificates,
    addressees: [unsubscribeMail, routes.returned, ...bounces.handlers([routes.taker]), aboutUs.handler, routes.taker],
    aboutUs,
    routes,
    returnCounts: bounces.counts,
    reports,
  });
  const control = await startControl({
    path: controlPath(config.data),
    log,
    queue: async () => ({ lanes: pipeline.report(), domains: await queueQuestions(store, pipeline, clock).domains(DOMAINS_TOLD_MAX) }),
    waits: queueQuestions(store, pipeline, clock).waits,
  });
  services.add({ name: 'control', stopMs: QUICK_STOP_MS, stop: () => control.close() });
  node.deliverWith(pipeline);
  isReady.value = true;
  // The first to be stopped: the others learn that this node goes while it still finishes what it has.
  services.add({ name: 'readiness', stopMs: QUICK_STOP_MS, stop: async () => node.goes() });
}

async function startNode(config: Config, log: Log, services: Services, store: OpenedStore): Promise<ThisNode> {
  const isShared = storePlace(config.store.url).kind === 'postgres';
  const node = await ThisNode.start({ config, log, store, isShared });
  services.add({ name: 'node', stopMs: QUICK_STOP_MS, stop: () => node.stop() });
  return node;
}

/** What records to publish name. */
function sendingOf({ smtp, delivery, reports }: Config): Sending {
  const isTaken = smtp.inbound.length > 0 && reports.dmarcMailbox !== '';
  return {
    hostname: smtp.hostname,
    addresses: delivery.sources.flatMap((source) => source.address ?? []),
    ...(isTaken && { dmarcMailbox: reports.dmarcMailbox }),
  };
}

function sourceNames(config: Config): string[] {
  return egressSources(config).map(({ name }) => name);
}

interface DoorParts {
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

async function openDoors(parts: DoorParts): Promise<void> {
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
    memory,
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
