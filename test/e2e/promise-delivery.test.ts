/** P3, P4, P5 and P7 on the running program: what becomes of mail when a process dies, when a connection breaks, and when we do not understand. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation, type RecipientStory } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const home = await Installation.make(
  { after },
  {},
  { zone: { 'silent.test': { refusal: 'silent' }, 'servfail.test': { refusal: 'SERVFAIL' }, 'garbage.test': { refusal: 'garbage' } } },
);
let server = await home.start();

const HOUR_MS = 3_600_000;

/** How often the sink got mail for the address. */
function arrivals(address: string): number {
  return home.sink.transactions.filter(({ recipients }) => recipients.some((recipient) => recipient.address === address)).length;
}

async function story(messageId: string): Promise<RecipientStory> {
  const [recipient] = await server.recipients(messageId);
  assert.ok(recipient !== undefined);
  return recipient;
}

function attempts({ entries }: RecipientStory): (readonly [result: string | undefined, possibleDuplicate: boolean])[] {
  return entries.filter(({ kind }) => kind === 'attempt').map(({ result, possibleDuplicate }) => [result, possibleDuplicate === true]);
}

test('P3: what is waiting, leased or being sent when the program is killed is delivered by the next, each or marked as repeated', async () => {
  const opened = Promise.withResolvers<void>();
  home.sink.configure({ gates: { dot: opened.promise } });
  const here = Array.from({ length: 60 }, (_, n) => `p3-${n}@x.test`);
  const messageId = await server.sendBatch(here);
  const later = await server.send('p3-later@x.test', { 'o:deliverytime': new Date(Date.now() + 2500).toUTCString() });
  const retried = await server.send('451-at-mail-once@x.test', { from: '451-at-mail-once@ours.test' });
  await until(() => home.sink.transactions.length >= 3, 'some are being sent');
  await server.kill();
  home.sink.configure({});
  opened.resolve();

  server = await home.start();
  for (const id of [messageId, later, retried]) {
    const recipients = await until(async () => {
      const all = await server.recipients(id);
      return all.every(({ status }) => status === 'delivered') && all;
    }, `every recipient of ${id} is delivered`);
    for (const { address, possibleDuplicate } of recipients) {
      assert.ok(arrivals(address) === 1 || possibleDuplicate, `${address} came ${arrivals(address)} times and is not marked`);
    }
  }
  for (const address of here) assert.ok(arrivals(address) >= 1, `${address} never came`);
});

test('P4: a connection that breaks after the final dot leads to one repeat, marked as a possible duplicate', async () => {
  const messageId = await server.send('drop-after-dot-once@x.test');
  const told = await until(async () => {
    const recipient = await story(messageId);
    return recipient.status === 'delivered' && recipient;
  }, 'it is delivered');
  assert.equal(arrivals('drop-after-dot-once@x.test'), 2);
  assert.equal(told.possibleDuplicate, true);
  assert.deepEqual(attempts(told), [
    ['deferred', false],
    ['delivered', true],
  ]);
  assert.equal(await isMarkedInEvents('drop-after-dot-once@x.test'), true);

  const plainId = await server.send('p4-plain@x.test');
  await until(async () => (await story(plainId)).status === 'delivered', 'one without trouble is delivered');
  assert.equal(await isMarkedInEvents('p4-plain@x.test'), false);
});

test('P4: a kill between the 250 of the other server and our commit leads to one repeat, marked as a possible duplicate', async () => {
  const opened = Promise.withResolvers<void>();
  home.sink.configure({ gates: { dot: opened.promise } });
  home.sink.dropAll();
  const messageId = await server.send('p4@x.test');
  await until(() => arrivals('p4@x.test') === 1, 'the message has arrived');
  const release = await home.store.holdCommits();
  opened.resolve();
  await until(() => home.sink.transactions.at(-1)?.isAcknowledged === true, 'the other server has said 250');
  await server.kill();
  await home.store.cutConnections();
  await release();
  home.sink.configure({});

  server = await home.start();
  const told = await until(async () => {
    const recipient = await story(messageId);
    return recipient.status === 'delivered' && recipient;
  }, 'it is delivered');
  assert.equal(arrivals('p4@x.test'), 2);
  assert.equal(told.possibleDuplicate, true);
  assert.deepEqual(attempts(told), [['delivered', true]]);
  assert.ok(told.entries.some(({ event }) => event === 'recovered'));
  assert.equal(await isMarkedInEvents('p4@x.test'), true);
});

