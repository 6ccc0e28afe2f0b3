import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventRow } from '#model/event.ts';
import type { MessageInfo, StoredRecipient } from '#model/message.ts';
import type { AttemptRecord } from '#model/outcome.ts';
import type { MessageView } from '#store/store.ts';
import { WAIT_REASONS } from '#model/wait-reason.ts';
import type { WaitReason } from '#model/wait-reason.ts';
import { timeline, timelineText } from './timeline.ts';
import type { RecipientTimeline } from './timeline.ts';
import { messageInfo, storedRecipient } from '../../test/kit/stored.ts';

const START_MS = Date.UTC(2026, 10, 23, 14, 0, 0);
let eventId = 0;

function info(change: Partial<MessageInfo> = {}): MessageInfo {
  return messageInfo({
    from: 'Shop <shop@example.org>',
    to: 'bob@example.net',
    subject: 'Your receipt',
    sizeBytes: 10_500,
    origin: { address: '192.0.2.7', helo: 'app.example.org', tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384' },
    login: 'app@example.org',
    options: { tags: ['receipt'], variables: {}, testMode: false },
    ...change,
  });
}

function recipient(change: Partial<StoredRecipient> = {}): StoredRecipient {
  return storedRecipient({
    id: 7,
    message: 1,
    address: 'bob@example.net',
    state: 'queued',
    dueAtMs: START_MS + 300_000,
    wait: 'retry',
    epoch: 0,
    ...change,
  });
}

function event(kind: EventRow['kind'], afterMs: number, detail: EventRow['detail'] = {}, of = 7): EventRow {
  return { id: ++eventId, kind, atUs: (START_MS + afterMs) * 1000, accountId: 1, domainId: 1, message: 1, recipient: of, detail };
}

function view(recipients: readonly StoredRecipient[], events: readonly EventRow[], change: Partial<MessageInfo> = {}): MessageView {
  const message = {
    id: 1,
    accountId: 1,
    domainId: 1,
    domain: 'example.org',
    messageId: 'm1@example.org',
    sender: 'shop@example.org',
    createdMs: START_MS,
    expiresAtMs: START_MS + 432_000_000,
    priority: 0 as const,
    contentId: 1,
    info: info(change),
  };
  return { message, recipients, events };
}

function attempt(change: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    number: 1,
    startedMs: START_MS + 50,
    site: 'example.net',
    host: 'mx.example.net',
    address: '198.51.100.3',
    port: 25,
    source: 'main',
    ehlo: 'out.example.org',
    tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', verified: false, subject: 'mx.example.net', trouble: 'self-signed' },
    steps: { dot: 30.4, connect: 10, mail: 2 },
    connectionUse: 1,
    reply: { code: 250, enhanced: '2.0.0', text: 'OK' },
    ...change,
  };
}

function only(from: MessageView): RecipientTimeline {
  const recipients = timeline(from).recipients;
  assert.equal(recipients.length, 1);
  return recipients[0] as RecipientTimeline;
}

test('tells who brought the message in, from where, and how', () => {
  const { accepted, subject, sizeBytes } = timeline(view([recipient()], []));
  assert.deepEqual(accepted, {
    method: 'SMTP',
    by: 'login app@example.org',
    address: '192.0.2.7',
    helo: 'app.example.org',
    tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384',
  });
  assert.deepEqual([subject, sizeBytes], ['Your receipt', 10_500]);
  const byKey = timeline(view([], [], { method: 'HTTP', keyId: 'f2-77', login: undefined })).accepted.by;
  assert.equal(byKey, 'API key f2-77');
  const by = (change: Partial<MessageInfo>): string => timeline(view([], [], { login: undefined, ...change })).accepted.by;
  assert.equal(by({}), 'trusted network');
  assert.equal(by({ notifiesOf: 12 }), 'this server, to tell of message 12');
});

