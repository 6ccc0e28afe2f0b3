import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventKind, EventDetail } from '#model/event.ts';
import { until } from '../kit/until.ts';
import { startRig } from './api-kit.ts';
import type { ApiRig } from './api-kit.ts';

interface Item {
  readonly event: string;
  readonly recipient: string;
  readonly message: { readonly headers: Readonly<Record<string, string>> };
}

interface Page {
  readonly items: readonly Item[];
  readonly paging: Readonly<Record<'next' | 'previous' | 'first' | 'last', string>>;
}

async function events(rig: ApiRig, query: string, key?: string): Promise<Page> {
  const response = await rig.fetch(`/v3/example.org/events${query}`, { key });
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Page;
}

async function follow(rig: ApiRig, url: string): Promise<Page> {
  assert.ok(url.startsWith(rig.url));
  return (await (await rig.fetch(url.slice(rig.url.length))).json()) as Page;
}

async function send(rig: ApiRig, to: string, fields: Record<string, string> = {}): Promise<void> {
  const body = new URLSearchParams({ from: 'ann@example.org', to, subject: `To ${to}`, text: 'x', ...fields });
  assert.equal((await rig.fetch('/v3/example.org/messages', { method: 'POST', body })).status, 200);
}

/** One more event for the newest message's first recipient, earlier than whatever comes next. */
async function happen(rig: ApiRig, kind: EventKind, detail: EventDetail): Promise<void> {
  const [view] = await rig.store.events.latestMessages(rig.tenant.accountId, 1);
  assert.ok(view !== undefined);
  const { message, recipients } = view;
  const atMs = Date.now();
  await rig.store.mail.appendEvent({
    kind,
    atUs: atMs * 1000 + 999,
    accountId: message.accountId,
    domainId: message.domainId,
    message: message.id,
    recipient: recipients[0]?.id ?? 0,
    detail,
  });
  await until(() => Date.now() > atMs, 'the millisecond is over');
}

const recipientsOf = (page: Page): string[] => page.items.map((item) => item.recipient);

