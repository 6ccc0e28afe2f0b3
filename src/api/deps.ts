/**
 * What the HTTP door needs from the house, as interfaces: `app/wire` hands them in. The door owns no state of the mail; it
 * asks the store, submits through `submit`, and reports what it is told.
 */
import type { ByteBudget } from '#base/byte-budget.ts';
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Accounts } from '#accounts/accounts.ts';
import type { DynamicPools } from '#accounts/dynamic-pools.ts';
import type { AlertKeys } from '#accounts/signing-key.ts';
import type { WaitOf } from '#events/timeline.ts';
import type { LinkTokens } from '#tracking/link-tokens.ts';
import type { TrackedVisit } from '#tracking/recorder.ts';
import type { Unsubscriber } from '#unsubscribe/unsubscriber.ts';
import type { LaneReport } from '#lanes/lane.ts';
import type { EgressSource } from '#model/egress.ts';
import type { StoredMessage } from '#model/message.ts';
import type { Submit } from '#model/submission.ts';
import type { AppError } from '#model/errors.ts';
import type { WebhookEvent } from '#store/webhook-store.ts';
import type { Domain, NodeService, QueueDepth, Store } from '#store/store.ts';
import type { Validate } from '#validation/validate.ts';
import type { ApiTls } from './tls-server.ts';
import type { Alerts } from '#webhooks/alerts.ts';

/** The part of `accounts` that the API uses. */
export type ApiAccounts = Pick<
  Accounts,
  | 'authenticateKey'
  | 'domainFor'
  | 'addDomain'
  | 'changeDomain'
  | 'deleteDomain'
  | 'authorityOf'
  | 'dnsRecords'
  | 'allRecords'
  | 'domainKeys'
  | 'addKey'
  | 'activateKey'
  | 'deactivateKey'
  | 'deleteKeyOf'
  | 'renameSelector'
  | 'rotateDkim'
  | 'listCredentials'
  | 'putCredential'
  | 'deleteCredential'
  | 'setCredentialDisabled'
>;

/** What it uses to administer who may come in. */
export type ApiAccess = Pick<
  Accounts,
  | 'standingOf'
  | 'listKeys'
  | 'createKey'
  | 'revokeKey'
  | 'renewPublicKey'
  | 'webhookKey'
  | 'renewWebhookKey'
  | 'createSubaccount'
  | 'subaccountOf'
  | 'changeAccount'
  | 'allowNetwork'
  | 'disallowNetwork'
  | 'networksOf'
  | 'addAuthRecipient'
  | 'deleteCredentials'
>;

export interface DeliveryCounts {
  readonly accepted: number;
  readonly delivered: number;
  readonly deferred: number;
  readonly failed: number;
}

export interface OpenPage {
  readonly accountId: number;
  /** A whole command, ready to paste. */
  readonly curl: string;
  readonly smtp?: { readonly host: string; readonly port: number; readonly login: string; readonly password: string };
}

export interface ApiConfig {
  /** At least one; port 0: any free port. */
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  /** Those where TLS is spoken; they need `ApiDeps.tls`. */
  readonly tlsListen?: readonly { readonly host: string; readonly port: number }[];
  /** Base of the absolute URLs in answers, without a slash at the end; absent: as the request names the host. */
  readonly publicUrl?: string;
  /** Our name in SPF hints and pages. */
  readonly hostname: string;
  /** Balancers (CIDR) whose X-Forwarded-For is believed; default: nobody's is. */
  readonly proxyFrom?: readonly string[];
  /** Networks (CIDR) that may read /metrics without a key. */
  readonly metricsNetworks: readonly string[];
  /** Development mode on a loopback listener: the page at / needs no key and shows the account `pageAccountId`. */
  readonly openPage?: OpenPage;
  /** sandbox.capture is on: the page shows what was captured. */
  readonly isCapturing: boolean;
  readonly limits?: Partial<ApiLimits>;
}