test('a delivery shows its attempt with steps in order and the reply', () => {
  const told = only(
    view(
      [recipient({ state: 'done', ending: 'delivered', attempts: 1 })],
      [event('delivered', 92, { code: 250, attempt: attempt() }), event('accepted', 0)],
    ),
  );
  assert.equal(told.status, 'delivered');
  assert.equal(told.next, undefined);
  assert.deepEqual(
    told.entries.map(({ kind }) => kind),
    ['fact', 'attempt'],
  );
  const entry = told.entries[1];
  assert.ok(entry?.kind === 'attempt');
  assert.deepEqual(entry.steps, [
    { step: 'connect', ms: 10 },
    { step: 'mail', ms: 2 },
    { step: 'dot', ms: 30 },
  ]);
  assert.deepEqual([entry.result, entry.code, entry.reply, entry.tookMs], ['delivered', 250, 'OK', 42]);
});

test('each wait before an attempt stands before it with its reason', () => {
  const waits = [
    { reason: 'lane-connections', fromMs: START_MS + 1, untilMs: START_MS + 30 },
    { reason: 'lane-rate', fromMs: START_MS + 30, untilMs: START_MS + 50 },
  ] as const;
  const told = only(view([recipient()], [event('delivered', 92, { attempt: attempt({ waits }) })]));
  assert.deepEqual(
    told.entries.map((entry) => (entry.kind === 'wait' ? entry.reason : entry.kind)),
    ['lane-connections', 'lane-rate', 'attempt'],
  );
});

test('every reason to wait is a clause of its own, which needs no words before it', () => {
  for (const [reason, text] of Object.entries(WAIT_REASONS)) {
    assert.match(text, /^(it|the|its|all|other|no|enough|an?) /, reason);
    const waits = [{ reason: reason as WaitReason, fromMs: START_MS + 1, untilMs: START_MS + 30 }];
    const told = timelineText(timeline(view([recipient()], [event('delivered', 92, { attempt: attempt({ waits }) })])));
    assert.ok(told.includes(`waited 29 ms: ${text} [${reason}]`), told);
  }
});

test('the wait after a deferral lasts until its next time; what it waited for after that follows', () => {
  const waits = [{ reason: 'lane-rate', fromMs: START_MS + 300_092, untilMs: START_MS + 310_000 }] as const;
  const second = attempt({ number: 2, startedMs: START_MS + 310_000, waits });
  const told = only(
    view(
      [recipient({ attempts: 2, state: 'done', ending: 'delivered' })],
      [
        event('deferred', 92, { code: 451, wait: 'retry', nextAtMs: START_MS + 300_092, attempt: attempt() }),
        event('delivered', 310_050, { attempt: second }),
      ],
    ),
  );
  assert.deepEqual(
    told.entries.map((entry) => (entry.kind === 'wait' ? [entry.reason, entry.atMs - START_MS, entry.untilMs - START_MS] : entry.kind)),
    ['attempt', ['retry', 92, 300_092], ['lane-rate', 300_092, 310_000], 'attempt'],
  );
});

test('what a lane gave back waited for that since its time had come, also when it expires without a further attempt', () => {
  const waits = [{ reason: 'lane-suspended', fromMs: START_MS + 360_000, untilMs: START_MS + 360_010 }] as const;
  const deferred = event('deferred', 92, { wait: 'retry', nextAtMs: START_MS + 300_092, attempt: attempt() });
  for (const last of [
    event('delivered', 360_100, { attempt: attempt({ number: 2, startedMs: START_MS + 360_010, waits }) }),
    event('failed', 360_010, { code: 602, reason: 'old', text: 'Too old', waits }),
  ]) {
    const [, retry, suspended] = only(view([recipient()], [deferred, last])).entries;
    assert.ok(retry?.kind === 'wait' && suspended?.kind === 'wait');
    assert.deepEqual([suspended.reason, suspended.atMs, suspended.untilMs], ['lane-suspended', retry.untilMs, START_MS + 360_010]);
  }
});

