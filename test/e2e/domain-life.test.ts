/** What the settings of a domain do to its mail in the running program: nothing is kept of it, or for how long; and what becomes of mail when the domain goes. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const home = await Installation.make({ after }, { 'dkim.sign': 'true', 'delivery.retry': '1s' });
const server = await home.start();

const change = (fields: Record<string, string>) => server.mustCall('PUT', `/v4/domains/${DOMAIN}`, fields);

/** Where the API keeps the content of the only message to the address. */
async function storagePath(address: string): Promise<string> {
  return until(async () => {
    const { body } = await server.call('GET', `/v3/${DOMAIN}/events?recipient=${address}&event=delivered`);
    const [event] = body['items'] as { storage?: { key: string } }[];
    return event !== undefined && `/v3/domains/${DOMAIN}/messages/${event.storage?.key}`;
  }, `${address} is delivered`);
}

test('a domain keeps contents, unless it wants none kept: then they go with the last delivery', async () => {
  await server.send('kept@x.test', { text: 'kept' });
  const kept = await storagePath('kept@x.test');
  assert.equal((await server.call('GET', kept)).status, 200);
  await change({ zero_content: 'yes' });
  await server.send('gone@x.test', { text: 'gone' });
  const gone = await storagePath('gone@x.test');
  await until(async () => (await server.call('GET', gone)).status === 404, 'the content is gone');
  assert.equal((await server.call('GET', kept)).status, 200);
});

test('with several recipients the content stays until the last one has it', async () => {
  await change({ zero_content: 'yes' });
  await server.send(['early@x.test', '451-once@x.test'], { text: 'for both' });
  const path = await storagePath('451-once@x.test');
  await until(async () => (await server.call('GET', path)).status === 404, 'the content is gone');
});

test('a domain that keeps no content cannot have copies posted', async () => {
  await change({ zero_content: 'yes' });
  const fields = { from: `a@${DOMAIN}`, to: 'x@x.test', text: 'x', 'o:archive-to': 'https://hooks.test/' };
  assert.equal((await server.call('POST', `/v3/${DOMAIN}/messages`, fields)).status, 400);
  assert.equal((await server.call('PUT', `/v4/domains/${DOMAIN}`, { archive_to: 'https://hooks.test/' })).status, 400);
});

test('what a domain has queued when it is deleted is delivered, signed with its keys', async () => {
  await change({ zero_content: 'no' });
  const inTwoSeconds = new Date(Date.now() + 2000).toUTCString();
  await server.send('later@x.test', { text: 'later', 'o:deliverytime': inTwoSeconds });
  await server.mustCall('DELETE', `/v3/domains/${DOMAIN}`);
  assert.equal((await server.call('GET', `/v4/domains/${DOMAIN}`)).status, 404);
  const got = await until(
    () => home.sink.transactions.find(({ recipients }) => recipients.some(({ address }) => address === 'later@x.test')),
    'the mail of the deleted domain is delivered',
  );
  assert.match(got.bytes.toString('latin1'), new RegExp(`DKIM-Signature:[^]*d=${DOMAIN.replace('.', '\\.')};`));
});