/** P9: everything that grows in this door. */
export interface ApiLimits {
  /** One request's body, also after gzip is undone. 52.4 MiB as Mailgun says. */
  readonly requestBytes: number;
  /** Bodies of all requests that are being received or handled. More: 503. */
  readonly uploadsInFlightBytes: number;
  /** Parts of a form. */
  readonly parts: number;
  /** Header block of one part of a multipart form. */
  readonly partHeaderBytes: number;
  /** JSON bodies, and JSON in form fields. */
  readonly jsonBytes: number;
  readonly jsonDepth: number;
  /** Whole MIME of a message (Mailgun: 25 MB). */
  readonly messageBytes: number;
  readonly recipients: number;
  /** Copies of a batch with cc and bcc: recipients × (1 + cc + bcc). */
  readonly batchCopies: number;
  /** All o: h: v: t: parameters together. */
  readonly optionBytes: number;
  readonly headerBytes: number;
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** o:deliverytime may lie this far ahead. */
  readonly scheduleHorizonMs: number;
  readonly tagsPerMessage: number;
  /** Calls of /messages, and recipients named in them, that one account may make in an hour; told in X-RateLimit-* and X-Recipient-*. */
  readonly requestsPerHour: number;
  readonly recipientsPerHour: number;
  /** Rows that one filtered page of events may look at. */
  readonly eventScanRows: number;
}

export const DEFAULT_LIMITS: ApiLimits = {
  requestBytes: Math.floor(52.4 * 1024 * 1024),
  uploadsInFlightBytes: 256 * 1024 * 1024,
  parts: 3000,
  partHeaderBytes: 8 * 1024,
  jsonBytes: 8 * 1024 * 1024,
  jsonDepth: 32,
  messageBytes: 25 * 1024 * 1024,
  recipients: 1000,
  batchCopies: 10_000,
  optionBytes: 16 * 1024,
  headerBytes: 16 * 1024,
  connections: 2000,
  connectionsPerAddress: 1000,
  requestTimeoutMs: 300_000,
  idleTimeoutMs: 60_000,
  keepAliveTimeoutMs: 72_000,
  scheduleHorizonMs: 7 * 86_400_000,
  tagsPerMessage: 3,
  requestsPerHour: 100_000_000,
  recipientsPerHour: 1_000_000_000,
  eventScanRows: 100_000,
};

/** A limit that an account has, and what is left of it until its time is over. */
export interface Allowance {
  readonly limit: number;
  readonly remaining: number;
  /** Epoch ms. */
  readonly resetMs: number;
}

/** What links and pixels of mail need here. */
export interface ApiTracking extends Pick<LinkTokens, 'openLink' | 'openPixel'> {
  /** Returns at once, and never throws. */
  note(visit: TrackedVisit): void;
  /** For /metrics, since the start. */
  readonly counts: { readonly recorded: number; readonly dropped: number; readonly lost: number };
}

/** What the pages for unsubscribing need. */
export type ApiUnsubscriber = Pick<Unsubscriber, 'ofPage' | 'stateOf' | 'unsubscribe' | 'subscribe' | 'choose'>;

/** What the endpoints for certificates of tracking hosts need. */
export interface ApiCertificates {
  /** undefined: the host leads here; else where it leads, in words. */
  leadsElsewhere(host: string): Promise<string | undefined>;
  /** One is obtained soon. */
  want(domain: Domain, host: string): Promise<void>;
  /** One that failed is tried again soon. */
  hasten(host: string): Promise<void>;
}

