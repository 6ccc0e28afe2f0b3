/** A month of little mail for the tests of statistics, logs and tags: what was accepted, delivered and failed, in two domains of an account and one of another. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { countReason } from '#model/count-reason.ts';
import type { EventDetail } from '#model/event.ts';
import { providerOf } from '#model/mailbox-provider.ts';
import { countersOf } from '#store/counters-of.ts';
import { accept, mail, settlement } from '../conformance/tenant.ts';
import { type ApiRig, startRig, type Tenant } from './api-kit.ts';

export const HOUR_MS = 3_600_000;
/** Noon of yesterday. */
export const NOON = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 12 * HOUR_MS;

interface Fact {
  readonly to?: string;
  readonly tags?: readonly string[];
  readonly atMs?: number;
  /** Absent: it stays queued. */
  readonly ending?: 'delivered' | 'failed' | 'suppressed';
  readonly detail?: EventDetail;
  readonly attempts?: number;
}

/** One message to one recipient, as intake and settlement write it. */
export async function happen(
  rig: ApiRig,
  tenant: Tenant,
  { to = 'bob@gmail.com', tags = [], atMs = NOON, ending, detail = {}, attempts = 1 }: Fact,
): Promise<void> {
  const from = { accountId: tenant.accountId, domainId: tenant.domain.id, domain: tenant.domain.name };
  const receiver = to.slice(to.lastIndexOf('@') + 1);
  const fact = { ...from, provider: providerOf(receiver) ?? '', receiver };
  const info = { ...mail(from).info, subject: `To ${to}`, options: { tags, variables: { n: 1 }, testMode: false } };
  const counters = countersOf({ ...fact, kind: 'accepted' }, tags).map((key) => ({ ...key, count: 1 }));
  const accepted = await accept(rig.store, mail(from, { to: [to], isLeased: ending !== undefined, createdMs: atMs, info, counters }));
  if (ending === undefined) return;
  const kind = ending === 'delivered' ? 'delivered' : 'failed';
  const settled = settlement(from, accepted, {
    atMs: atMs + 1000,
    attempts,
    ending,
    event: { kind, detail },
    counters: countersOf({ ...fact, kind, reason: countReason(kind, detail, attempts), source: detail.attempt?.source ?? '' }, tags),
  });
  assert.equal(await rig.store.mail.settle(settled), true);
}

const BOUNCE = { code: 550, text: 'No such user', reason: 'bounce', bounceClass: 'invalid-recipient' } as const satisfies EventDetail;
const SPAM = { code: 554, text: 'Spam', reason: 'espblock', bounceClass: 'spam-reputation' } as const satisfies EventDetail;

/** Two delivered (one at the second attempt), two failed, one suppressed, one waiting; of a domain beside, one delivered; of a stranger, one. */
export async function filled(t: TestContext): Promise<{ readonly rig: ApiRig; readonly beside: Tenant; readonly stranger: Tenant }> {
  const rig = await startRig();
  t.after(() => rig[Symbol.asyncDispose]());
  const domain = await rig.accounts.addDomain(rig.tenant.accountId, 'beside.example');
  assert.ok(domain);
  const beside = { ...rig.tenant, domain };
  const stranger = await rig.addTenant('stranger', 'stranger.example');
  await happen(rig, rig.tenant, { tags: ['News', 'b'], ending: 'delivered' });
  await happen(rig, rig.tenant, { to: 'ann@x.example', tags: ['news'], atMs: NOON + HOUR_MS, ending: 'delivered', attempts: 2 });
  await happen(rig, rig.tenant, { ending: 'failed', detail: BOUNCE });
  await happen(rig, rig.tenant, { to: 'c@x.example', ending: 'failed', detail: SPAM });
  await happen(rig, rig.tenant, {
    ending: 'suppressed',
    detail: { code: 605, reason: 'suppress-bounce', bounceClass: 'suppressed' },
    attempts: 0,
  });
  await happen(rig, rig.tenant, {});
  await happen(rig, beside, { tags: ['NEWS'], ending: 'delivered' });
  await happen(rig, stranger, { tags: ['secret'], ending: 'delivered' });
  return { rig, beside, stranger };
}

/** What the tests go down into, of one row or another; they say themselves which fields an answer has. */
export interface Row {
  readonly [field: string]: unknown;
  readonly id: string;
  readonly tag: string;
  readonly 'first-seen': string;
  readonly first_seen: string;
  readonly explanation: string;
  readonly dimensions: readonly { readonly value: string }[];
  readonly metrics: Readonly<Record<string, unknown>>;
  readonly accepted: { readonly total: number };
  readonly delivered: { readonly total: number };
  readonly domain: { readonly name: string };
  readonly storage: { readonly url: unknown };
  readonly flags: object;
}

/** Counts by the name of a provider, device or country. */
type Aggregates = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Likewise of a whole answer. */
export interface Json {
  readonly [field: string]: unknown;
  readonly start: string;
  readonly items: readonly Row[];
  readonly stats: readonly Row[];
  readonly aggregates: Pick<Row, 'metrics'>;
  readonly provider: Aggregates;
  readonly providers: Aggregates;
  readonly device: Aggregates;
  readonly devices: Aggregates;
  readonly country: Aggregates;
  readonly countries: Aggregates;
  readonly paging: Readonly<Record<'next' | 'previous' | 'last', string>>;
  readonly pagination: Readonly<Partial<Record<'next' | 'previous' | 'first' | 'last', string>>> & { readonly total?: number };
}

export const SPAN = { start: new Date(NOON - 2 * HOUR_MS).toUTCString(), end: new Date(NOON + 2 * HOUR_MS).toUTCString() };

export async function post(
  rig: ApiRig,
  path: string,
  body: unknown,
  key?: string,
): Promise<{ readonly status: number; readonly json: Json }> {
  const response = await rig.fetch(path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
    ...(key !== undefined && { key }),
  });
  return { status: response.status, json: (await response.json()) as Json };
}

export async function got(rig: ApiRig, path: string, key?: string): Promise<Json> {
  const response = await rig.fetch(path, key === undefined ? {} : { key });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Json;
}
