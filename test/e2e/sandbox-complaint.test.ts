/** complain@ in the running program: the way from a delivery to a suppressed address that a real complaint takes. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const home = await Installation.make({ after }, { 'sandbox.capture': 'true' });
const server = await home.start();

async function eventsOf(messageId: string): Promise<readonly string[]> {
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?ascending=yes&message-id=${encodeURIComponent(messageId)}`);
  return (body['items'] as { event: string }[]).map(({ event }) => event);
}

test('complain@ takes its mail, then complains: an event, and no further mail', async () => {
  const first = await server.send('complain+order-17@example.com');
  // The complaint does not wait for the end of the delivery.
  const events = await until(async () => {
    const seen = await eventsOf(first);
    return seen.includes('complained') && seen.includes('delivered') && seen;
  }, 'a complained event');
  assert.deepEqual(events, ['accepted', 'delivered', 'complained']);
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/complaints/complain%2Border-17@example.com`);
  assert.equal(body['address'], 'complain+order-17@example.com');

  const second = await server.send('complain+order-17@example.com');
  const story = await until(async () => {
    const [recipient] = await server.recipients(second);
    return recipient?.status === 'suppressed' && recipient;
  }, 'the second message to be suppressed');
  assert.ok(story.entries.some(({ code }) => code === 607));
});

test('nobody else complains', async () => {
  const id = await server.send('alice@example.com');
  await until(async () => (await eventsOf(id)).includes('delivered'), 'the delivery');
  const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/complaints`);
  assert.equal((body['items'] as unknown[]).length, 1);
});
