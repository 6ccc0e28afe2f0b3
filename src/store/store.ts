/**
 * The store as the other rooms see it: what is kept, and the questions that can be asked. It decides nothing.
 * `sqlite/` and `postgres/` implement it; `open.ts` chooses by URL. One conformance suite runs over every driver (test/conformance/store.ts).
 *
 * Writes that belong to mail (accept, settle, release, claim) are group-committed: a promise resolves after the commit that holds
 * the write has reached disk (P1). A failed commit rejects with `StoreError`; nothing of it is kept.
 * Times are epoch milliseconds unless a name says otherwise. Every read that an API caller can reach takes the account (P10).
 */
import type { EventDetail, EventKind, EventRow } from '#model/event.ts';
import type { Ending, MessageInfo, Priority, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { Notify } from '#model/submission.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import type { AccessStore } from './access-store.ts';
import type { AlertStore } from './alert-store.ts';
import type { CertificateStore } from './certificate-store.ts';
import type { DnsAnswers, DomainSettings, DomainStore } from './domain-store.ts';
import type { EgressStore } from './egress-store.ts';
import type { FactStore } from './fact-store.ts';
import type { ForwardStore } from './forward-store.ts';
import type { GrantStore, GrantUse } from './grant-store.ts';
import type { OutboxEntry, OutboxStore } from './outbox-store.ts';
import type { ReportStore } from './report-store.ts';
import type { RouteStore } from './route-store.ts';
import type { SandboxStore } from './sandbox-store.ts';
import type { ScheduledStore } from './scheduled-store.ts';
import type { StatsStore } from './stats-store.ts';
import type { ListStore } from './list-store.ts';
import type { ImportStore, SuppressionStore } from './suppression-store.ts';
import type { TemplateStore } from './template-store.ts';
import type { ThresholdStore } from './threshold-store.ts';
import type { ValidationStore } from './validation-store.ts';
import type { WebhookStore } from './webhook-store.ts';

/** full: no space left. busy: another process holds the store. closed: the store is shut or stopped after a failed sync. */
export class StoreError extends Error {
  readonly kind: 'full' | 'busy' | 'closed' | 'io';
  constructor(kind: StoreError['kind'], message: string) {
    super(message);
    this.name = 'StoreError';
    this.kind = kind;
  }
}

// ---- accounts ------------------------------------------------------------------------------------------------------

export interface Account {
  readonly id: number;
  readonly name: string;
  readonly createdMs: number;
  readonly isDisabled: boolean;
}

export interface ApiKey {
  /** Public id: "f2153fd0-f1277777". */
  readonly id: string;
  readonly accountId: number;
  /** web: an account's, of somebody at a browser. public: may only ask what anybody may know. */
  readonly kind: 'account' | 'domain' | 'web' | 'public';
  readonly role: 'admin' | 'basic' | 'developer' | 'sending';
  readonly domainId?: number;
  readonly description: string;
  readonly createdMs: number;
  readonly expiresAtMs?: number;
  readonly userName?: string;
  /** Who made it. */
  readonly requestor?: string;
  /** Whose it is: it ends with them. */
  readonly userId?: number;
  /** To the minute. */
  readonly lastUsedMs?: number;
}

export interface Domain {
  readonly id: number;
  readonly accountId: number;
  /** Lower case, A-labels. */
  readonly name: string;
  readonly type: 'custom' | 'sandbox';
  readonly state: 'unverified' | 'active' | 'disabled';
  readonly createdMs: number;
  /** How long bodies are kept after the last recipient is settled. */
  readonly retentionMs: number;
  readonly requireTls: boolean;
  readonly skipVerification: boolean;
  /** What the store gives has these; a new domain begins without. */
  readonly settings?: DomainSettings;
  readonly dnsAnswers?: DnsAnswers;
  /** When DNS was asked last; 0: never. */
  readonly checkedMs?: number;
  /** It is there for nobody; see `DomainStore.deleteDomain`. */
  readonly deletedMs?: number;
}

export interface Credential {
  /** Full login, lower case: "user@example.org". */
  readonly login: string;
  readonly domainId: number;
  readonly accountId: number;
  /** PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash */
  readonly passwordHash: string;
  readonly createdMs: number;
  /** It goes only with its domain. */
  readonly isSystem?: boolean;
  /** Nobody logs in with it. */
  readonly isDisabled?: boolean;
}

export interface DkimKey {
  readonly id: number;
  readonly domainId: number;
  readonly selector: string;
  readonly algorithm: 'rsa' | 'ed25519';
  /** PKCS8 DER, encrypted with the instance's secret by `accounts/`. */
  readonly privateKey: Uint8Array;
  /** Value of p= in the DNS record. */
  readonly publicKey: string;
  /** signing: used to sign. published: in DNS (or to be), not signing: coming or going in a rotation. inactive: likewise, at its owner's wish. */
  readonly state: 'signing' | 'published' | 'inactive' | 'retired';
  readonly createdMs: number;
  /** When its owner told it to sign: of several of one algorithm the latest signs. */
  readonly activeMs?: number;
}

export type SuppressionKind = 'bounce' | 'unsubscribe' | 'complaint';
export interface Suppression {
  readonly kind: SuppressionKind;
  readonly address: string;
  readonly code: number;
  readonly error: string;
  readonly createdMs: number;
  /** Of an unsubscribe: it stops messages with one of these tags. Absent: all messages. */
  readonly tags?: readonly string[];
}

export interface AccountStore {
  createAccount(name: string, nowMs: number): Promise<Account>;
  listAccounts(): Promise<Account[]>;
  accountById(id: number): Promise<Account | undefined>;

  createKey(key: ApiKey & { readonly secretHash: string }): Promise<void>;
  /** By SHA-256 of the secret, in hexadecimal. */
  keyBySecretHash(secretHash: string): Promise<ApiKey | undefined>;
  listKeys(accountId: number): Promise<ApiKey[]>;
  /** False when there was no such key in the account. */
  deleteKey(accountId: number, id: string): Promise<boolean>;

  /** Rejects with StoreError? no: resolves undefined when the name is taken (by any account). */
  createDomain(domain: Omit<Domain, 'id'>): Promise<Domain | undefined>;
  domainByName(name: string): Promise<Domain | undefined>;
  domainById(id: number): Promise<Domain | undefined>;
  /** All, or one account's. */
  listDomains(accountId?: number): Promise<Domain[]>;
  setDomainState(id: number, state: Domain['state']): Promise<void>;

  /** Creates, or replaces the password of an existing login. */
  putCredential(credential: Credential): Promise<void>;
  credentialByLogin(login: string): Promise<Credential | undefined>;
  listCredentials(domainId: number): Promise<Credential[]>;
  deleteCredential(domainId: number, login: string): Promise<boolean>;

  createDkimKey(key: Omit<DkimKey, 'id'>): Promise<DkimKey>;
  listDkimKeys(domainId: number): Promise<DkimKey[]>;
  setDkimKeyState(id: number, state: DkimKey['state']): Promise<void>;

  putSuppression(domainId: number, suppression: Suppression): Promise<void>;
  suppressionOf(domainId: number, kind: SuppressionKind, address: string): Promise<Suppression | undefined>;
  listSuppressions(domainId: number, kind: SuppressionKind, after: string, limit: number): Promise<Suppression[]>;
  deleteSuppression(domainId: number, kind: SuppressionKind, address: string): Promise<boolean>;

  /** Small instance-wide facts (secret check value, schema marks): name → value. */
  setting(name: string): Promise<string | undefined>;
  /** Sets it only when it is absent; resolves to the value that stands. */
  settingOnce(name: string, value: string): Promise<string>;
}

// ---- mail ----------------------------------------------------------------------------------------------------------

export interface AcceptRecipient {
  readonly address: string;
  readonly domain: string;
  readonly name?: string;
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly notify?: readonly Notify[];
  readonly orcpt?: string;
  /** Where they are not its message's: when it is due, and given up. It waits as `scheduled` for a time to come. */
  readonly dueAtMs?: number;
  readonly expiresAtMs?: number;
  /** Whose local time its due time is. */
  readonly timeZone?: string;
  /** A lane has room: lease it in the same insert, so that no claim is needed. */
  readonly isLeased: boolean;
}

export interface AcceptMessage {
  readonly accountId: number;
  readonly domainId: number;
  readonly domain: string;
  readonly messageId: string;
  readonly sender: string;
  readonly createdMs: number;
  readonly dueAtMs: number;
  readonly wait: WaitReason;
  readonly expiresAtMs: number;
  readonly priority: Priority;
  readonly info: MessageInfo;
  /** The MIME as kept. The underlying ArrayBuffer must be its own (not a slice of a pool). */
  readonly content: Uint8Array;
  readonly recipients: readonly AcceptRecipient[];
  readonly idempotency?: { readonly key: string; readonly fingerprint: string; readonly untilMs: number };
  /** What the acceptance adds to the statistics, in the same commit (P7). */
  readonly counters?: readonly (CounterKey & { readonly count: number })[];
  /** What it takes from grants, in the same commit: all of them, or it is not accepted. */
  readonly uses?: readonly GrantUse[];
  /** What others are to be told of each recipient's acceptance over HTTP, due at `createdMs`. */
  readonly outbox?: readonly OutboxEntry[];
}

export type AcceptResult =
  | {
      readonly kind: 'accepted';
      readonly id: number;
      readonly contentId: number;
      /** Recipients got consecutive ids from this one, in the order given. */
      readonly firstRecipient: number;
      /** Positions of recipients that are suppressed for the domain, with the kind. */
      readonly suppressed: readonly (readonly [position: number, kind: SuppressionKind])[];
    }
  /** The Idempotency-Key was used with the same request before. */
  | { readonly kind: 'repeat'; readonly id: number; readonly messageId: string; readonly recipientCount: number }
  /** … with another request. */
  | { readonly kind: 'conflict' };

/** Nothing was kept: a grant that the message uses is not, or no longer, held to that amount. */
export interface Ungranted {
  readonly kind: 'ungranted';
}

/** Recipients that wait together: one receiving domain, account and priority. */
export interface Bucket {
  readonly id: number;
  readonly domain: string;
  readonly accountId: number;
  readonly priority: Priority;
  readonly dueAtMs: number;
}

export interface Claimed {
  readonly message: StoredMessage;
  /** `parkedFor`: why they were not claimed before, though they were due. */
  readonly recipients: readonly (StoredRecipient & { readonly suppressed?: SuppressionKind; readonly parkedFor?: WaitReason })[];
}

/** What is counted, by the hour and by the day. Each fact is counted once with the tag '', and once with each of its tags. */
export interface CounterKey {
  readonly accountId: number;
  readonly domainId: number;
  readonly kind: EventKind;
  /** The mailbox provider; '': none that is known. */
  readonly provider: string;
  /** As it was given; it is counted without regard to case. */
  readonly tag: string;
  /** The receiving domain; counted by the day alone. */
  readonly receiver?: string;
  /** As `countReason` writes it. */
  readonly reason?: string;
  /** Egress source's name. */
  readonly source?: string;
  /** Of who opened or clicked. */
  readonly country?: string;
  readonly device?: string;
}

export interface Settlement {
  readonly recipient: number;
  readonly epoch: number;
  readonly accountId: number;
  readonly domainId: number;
  readonly message: number;
  readonly atMs: number;
  readonly attempts: number;
  /** Set: it is done. Absent: it is queued again for `dueAtMs`. */
  readonly ending?: Ending;
  readonly dueAtMs?: number;
  readonly wait?: WaitReason;
  readonly possibleDuplicate?: boolean;
  readonly event: { readonly kind: EventKind; readonly detail: EventDetail };
  readonly suppression?: Suppression;
  readonly counters: readonly CounterKey[];
  /** A delivery status notification to the submitter, accepted in the same commit; it is told as the event `notified`. */
  readonly notification?: { readonly action: NonNullable<EventDetail['dsn']>['action']; readonly message: AcceptMessage };
  /** What others are to be told of it over HTTP, due at `atMs`. */
  readonly outbox?: readonly OutboxEntry[];
}

export interface Release {
  readonly recipient: number;
  readonly epoch: number;
  readonly dueAtMs: number;
  readonly wait: WaitReason;
}

export interface MailStore extends FactStore, ScheduledStore {
  accept(message: AcceptMessage): Promise<AcceptResult | Ungranted>;
  /** False: refused, another lease epoch holds it (fencing). */
  settle(settlement: Settlement): Promise<boolean>;
  release(release: Release): Promise<boolean>;
  /** Buckets whose earliest recipient is due, earliest first. */
  dueBuckets(nowMs: number, limit: number): Promise<Bucket[]>;
  /** Leases up to `room` due recipients of each bucket to this node. Content is not loaded. */
  claim(requests: readonly { readonly bucket: number; readonly room: number }[], nowMs: number): Promise<Claimed[]>;
  /** Leases up to `limit` queued recipients whose time is over, except those whose last attempt is due at that very moment. */
  claimExpired(nowMs: number, limit: number): Promise<Claimed[]>;
  /** Looks at the bucket again no sooner than this; its recipients keep their own due times and show `wait` as the bucket's reason. */
  parkBucket(bucket: number, untilMs: number, wait: WaitReason): Promise<void>;
  /** The wall clock was set back by so much: what waits keeps the length of its wait. What the sender scheduled keeps its time of day. */
  clockSetBack(byMs: number, nowMs: number): Promise<void>;
  /** When the next bucket is to be looked at. */
  nextDueAtMs(): Promise<number | undefined>;
  content(contentId: number): Promise<Uint8Array | undefined>;
  /**
   * One bounded step: deletes contents whose message is wholly settled and whose domain's retention is over since, expired idempotency keys, events and posts past theirs, and
   * messages of which nothing is left; at most `limit` of each. Resolves to how many, or to at least `limit` when there may be more to do at once. What had to stay is
   * looked at again within the hour.
   */
  expire(nowMs: number, limit: number, eventsRetentionMs: number, postsRetentionMs?: number): Promise<number>;
  /** The sender takes back what is not yet leased: one message's recipients, or all scheduled ones of a domain. Resolves to how many. */
  cancel(accountId: number, domainId: number, message: number | undefined, nowMs: number): Promise<number>;
  /** Removes a stored content; refused (false) while recipients are not settled. */
  deleteContent(accountId: number, message: number): Promise<boolean>;
  appendEvent(event: Omit<EventRow, 'id'>): Promise<void>;
}

// ---- reading what happened ------------------------------------------------------------------------------------------

/** All given conditions hold. Text conditions are `contains`-free: equality, case-insensitive, unless noted. */
export interface EventFilter {
  readonly accountId: number;
  readonly domainId: number;
  /** In place of `domainId`: several of the account's. */
  readonly domainIds?: readonly number[];
  /** Where the walk begins and ends: for a descending walk begin is the later time. Both inclusive. */
  readonly beginUs?: number;
  readonly endUs?: number;
  readonly kinds?: readonly EventKind[];
  readonly recipient?: string;
  /** Without angle brackets. */
  readonly messageId?: string;
  /** One that the message has. */
  readonly tag?: string;
}

export interface EventPosition {
  readonly atUs: number;
  readonly id: number;
}

/** An event with what its JSON needs. */
export interface EventView {
  readonly event: EventRow;
  readonly message: StoredMessage | undefined;
  readonly recipient: StoredRecipient | undefined;
}

export interface MessageView {
  readonly message: StoredMessage;
  readonly recipients: readonly StoredRecipient[];
  readonly events: readonly EventRow[];
}

export interface EventStore {
  /** In order of (atUs, id), ascending or descending, strictly after `after`. */
  list(filter: EventFilter, order: 'ascending' | 'descending', after: EventPosition | undefined, limit: number): Promise<EventView[]>;
  /** accountId undefined: the operator's own tools, every account. `recipientsMax` bounds what a huge batch returns. */
  messageById(accountId: number | undefined, id: number, recipientsMax?: number): Promise<MessageView | undefined>;
  messageByMessageId(accountId: number | undefined, messageId: string, recipientsMax?: number): Promise<MessageView | undefined>;
  /** Newest first. */
  recipientsByAddress(accountId: number | undefined, address: string, limit: number): Promise<EventView[]>;
  /** Of a token that we signed, which is its own authority: no account is asked for. */
  recipientById(id: number): Promise<{ readonly message: StoredMessage; readonly recipient: StoredRecipient } | undefined>;
  /** Newest messages of an account, for pages and tools. */
  latestMessages(accountId: number | undefined, limit: number): Promise<MessageView[]>;
  /** Depth by receiving domain, deepest first. */
  queueByDomain(nowMs: number, limit: number): Promise<QueueDepth[]>;
  /** Sum over all domains. */
  queueDepth(): Promise<{ readonly queued: number; readonly leased: number }>;
}

export interface QueueDepth {
  readonly domain: string;
  readonly queued: number;
  readonly leased: number;
  readonly oldestMs: number;
  readonly nextDueAtMs: number;
  readonly wait: WaitReason;
}

// ---- nodes ---------------------------------------------------------------------------------------------------------

/** What a node does. accept: takes mail. deliver: leases and delivers it. webhooks: tells what happened. web: the HTTP API and its pages. */
export type NodeService = 'accept' | 'deliver' | 'webhooks' | 'web';

/** What a process says of itself when it opens the store as a server. */
export interface NodeFacts {
  /** The operator's name for it; unique among those that run. */
  readonly name: string;
  readonly version: string;
  readonly services: readonly NodeService[];
  /** Names of its egress sources. */
  readonly sources: readonly string[];
}

/** running; draining: it was asked to stop serving and finishes what it has; drained: nothing is left; stopped: it ended in good order; lost: its lease ran out. */
export type NodeState = 'running' | 'draining' | 'drained' | 'stopped' | 'lost';

export interface NodeRow extends NodeFacts {
  /** Given anew at each start, and again when a node that was lost comes back. Leases belong to it. */
  readonly id: number;
  readonly state: NodeState;
  readonly startedMs: number;
  /** Its last beat, by the store's clock. */
  readonly seenMs: number;
  /** Since its last beat, by the store's clock; never negative. */
  readonly silentMs: number;
  /** Recipients that it has leased. */
  readonly leased: number;
}

export interface Beat {
  /** The store's clock. All nodes follow it. */
  readonly nowMs: number;
  readonly wanted: 'run' | 'drain';
  /** It was declared lost since the last beat: other nodes took its leases. It has a new id now; what it held under the old one is no longer its own. */
  readonly wasLost: boolean;
}

export interface NodeStore {
  /** Of this process; 0 for a tool. */
  readonly id: number;
  /** Prolongs all leases of this node, and tells its state. */
  beat(state: 'running' | 'draining' | 'drained'): Promise<Beat>;
  /** Those that run, and those that ended within the last day, newest first. */
  list(): Promise<NodeRow[]>;
  /** What an operator wants of a node; it learns of it with its next beat. False: no such node runs. */
  want(id: number, wanted: Beat['wanted']): Promise<boolean>;
  /** Declares nodes lost whose last beat is older than the lease, and puts what they had leased back, due at once and marked as a possible repeat. How many recipients. */
  takeOver(leaseMs: number): Promise<number>;
}

// ---- the whole -----------------------------------------------------------------------------------------------------

export interface Store {
  readonly accounts: AccountStore;
  readonly access: AccessStore;
  readonly domains: DomainStore;
  readonly egress: EgressStore;
  readonly templates: TemplateStore;
  readonly mail: MailStore;
  readonly events: EventStore;
  readonly outbox: OutboxStore;
  readonly grants: GrantStore;
  readonly stats: StatsStore;
  readonly webhooks: WebhookStore;
  readonly routes: RouteStore;
  readonly forwards: ForwardStore;
  readonly thresholds: ThresholdStore;
  readonly suppressions: SuppressionStore;
  readonly imports: ImportStore;
  readonly lists: ListStore;
  readonly validations: ValidationStore;
  readonly alerts: AlertStore;
  readonly certificates: CertificateStore;
  readonly reports: ReportStore;
  readonly sandbox: SandboxStore;
  readonly nodes: NodeStore;
  /** Another node may have made mail due that this one can take: a hint, polling is the truth. Never rings on the embedded store. */
  onBell(ring: () => void): void;
  /** Facts for /metrics and readiness. */
  health(): {
    readonly isWritable: boolean;
    readonly isFull: boolean;
    readonly trouble?: string;
    readonly commits: number;
    readonly commitMsP99: number;
  };
  /** Finishes what was handed in, then closes. */
  close(): Promise<void>;
}
