/** When mail goes and from where, as the sender asks: local times of recipients, best hours, and pools of sources, on the running program. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { DOMAIN, Installation, submit } from '../kit/installation.ts';
import { STORE } from '../kit/stores.ts';
import { until } from '../kit/until.ts';

const home = await Installation.make(
  { after },
  { 'delivery.time_zone': 'Asia/Kolkata', 'delivery.sources': JSON.stringify([{ address: '127.0.0.1', pool: 'receipts' }]) },
  { environment: { NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, '../kit/stepped-clock.ts')).href}` } },
);
const clockFile = join(home.data, 'clock');
const server = await home.start({}, { TEST_CLOCK_FILE: clockFile });

const HOUR_MS = 3_600_000;

/** "HH:mm" on clocks there at that moment. */
function clockIn(timeZone: string, ms: number): string {
  return new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(ms);
}

function arrivals(address: string): number {
  return home.sink.transactions.filter(({ recipients }) => recipients.some((recipient) => recipient.address === address)).length;
}

test('recipients of one call each get it when clocks show the time where they are', async () => {
  // Two minutes ahead in Tokyo: it comes up first there, and about half a day later in the others, which are many hours behind.
  const time = clockIn('Asia/Tokyo', Date.now() + 120_000);
  const messageId = await server.send(['tokyo@x.test', 'phoenix@x.test', 'unknown@x.test'], {
    'o:time-zone-localize': time,
    'recipient-variables': JSON.stringify({
      'tokyo@x.test': { timezone: 'Asia/Tokyo' },
      'phoenix@x.test': { timezone: 'America/Phoenix' },
    }),
  });
  const stories = await server.recipients(messageId);
  const zones: Record<string, string> = {
    'tokyo@x.test': 'Asia/Tokyo',
    // Without summer time, as all zones here: in a night of spring some times do not come, and in one of autumn some come twice.
    'phoenix@x.test': 'America/Phoenix',
    'unknown@x.test': 'Asia/Kolkata',
  };
  for (const { address, status, next, entries } of stories) {
    const zone = zones[address] as string;
    assert.equal(status, 'waiting');
    assert.equal(next?.reason, 'scheduled');
    assert.equal(clockIn(zone, next?.atMs as number), time, address);
    assert.ok((next?.atMs as number) - Date.now() <= 25 * 3_600_000 && (next?.atMs as number) >= Date.now() - 1000);
    assert.equal(entries.find(({ event }) => event === 'accepted')?.text, `accepted and on disk, for ${time} in ${zone}`);
  }
  assert.equal(new Set(stories.map(({ next }) => next?.atMs)).size, 3);
  assert.equal(arrivals('tokyo@x.test'), 0);
});

test('by SMTP the header asks for the local time, too', async () => {
  const time = clockIn('Asia/Kolkata', Date.now() + 7_200_000);
  const talk = await server.smtp();
  const reply = await submit(
    talk,
    ['smtp@x.test'],
    `From: app@${DOMAIN}\r\nSubject: later\r\nMessage-ID: <local@${DOMAIN}>\r\nX-Mailgun-Time-Zone-Localize: ${time}\r\n\r\nHello`,
  );
  assert.match(reply, /^250 /);
  talk.end();
  const [story] = await server.recipients(`local@${DOMAIN}`);
  assert.equal(clockIn('Asia/Kolkata', story?.next?.atMs as number), time);
});

test('a time zone that is none is refused with its name', async () => {
  const refused = await server.call('POST', `/v3/${DOMAIN}/messages`, {
    from: `app@${DOMAIN}`,
    to: 'x@x.test',
    text: 'x',
    'o:time-zone-localize': '08:30',
    'recipient-variables': '{"x@x.test": {"timezone": "Atlantis"}}',
  });
  assert.equal(refused.status, 400);
  assert.match(String(refused.body['message']), /^'timezone' of x@x\.test is not a time zone such as Europe\/Berlin.*Atlantis$/);
  const unclear = await server.call('POST', `/v3/${DOMAIN}/messages`, {
    from: `app@${DOMAIN}`,
    to: 'x@x.test',
    text: 'x',
    'o:time-zone-localize': '25:00',
  });
  assert.deepEqual([unclear.status, unclear.body['message']], [400, "25:00 invalid 24 hour time(value of 'o:time-zone-localize')"]);
});

test('nobody waits for a best hour that nothing tells, and the timeline says so', async () => {
  const messageId = await server.send('best@x.test', { 'o:deliverytime-optimize-period': '24h' });
  const [story] = await until(async () => {
    const stories = await server.recipients(messageId);
    return stories[0]?.status === 'delivered' && stories;
  }, 'it is delivered');
  assert.match(
    story?.entries.find(({ event }) => event === 'accepted')?.text ?? '',
    /sent without waiting for its best hour, as nothing is known/,
  );
});

test('a pool that there is serves; any other is refused in both protocols', async () => {
  const messageId = await server.send('pool@x.test', { 'o:sending-ip-pool': 'receipts' });
  await until(async () => (await server.recipients(messageId))[0]?.status === 'delivered', 'it is delivered');
  for (const pool of ['default', 'Receipts', 'nowhere']) {
    const refused = await server.call('POST', `/v3/${DOMAIN}/messages`, {
      from: `app@${DOMAIN}`,
      to: 'x@x.test',
      text: 'x',
      'o:sending-ip-pool': pool,
    });
    assert.deepEqual([refused.status, refused.body['message']], [403, `Rejected: IP pool ${pool} can't be used to send the message`]);
  }
  const talk = await server.smtp();
  const reply = await submit(talk, ['x@x.test'], `From: app@${DOMAIN}\r\nX-Mailgun-Sending-Ip-Pool: nowhere\r\n\r\nHello`);
  assert.match(reply, /^550[ -]5\.7\.1 Rejected: IP pool nowhere can't be used to send the message/);
  talk.end();
  assert.equal(arrivals('x@x.test'), 0);
});

// Many nodes go by their store's clock, which is not ours to step.
test('what waits for its local time goes when the time has come, and not before', { skip: STORE === 'postgres' }, async () => {
  const dueMs = Math.floor(Date.now() / 60_000) * 60_000 + 2 * HOUR_MS;
  const time = clockIn('Africa/Lagos', dueMs);
  const messageId = await server.send('lagos@x.test', { 'o:time-zone-localize': time, 'v:timezone': 'Africa/Lagos' });
  const [story] = await server.recipients(messageId);
  assert.equal(story?.next?.atMs, dueMs);
  writeFileSync(clockFile, String(HOUR_MS));
  const soon = await server.send('soon@x.test');
  await until(async () => (await server.recipients(soon))[0]?.status === 'delivered', 'other mail goes');
  assert.equal(arrivals('lagos@x.test'), 0);
  writeFileSync(clockFile, String(2 * HOUR_MS));
  await until(() => arrivals('lagos@x.test') === 1, 'it is delivered');
});