test('an attempt before the next time ends the wait', () => {
  const early = attempt({ number: 2, startedMs: START_MS + 1000 });
  const events = [
    event('deferred', 92, { wait: 'retry', nextAtMs: START_MS + 300_092, attempt: attempt() }),
    event('delivered', 1050, { attempt: early }),
  ];
  const wait = only(view([recipient()], events)).entries[1];
  assert.ok(wait?.kind === 'wait');
  assert.equal(wait.untilMs, START_MS + 1000);
});

test('a recipient that is not finished has a reason and a time', () => {
  const waiting = only(view([recipient({ wait: 'lane-suspended' })], []));
  assert.equal(waiting.status, 'waiting');
  assert.equal(waiting.next?.reason, 'lane-suspended');
  assert.equal(waiting.next?.atMs, START_MS + 300_000);
  assert.match(waiting.next?.text ?? '', /suspended after repeated connection failures/);
  const leased = only(view([recipient({ state: 'leased' })], []));
  assert.deepEqual([leased.status, leased.next?.reason], ['in-progress', 'attempt']);
});

test('entries stand in order of time, also when an event was written after what it tells of', () => {
  const events = [
    event('accepted', 20),
    event('recovered', 60),
    event('delivered', 92, { attempt: attempt({ startedMs: START_MS + 50 }) }),
  ];
  const times = only(view([recipient()], events)).entries.map(({ atMs }) => atMs - START_MS);
  assert.deepEqual(times, [20, 50, 60]);
});

test('a leased recipient that waits in memory has the reason of its lane, and one that is being tried says so', () => {
  const leased = view([recipient({ state: 'leased' })], []);
  const waiting = timeline(leased, () => ({ reason: 'lane-rate', untilMs: START_MS + 500 })).recipients[0]?.next;
  assert.deepEqual([waiting?.reason, waiting?.atMs], ['lane-rate', START_MS + 500]);
  assert.equal(timeline(leased, () => undefined).recipients[0]?.next?.text, 'is being tried at this moment');
  assert.equal(timeline(leased).recipients[0]?.next?.text, 'is being tried, or has its turn soon');
});

test('a possible duplicate is marked on the recipient and on its attempt', () => {
  const told = view(
    [recipient({ possibleDuplicate: true })],
    [event('recovered', 10), event('delivered', 92, { attempt: attempt({ possibleDuplicate: true }) })],
  );
  const entry = only(told).entries.at(-1);
  assert.ok(entry?.kind === 'attempt' && entry.possibleDuplicate === true);
  const text = timelineText(timeline(told));
  assert.match(text, /bob@example\.net {2}waiting {2}possible duplicate/);
  assert.match(text, /an earlier attempt may have been delivered already/);
  assert.match(text, /its lease ended without a result/);
});

test('the dialogue of an attempt that did not succeed is shown', () => {
  const failed = attempt({
    reply: { code: 550, enhanced: '5.1.1', text: 'No such user' },
    dialogue: ['C: RCPT TO:<bob@example.net>', 'S: 550 5.1.1 No such user'],
  });
  const events = [event('failed', 92, { code: 550, bounceClass: 'invalid-recipient', attempt: failed })];
  const text = timelineText(timeline(view([recipient({ state: 'done', ending: 'failed' })], events)));
  assert.match(text, /attempt 1 to mx\.example\.net \[198\.51\.100\.3\]:25: failed/);
  assert.match(text, /550 5\.1\.1 No such user \[invalid-recipient\]/);
  assert.match(text, /\| S: 550 5\.1\.1 No such user/);
});

test('suppressed, cancelled, test-mode and notified recipients say so', () => {
  const events = [
    event('failed', 1, { code: 605, reason: 'suppress-bounce', text: 'Not delivering to previously bounced address' }),
    event('cancelled', 2),
    event('delivered', 3, { code: 650, testMode: true }),
    event('notified', 4, { dsn: { action: 'failed', message: 9 } }),
  ];
  const text = timelineText(timeline(view([recipient()], events)));
  assert.match(text, /the address is suppressed: Not delivering to previously bounced address \(605\)/);
  assert.match(text, /taken back by the sender/);
  assert.match(text, /test mode: counted as delivered, sent to nobody \(650\)/);
  assert.match(text, /the sender was notified \(failed\) with message 9/);
});