test('pages of events', async (t) => {
  await using rig = await startRig();
  for (let i = 0; i < 7; i++) await send(rig, `r${i}@example.net`);

  await t.test('the newest come first when nothing is said about direction', async () => {
    assert.deepEqual(recipientsOf(await events(rig, '?limit=2')), ['r6@example.net', 'r5@example.net']);
  });

  await t.test('next, previous, first and last lead where they say, in both directions', async () => {
    for (const [query, order] of [
      ['?limit=3&ascending=yes', ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6']],
      ['?limit=3', ['r6', 'r5', 'r4', 'r3', 'r2', 'r1', 'r0']],
    ] as const) {
      const names = (page: Page): string[] => recipientsOf(page).map((address) => address.slice(0, 2));
      const first = await events(rig, query);
      assert.deepEqual(names(first), order.slice(0, 3));
      const second = await follow(rig, first.paging.next);
      assert.deepEqual(names(second), order.slice(3, 6));
      const third = await follow(rig, second.paging.next);
      assert.deepEqual(names(third), order.slice(6));
      const empty = await follow(rig, third.paging.next);
      assert.deepEqual(names(empty), []);
      assert.deepEqual(names(await follow(rig, empty.paging.previous)), order.slice(4, 7));
      assert.deepEqual(names(await follow(rig, third.paging.previous)), order.slice(3, 6));
      assert.deepEqual(names(await follow(rig, second.paging.first)), order.slice(0, 3));
      assert.deepEqual(names(await follow(rig, first.paging.last)), order.slice(4, 7));
      const beforeFirst = await follow(rig, first.paging.previous);
      assert.deepEqual(names(beforeFirst), []);
      assert.deepEqual(names(await follow(rig, beforeFirst.paging.next)), order.slice(0, 3));
    }
  });

  await t.test('the page after the last one shows later what happened since', async () => {
    const all = await events(rig, '?ascending=yes');
    const end = await follow(rig, all.paging.next);
    assert.deepEqual(end.items, []);
    await send(rig, 'late@example.net');
    assert.deepEqual(recipientsOf(await follow(rig, end.paging.next)), ['late@example.net']);
  });

  await t.test('a token counts alone: in ?page=, and with the old parameters beside it', async () => {
    const first = await events(rig, '?limit=3&ascending=yes');
    const token = new URL(first.paging.next).searchParams.get('page') ?? '';
    assert.doesNotMatch(token, /[^\w-]/);
    assert.equal(new URL(first.paging.next).pathname, `/v3/example.org/events/${token}`);
    assert.deepEqual(recipientsOf(await events(rig, `?limit=1&event=failed&page=${token}`)), [
      'r3@example.net',
      'r4@example.net',
      'r5@example.net',
    ]);
  });

  await t.test('a token of another account shows nothing of it', async () => {
    const other = await rig.addTenant('other', 'other.example');
    const token = (await events(rig, '?limit=1')).paging.next.split('/').at(-1) ?? '';
    const theirs = (await (await rig.fetch(`/v3/other.example/events/${token}`, { key: other.key })).json()) as Page;
    assert.deepEqual(theirs.items, []);
    assert.equal((await rig.fetch(`/v3/example.org/events/${token}`, { key: other.key })).status, 404);
  });

  await t.test('what is no token, time, number or filter is refused with its name', async () => {
    for (const [query, message] of [
      ['/bm90IGE?', "'page' parameter is not a page of this API"],
      ['?begin=yesterday', "'begin' parameter is not a valid time: use an RFC 2822 date or Unix seconds"],
      ['?limit=many', "'limit' parameter is a number from 1 to 300"],
      ['?begin=100&end=200&ascending=no', "'ascending' contradicts the order of 'begin' and 'end'"],
      ['?subject=(a', "the filter of 'subject' has a ( without its )"],
    ] as const) {
      const response = await rig.fetch(`/v3/example.org/events${query}`);
      assert.deepEqual([response.status, await response.json()], [400, { message }]);
    }
  });
});

test('filters of events', async (t) => {
  await using rig = await startRig();
  await send(rig, 'one@example.net', { 'o:tag': 'news', subject: 'Big sale today' });
  await happen(rig, 'delivered', { code: 250, text: 'OK' });
  await send(rig, 'two@example.com', { 'o:tag': 'receipt', subject: 'Your order' });
  await happen(rig, 'deferred', { code: 451, text: 'later', reason: 'greylisted' });
  await happen(rig, 'cancelled', {});

  const found = async (query: string): Promise<string[]> =>
    (await events(rig, `?ascending=yes&${query}`)).items.map((item) => `${item.event} ${item.recipient.slice(0, 3)}`);

  await t.test('kinds that Mailgun does not know are never shown', async () => {
    assert.deepEqual(await found(''), ['accepted one', 'delivered one', 'accepted two', 'failed two']);
  });
  await t.test('by event, with OR, NOT and repeated fields', async () => {
    assert.deepEqual(await found('event=delivered OR failed'), ['delivered one', 'failed two']);
    assert.deepEqual(await found('event=NOT accepted'), ['delivered one', 'failed two']);
    assert.deepEqual(await found('event[0]=failed&event[1]=NOT accepted'), ['failed two']);
    assert.deepEqual(await found('severity=temporary'), ['failed two']);
  });
  await t.test('by recipient, tag, subject, message-id and size', async () => {
    assert.deepEqual(await found('recipient=one@EXAMPLE.net'), ['accepted one', 'delivered one']);
    assert.deepEqual(await found('recipient=NOT one@example.net'), ['accepted two', 'failed two']);
    assert.deepEqual(await found('tags=NEWS OR none'), ['accepted one', 'delivered one']);
    assert.deepEqual(await found('subject="sale today" big'), ['accepted one', 'delivered one']);
    assert.deepEqual(await found('subject=sale order'), []);
    assert.deepEqual(await found('size=>1 <2'), []);
    const [item] = (await events(rig, '?recipient=two@example.com&limit=1')).items;
    const id = item?.message.headers['message-id'] ?? '';
    assert.deepEqual(await found(`message-id=${encodeURIComponent(`<${id}>`)}`), ['accepted two', 'failed two']);
  });
  await t.test('by time: the order of begin and end is the direction', async () => {
    const now = Math.floor(Date.now() / 1000);
    assert.equal((await events(rig, `?begin=${now - 60}&end=${now + 60}.5`)).items[0]?.event, 'accepted');
    assert.equal((await events(rig, `?begin=${now + 60}&end=${now - 60}`)).items[0]?.event, 'failed');
    assert.deepEqual(
      (await events(rig, `?begin=${encodeURIComponent(new Date(Date.now() + 60_000).toUTCString())}&ascending=yes`)).items,
      [],
    );
    assert.equal((await events(rig, `?begin=${now - 60}`)).items.length, 4);
  });
});

test('events say what happened in Mailgun’s shape', async () => {
  await using rig = await startRig();
  await send(rig, 'bob@gmail.com', { 'v:id': '7', 'o:tag': 't1' });
  await happen(rig, 'delivered', {
    code: 250,
    enhanced: '2.0.0',
    text: 'OK',
    attempt: {
      number: 1,
      startedMs: 1,
      host: 'mx.gmail.com',
      steps: { connect: 10, dot: 25 },
      tls: { version: 'TLSv1.3', cipher: 'x', verified: true },
    },
  });
  const [delivered, accepted] = (await events(rig, '')).items as unknown as Record<string, unknown>[];
  assert.ok(accepted !== undefined && delivered !== undefined);
  assert.equal(typeof accepted['timestamp'], 'number');
  assert.match(accepted['id'] as string, /^[\w-]{22}$/);
  assert.equal(accepted['recipient-domain'], 'gmail.com');
  assert.equal(accepted['recipient-provider'], 'Gmail');
  assert.deepEqual(accepted['user-variables'], { id: '7' });
  assert.deepEqual(accepted['tags'], ['t1']);
  const { headers } = accepted['message'] as { headers: Record<string, string> };
  assert.doesNotMatch(headers['message-id'] ?? '<', /[<>]/);
  assert.deepEqual(delivered['delivery-status'], {
    code: 250,
    message: 'OK',
    description: '',
    'attempt-no': 1,
    'session-seconds': 0.035,
    'enhanced-code': '2.0.0',
    'mx-host': 'mx.gmail.com',
    tls: true,
    'certificate-verified': true,
    utf8: true,
  });

  const { url, key } = accepted['storage'] as { url: string; key: string };
  assert.equal(url, `${rig.url}/v3/domains/example.org/messages/${key}`);
  const stored = (await (await rig.fetch(url.slice(rig.url.length))).json()) as Record<string, unknown>;
  assert.equal(stored['Subject'], 'To bob@gmail.com');
  assert.equal(stored['recipients'], 'bob@gmail.com');
  assert.match(String(stored['Message-Id']), /^<.+>$/);
  assert.deepEqual([stored['Message-ID'], stored['Mime-Version']], [stored['Message-Id'], '1.0']);
  const mime = (await (await rig.fetch(url.slice(rig.url.length), { headers: { accept: 'message/rfc2822' } })).json()) as Record<
    string,
    unknown
  >;
  assert.match(mime['body-mime'] as string, /^From: ann@example\.org\r\n/);

  await rig.accounts.addDomain(rig.tenant.accountId, 'second.example');
  assert.equal((await rig.fetch(`/v3/domains/second.example/messages/${key}`)).status, 404);
  const other = await rig.addTenant('other', 'other.example');
  for (const path of [
    `/v3/domains/example.org/messages/${key}`,
    `/v3/domains/other.example/messages/${key}`,
    `/v3/domains/other.example/messages/x`,
  ]) {
    const response = await rig.fetch(path, { key: other.key });
    assert.deepEqual([response.status, await response.json()], [404, { message: 'Message not found' }]);
  }

  const again = await rig.fetch(url.slice(rig.url.length), { method: 'POST', body: new URLSearchParams({ to: 'eve@example.net' }) });
  assert.equal(again.status, 200);
  assert.deepEqual(rig.submissions.at(-1)?.envelope.recipients, [{ address: 'eve@example.net' }]);
});

test('DELETE /v3/{domain}/envelopes takes back scheduled mail, of this domain only', async () => {
  await using rig = await startRig();
  const other = await rig.addTenant('other', 'other.example');
  await send(rig, 'bob@example.net', { 'o:deliverytime': String(Math.floor(Date.now() / 1000) + 3600) });
  assert.equal((await rig.fetch('/v3/example.org/envelopes', { method: 'DELETE', key: other.key })).status, 404);
  assert.equal((await rig.store.events.queueDepth()).queued, 1);
  const response = await rig.fetch('/v3/example.org/envelopes', { method: 'DELETE' });
  assert.deepEqual(await response.json(), { message: 'done' });
  assert.equal((await rig.store.events.queueDepth()).queued, 0);
});
