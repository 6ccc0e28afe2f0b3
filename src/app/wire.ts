/**
 * Builds the program from its rooms and starts it, in the order of the table of services: store, accounts, pipeline, doors. Nothing here decides about
 * mail; what a room needs from another is handed to it here.
 */
import { startDomainWatch } from '#accounts/domain-watch.ts';
import { startPoolWatch } from '#accounts/dynamic-pool-watch.ts';
import { createDynamicPools } from '#accounts/dynamic-pools.ts';
import { openInstanceSecret } from '#accounts/instance-secret.ts';
import { createAlertKeys } from '#accounts/signing-key.ts';
import type { Log } from '#base/log.ts';
import { LimitBook } from '#grants/account-limits.ts';
import { Purse } from '#grants/purse.ts';
import { Quotas } from '#grants/quotas.ts';
import { RequestRates } from '#grants/request-rates.ts';
import { WarmUps } from '#grants/warm-ups.ts';
import { createIntake } from '#queue/intake.ts';
import { ListExpander } from '#lists/expander.ts';
import { startImports } from '#lists/import-runner.ts';
import { parseEventTime } from '#events/event-time.ts';
import { startRetention } from '#queue/retention.ts';
import { measureHealth } from './pool-health.ts';
import { measureBy } from './thresholds.ts';
import type { AcceptResult } from '#store/store.ts';
import type { OpenedStore } from '#store/open.ts';
import { storePlace } from '#store/store-url.ts';
import { createSubmit } from '#submission/submit.ts';
import { startListRunner } from '#validation/list-runner.ts';
import { htmlToText } from '#templates/html-text.ts';
import { createRenderer } from '#templates/render.ts';
import { LimitGate } from '#thresholds/gate.ts';
import { startThresholdWatch } from '#thresholds/watch.ts';
import { addressValidation } from './address-validation.ts';
import { openAlerts, tellMoved, tellReached, tellRecords } from './alerts.ts';
import { createBounces, createReturnPaths, createSandboxReports } from './bounces.ts';
import { startCertificates } from './certificates.ts';
import type { Config } from './config.ts';
import { createDomainCheck } from './domain-check.ts';
import { startControl } from './control.ts';
import { controlPath } from './control-path.ts';
import { egressSources, startDelivery } from './delivery.ts';
import { firstStart, type FirstCredentials } from './first-start.ts';
import { nodeFacts, ThisNode } from './node.ts';
import { openAccounts } from './open-accounts.ts';
import { createAboutUs } from './reports.ts';
import { queueQuestions } from './queue-report.ts';
import { createInboundRoutes, createSenderRewriting } from './routes.ts';
import type { OpenAddress, Running } from './running.ts';
import { Services } from './services.ts';
import { createSourceChoice } from './source-choice.ts';
import { startStore } from './start-store.ts';
import { createTracking, startTrackedLinks } from './tracking.ts';
import { createUnsubscriber, createUnsubscribing } from './unsubscribe.ts';
import { openDoors } from './doors.ts';

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
  const accounts = openAccounts(config, store, secret, clock);
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
  const limitGate = new LimitGate(store.thresholds, clock);
  const acceptWithinLimits = limitGate.accepting(quotas.accepting(accept), accept);
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
    receive: limitGate.receiving(quotas.receiving((reception) => store.mail.receive(reception))),
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

function sourceNames(config: Config): string[] {
  return egressSources(config).map(({ name }) => name);
}