/** As a program sees it that reads the events of the API. */
async function isMarkedInEvents(recipient: string): Promise<boolean> {
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?event=delivered&recipient=${recipient}`);
  const [event] = body['items'] as { 'delivery-status': Record<string, unknown> }[];
  assert.ok(event !== undefined);
  return event['delivery-status']['possible-duplicate'] === true;
}

test('P5: what we do not understand, a resolver that says nothing useful, and a bug of ours are temporary', async () => {
  const mailboxes = ['odd-code-at-rcpt', 'odd-code-at-dot', 'malformed-at-rcpt', 'malformed-at-dot', 'half-at-dot', 'mixed-at-rcpt'];
  // Not before its content is gone.
  const bugged = await server.send('p5@x.test', { 'o:deliverytime': new Date(Date.now() + HOUR_MS).toUTCString() });
  await forgetContent(bugged);
  await server.mustCall('PUT', `/v1/scheduled/${encodeURIComponent(bugged)}`, { 'o:deliverytime': new Date().toUTCString() });
  const strange = await Promise.all(mailboxes.map((mailbox) => server.send(`${mailbox}@x.test`)));
  for (const id of strange) assert.match(await deferral(id), /^the (server|connection) /);
  assert.match(await deferral(bugged), /internal error/);
  // From here on nothing has to be found any more: a resolver is not waited for long.
  await server.stop();
  server = await home.start({ 'dns.timeout': '300ms', 'dns.tries': '1' });
  for (const domain of ['silent.test', 'servfail.test', 'garbage.test'])
    assert.match(await deferral(await server.send(`a@${domain}`)), /^No MX/);
  await server.stop();
  server = await home.start();
});

/** What came of the first attempt, which must not be the end. */
async function deferral(messageId: string): Promise<string> {
  const told = await until(async () => {
    const recipient = await story(messageId);
    return recipient.attempts > 0 && recipient;
  }, `${messageId} is tried`);
  const [attempt] = told.entries.filter(({ kind }) => kind === 'attempt');
  assert.deepEqual([attempt?.result, told.status === 'failed'], ['deferred', false], `${told.address}: ${attempt?.reply ?? ''}`);
  return attempt?.reply ?? '';
}

/** A fault that none of our code expects: the content of accepted mail is gone. */
async function forgetContent(messageId: string): Promise<void> {
  await home.store.rows(`DELETE FROM content WHERE id = (SELECT id FROM message WHERE message_id = '${messageId}')`);
}

test('P7: nobody ever sees the state, the event, the suppression or the counter of an outcome without the others', async () => {
  const count = 100;
  const sending = server.sendBatch(Array.from({ length: count }, (_, n) => `550-p7-${n}@x.test`));
  const deadlineMs = performance.now() + 30_000;
  for (let failed = 0; failed < count;) {
    const facts = await factsOfFailures();
    assert.equal(new Set(facts).size, 1, `states, events, suppressions and counter: ${facts.join(', ')}`);
    failed = facts[0] as number;
    assert.ok(performance.now() < deadlineMs, `only ${failed} have failed`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await sending;
});

/** In one snapshot. */
async function factsOfFailures(): Promise<number[]> {
  const [row = {}] = await home.store.rows(
    `SELECT (SELECT count(*) FROM recipient WHERE address LIKE '550-p7-%' AND ending = 'failed') AS states,
      (SELECT count(*) FROM event e JOIN recipient r ON r.id = e.recipient WHERE e.kind = 3 AND r.address LIKE '550-p7-%') AS events,
      (SELECT count(*) FROM suppression WHERE address LIKE '550-p7-%') AS suppressions,
      (SELECT coalesce(sum(n), 0) FROM counter WHERE kind = 3) AS counted`,
  );
  return Object.values(row).map(Number);
}