export interface ApiDeps {
  /** For bodies, shared with other doors; default: one of its own, of `uploadsInFlightBytes`. */
  readonly memory?: ByteBudget;
  readonly store: Store;
  readonly accounts: ApiAccounts & ApiAccess;
  readonly submit: Submit;
  /** Something is due sooner than it was. */
  readonly ringQueue?: () => void;
  /** A file to be read into a list was put down. */
  readonly ringImports?: () => void;
  /** A list of addresses to be validated was put down, or one was deleted. */
  readonly ringValidations?: () => void;
  /** Templates that are rendered for each recipient. Throws AppError 'template-failed'. */
  readonly render: (source: string, context: Readonly<Record<string, unknown>>, kind: 'text' | 'html' | 'header') => string;
  /** Asks DNS for the records of a domain; resolves to the domain as it is then. */
  readonly verifyDomain: (domain: Domain) => Promise<Domain>;
  /** Absent: none are obtained here. */
  readonly certificates?: ApiCertificates;
  /** Which certificate is shown to whom, on `config.tlsListen`. */
  readonly tls?: ApiTls;
  /** Addresses that mail leaves from by the configuration, with the name that each tells. */
  readonly egress?: readonly EgressSource[];
  readonly dynamicPools: DynamicPools;
  readonly alertKeys: AlertKeys;
  /** Tells it once, at once. undefined: it was told; else why not. */
  readonly testAlert: Alerts['test'];
  readonly validateAddress: Validate;
  readonly laneReport: () => readonly LaneReport[];
  /** Why a leased recipient waits in memory; undefined: it is being tried. */
  readonly waitOf?: WaitOf;
  /** Receiving domains with what waits for them and why; as the store alone knows it when absent. */
  readonly queueByDomain?: (limit: number) => Promise<readonly QueueDepth[]>;
  readonly config: ApiConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** What this node did since it started, for /metrics. */
  readonly deliveryCounts?: () => DeliveryCounts;
  /** Posts to servers outside, likewise. */
  readonly postCounts?: () => { readonly done: number; readonly failed: number; readonly givenUp: number };
  /** What came in from other servers, likewise; undefined: this node does not listen for them. */
  readonly inboundCounts?: () => InboundFigures | undefined;
  /** Addresses that mail leaves from, as others see them. Absent: none is known. */
  readonly isOurAddress?: (address: string) => boolean;
  /** Reports on our domains that came in, likewise, by result. */
  readonly reportCounts?: () => Readonly<Record<string, number>>;
  /** What came back about mail that others took, likewise, by result. */
  readonly returnCounts?: () => Readonly<Record<string, number>>;
  /** Webhooks, or the key that they are signed with, were changed by a request. */
  readonly webhooksChanged?: () => void;
  /** Mail that came in, sent on to others once more. Throws AppError. */
  readonly sendAgain?: (message: StoredMessage, bytes: Buffer, addresses: readonly string[]) => Promise<void>;
  /** The account's rules for mail that comes in were changed: they hold at once on this node. */
  readonly routesChanged?: (accountId: number) => void;
  /** Something was put into the outbox by a request. */
  readonly ringOutbox?: () => void;
  /** Tells a URL of an event that never happened: the status that it answered with, and what came of it in words. */
  readonly testWebhook?: (domain: Domain, type: WebhookEvent, url: string) => Promise<{ readonly status?: number; readonly text: string }>;
  /** Why no mail is taken now; undefined: it is. Absent: always. */
  readonly refusal?: () => AppError | undefined;
  /** Serves the links and pixels of mail. Absent: there are none. */
  readonly tracking?: ApiTracking;
  /** Serves the pages where recipients unsubscribe. Absent: there are none. */
  readonly unsubscriber?: ApiUnsubscriber;
  /** What this node serves; the rest is answered with a pointer elsewhere. Absent: everything. */
  readonly services?: readonly NodeService[];
  /** The account's quota of recipients, for headers; undefined: it has none. */
  readonly quotaOf?: (accountId: number) => Allowance | undefined;
  /** Counts a request of the account; undefined: they are not limited. Throws AppError when there are too many. */
  readonly takeRequest?: (accountId: number) => Promise<Allowance | undefined>;
  /** Not ready while starting or draining. */
  readonly isReady: () => boolean;
}

/** Messages that came in by what became of them, and clients and recipients that were turned away. */
export interface InboundFigures {
  readonly received: number;
  readonly refused: number;
  readonly deferred: number;
  readonly unknownRecipients: number;
  readonly relayAttempts: number;
  readonly earlyTalkers: number;
  readonly rateLimited: number;
}
