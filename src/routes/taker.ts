/**
 * Answers for recipients of mail from elsewhere by the rules of the account that owns their domain: routes, the plain rules of /v3/forwards, and mailing lists. At RCPT a recipient is taken
 * where some rule may want its mail; at the end of the message all that the rules want is one commit: what is kept, told, posted and sent on (P1, P7). Who is taken only if the message's
 * header says the right thing comes alone in a transaction, so that a refusal is of nobody else.
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { randomHex } from '#base/random.ts';
import { AppError } from '#model/errors.ts';
import type { EventDetail } from '#model/event.ts';
import type { Addressee, AddresseeHandler, InboundMail, InboundRcpt } from '#model/inbound.ts';
import type { MessageInfo } from '#model/message.ts';
import type { Received, Reception } from '#store/fact-store.ts';
import type { ListStore, MailingList } from '#store/list-store.ts';
import type { OutboxEntry } from '#store/outbox-store.ts';
import { type AcceptMessage, type CounterKey, StoreError } from '#store/store.ts';
import { letterRefusal, postingRefusal } from './list-access.ts';
import { type Plan, planOf, prospectOf } from './plan.ts';
import type { Rules } from './route-book.ts';
import { type SendOnDeps, toAddresses, toList } from './sent-on.ts';

export interface RoutedDomain {
  readonly id: number;
  readonly accountId: number;
  readonly name: string;
  readonly state: string;
  readonly type: 'custom' | 'sandbox';
}

export interface RoutesTakerDeps {
  readonly hostname: string;
  /** That takes mail for the name. */
  domainFor(name: string): Promise<RoutedDomain | undefined>;
  rulesOf(accountId: number, domainId: number): Promise<Rules>;
  readonly lists: Pick<ListStore, 'listByAddress' | 'memberOf'>;
  /** Within the account's quotas. Throws AppError, StoreError. */
  receive(reception: Reception): Promise<Received>;
  /** The message as it is kept, without what follows from it. */
  keep(
    mail: InboundMail,
    domain: RoutedDomain,
    madeMessageId: string,
  ): Pick<Reception, 'message'> & { readonly record: EventDetail['inbound'] };
  readonly sendOn: SendOnDeps;
  /** Why the account may not send now; undefined: it may. */
  sendingRefusal(accountId: number): Promise<AppError | undefined>;
  /** A domain for trying out sends to chosen addresses alone. Absent: to any. */
  maySandboxSendTo?(accountId: number, addresses: readonly string[]): Promise<boolean>;
  /** Who shares turns and health with the URL. */
  endpointName(url: string): string;
  /** Webhooks that are told of an event. */
  entriesFor(
    accountId: number,
    domainId: number,
    kind: 'accepted',
  ): readonly OutboxEntry[] | undefined | Promise<readonly OutboxEntry[] | undefined>;
  /** Something stands in the outbox; something waits to be sent on. */
  ringOutbox(): void;
  ringQueue(): void;
  readonly clock: Clock;
  readonly log: Log;
}

const ROUTES_TOLD_MAX = 10;
const EXPRESSION_TOLD_MAX = 500;

export function createRoutesTaker(deps: RoutesTakerDeps): AddresseeHandler {
  return {
    name: 'routes',
    async accepts(rcpt) {
      const domain = await deps.domainFor(rcpt.domain);
      if (domain === undefined || domain.state === 'disabled') return undefined;
      const list = await listOf(deps, domain, rcpt);
      const refusal = list === undefined ? undefined : await postingRefusal(deps.lists, list, rcpt);
      const isPosted = list !== undefined && refusal === undefined;
      const { isTaken, mayGoOn } = await prospectOf(await deps.rulesOf(domain.accountId, domain.id), rcpt.address);
      if (!isPosted && isTaken === 'no') return refusal === undefined ? undefined : { kind: 'list', refusal };
      const isCertain = isTaken === 'yes' && !mayGoOn && list === undefined;
      const addressee: Addressee = {
        kind: list === undefined ? 'routes' : 'list',
        ...(isCertain && { together: `routes ${domain.accountId} ${domain.id}` }),
        take: (mail) => take(deps, domain, mail),
      };
      return addressee;
    },
  };
}

function listOf({ lists }: RoutesTakerDeps, { accountId }: RoutedDomain, { address }: InboundRcpt): Promise<MailingList | undefined> {
  return lists.listByAddress(accountId, address.toLowerCase());
}

interface Part {
  readonly rcpt: InboundRcpt;
  readonly plan: Plan;
  readonly list?: MailingList;
}

async function take(deps: RoutesTakerDeps, domain: RoutedDomain, mail: InboundMail): Promise<void> {
  const rules = await deps.rulesOf(domain.accountId, domain.id);
  const parts: Part[] = [];
  for (const rcpt of mail.recipients) parts.push(await partOf(deps, domain, rules, mail, rcpt));
  const reception = await receptionOf(deps, domain, mail, parts);
  try {
    await deps.receive(reception);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new AppError(error.kind === 'full' ? 'store-full' : 'store-unavailable', {}, error);
  }
  if (reception.outbox.length > 0 || reception.message.outbox !== undefined) deps.ringOutbox();
  if (reception.forwards.length > 0) deps.ringQueue();
}