test('what strangers wrote cannot control a terminal', () => {
  const hostile = '\x1b]0;owned\x07\x9b31m\u202e\r\nfake line';
  const events = [
    event('failed', 92, {
      attempt: attempt({ host: hostile, reply: { code: 550, text: hostile }, dialogue: [hostile], trouble: hostile }),
    }),
  ];
  const message = view([recipient({ address: `${hostile}@example.net` })], events, {
    subject: hostile,
    from: hostile,
    to: hostile,
    origin: { address: '::1', helo: hostile },
  });
  const text = timelineText(timeline(message));
  assert.doesNotMatch(text, /[\0-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]/);
  assert.doesNotMatch(text, /^fake line/m);
  assert.doesNotMatch(JSON.stringify(timeline(message)), /\\u001b|\x9b/);
});

test('the text says what comes next and when it is given up', () => {
  const text = timelineText(timeline(view([recipient()], [event('accepted', 0)])));
  assert.match(text, /next +at 2026-11-23 14:05:00\.000: it waits for the next attempt after a temporary failure \[retry\]/);
  assert.match(text, /given up at 2026-11-28 14:00:00\.000/);
});

test('many recipients are counted, and those that need attention come first', () => {
  const many = Array.from({ length: 50 }, (_, i) =>
    recipient(
      i === 40 ? { id: i, address: 'stuck@example.net' } : { id: i, address: `r${i}@example.net`, state: 'done', ending: 'delivered' },
    ),
  );
  const text = timelineText(timeline(view(many, [])));
  assert.match(text, /stuck@example\.net {2}waiting/);
  assert.match(text, /50 recipients, .*1 waiting, 49 delivered/);
  assert.ok(text.indexOf('stuck@example.net') < text.indexOf('r0@example.net'));
  assert.equal(text.match(/^r\d+@example\.net/gm)?.length, 19);
});

test('colours are used only when asked for', () => {
  const told = timeline(view([recipient()], []));
  assert.doesNotMatch(timelineText(told), /\x1b/);
  assert.match(timelineText(told, { color: true }), /\x1b\[33mwaiting\x1b\[0m/);
});

test('what was tried before the host that took the mail is told with the attempt, and an attempt without a host leaves no empty line', () => {
  const before = 'mx1.example.net [192.0.2.1]: the connection was refused';
  const tried = timelineText(timeline(view([recipient()], [event('delivered', 92, { attempt: attempt({ before }) })])));
  assert.ok(tried.includes(`        before: ${before}\n`), tried);
  const nowhere = { number: 1, startedMs: START_MS, steps: { route: 3 } };
  assert.doesNotMatch(timelineText(timeline(view([recipient()], [event('deferred', 92, { attempt: nowhere })]))), /^\s+$/m);
});

test('opens and clicks are told, with what it was done and whether by a machine', () => {
  const client = { name: 'Chrome', os: 'Windows', type: 'browser', device: 'desktop', userAgent: 'x' };
  const unknown = { ...client, name: 'unknown', os: 'unknown', bot: 'apple' };
  const { recipients } = timeline(
    view(
      [recipient({ state: 'done', ending: 'delivered' })],
      [event('opened', 2000, { client: unknown }), event('clicked', 3000, { client, url: 'https://shop.example/\u001b[31m' })],
    ),
  );
  const texts = (recipients[0] as RecipientTimeline).entries.flatMap((entry) => (entry.kind === 'fact' ? [entry.text] : []));
  assert.deepEqual(texts, ['opened (a machine: apple)', 'followed the link to https://shop.example/ [31m, Chrome on Windows']);
});