/** Throws AppError for a recipient that nobody wants the message for. */
async function partOf(deps: RoutesTakerDeps, domain: RoutedDomain, rules: Rules, mail: InboundMail, rcpt: InboundRcpt): Promise<Part> {
  const wanted = await planned(deps, rules, mail, rcpt);
  const plan = { ...wanted, addresses: await allowed(deps, domain, wanted.addresses) };
  const list = await listOf(deps, domain, rcpt);
  const refusal = list === undefined ? undefined : await refusalOf(deps, list, rcpt, mail);
  const isPosted = list !== undefined && refusal === undefined;
  if (isPosted || plan.addresses.length > 0) {
    const closed = await deps.sendingRefusal(domain.accountId);
    if (closed !== undefined) throw closed;
  }
  if (isPosted) return { rcpt, plan, list };
  if (plan.matched.length > 0) return { rcpt, plan };
  throw refusal ?? new AppError('no-such-recipient');
}

/** To whom a domain for trying out may not send, it does not send on. */
async function allowed(
  { maySandboxSendTo }: RoutesTakerDeps,
  { type, accountId }: RoutedDomain,
  addresses: readonly string[],
): Promise<readonly string[]> {
  if (type !== 'sandbox' || maySandboxSendTo === undefined) return addresses;
  const answers = await Promise.all(addresses.map((address) => maySandboxSendTo(accountId, [address])));
  return addresses.filter((_, index) => answers[index]);
}

async function refusalOf(
  { lists }: RoutesTakerDeps,
  list: MailingList,
  rcpt: InboundRcpt,
  mail: InboundMail,
): Promise<AppError | undefined> {
  const refusal = await postingRefusal(lists, list, rcpt);
  return refusal === undefined ? letterRefusal(list, mail) : new AppError('not-wanted-here', { reason: refusal.text });
}

async function planned(deps: RoutesTakerDeps, rules: Rules, mail: InboundMail, rcpt: InboundRcpt): Promise<Plan> {
  let plan: Plan;
  try {
    plan = await planOf(rules, rcpt.address, mail.header);
  } catch (error) {
    if (error instanceof AppError) deps.log.warn({ recipient: rcpt.address }, 'routes take too long to be matched: mail is put off');
    throw error;
  }
  // What was sent to one of them before would go round in circles.
  const own = rcpt.address.toLowerCase();
  const loop = plan.addresses.find((address) => address.toLowerCase() === own || wasDeliveredTo(mail, address));
  if (loop === undefined) return plan;
  throw new AppError('delivery-loop', { address: loop });
}

function wasDeliveredTo({ header }: InboundMail, address: string): boolean {
  const wanted = address.toLowerCase();
  return header.fields.some(
    (field) =>
      field.name === 'delivered-to' &&
      header.bytes.toString('latin1', field.valueStart, field.end).trim().replace(/^<|>$/g, '').toLowerCase() === wanted,
  );
}

// ---- one commit ----------------------------------------------------------------------------------------------------------

async function receptionOf(deps: RoutesTakerDeps, domain: RoutedDomain, mail: InboundMail, parts: readonly Part[]): Promise<Reception> {
  const { accountId, id: domainId } = domain;
  const { message, record } = deps.keep(mail, domain, `${mail.receivedMs}.${randomHex(12)}@${deps.hostname}`);
  const told = await deps.entriesFor(accountId, domainId, 'accepted');
  const kept: AcceptMessage = {
    ...message,
    info: { ...message.info, ...routesTold(parts) },
    counters: countersFor(domain, parts),
    ...(told !== undefined && { outbox: told }),
  };
  const events: Reception['events'][number][] = [];
  const outbox: Reception['outbox'][number][] = [];
  const forwards: AcceptMessage[] = [];
  for (const [recipient, part] of parts.entries()) {
    const { plan, rcpt, list } = part;
    if (plan.isStored) {
      const detail: EventDetail = { inbound: { ...record, routes: plan.matched.slice(0, ROUTES_TOLD_MAX).map(({ id }) => id) } };
      events.push({ recipient, event: { kind: 'stored', atUs: mail.receivedMs * 1000, accountId, domainId, detail } });
    }
    for (const { kind, url, rule } of plan.posts)
      outbox.push({ recipient, kind, endpoint: deps.endpointName(url), target: url, payload: JSON.stringify({ rule }) });
    const sent = { kept, mail, rcpt, routes: routesTold([part]).routes };
    if (plan.addresses.length > 0) forwards.push(await toAddresses(deps.sendOn, sent, plan.addresses));
    if (list !== undefined) forwards.push(await toList(deps.sendOn, sent, list));
  }
  return { message: kept, events, outbox, forwards };
}

function countersFor({ accountId, id: domainId }: RoutedDomain, parts: readonly Part[]): AcceptMessage['counters'] {
  const stored = parts.filter(({ plan }) => plan.isStored).length;
  const key: CounterKey = { accountId, domainId, kind: 'stored', provider: '', tag: '' };
  return stored === 0 ? [] : [{ ...key, count: stored }];
}

function routesTold(parts: readonly Part[]): Pick<MessageInfo, 'routes'> {
  const all = parts.flatMap(({ plan, rcpt }) =>
    plan.matched.map(({ id, expression }) => ({ id, expression: expression.slice(0, EXPRESSION_TOLD_MAX), recipient: rcpt.address })),
  );
  return all.length === 0 ? {} : { routes: all.slice(0, ROUTES_TOLD_MAX) };
}
