/** A real server on the other side: Postfix takes our mail and finds out later that it has no such mailbox; and it brings mail of its own users to our door. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTransport } from 'nodemailer';
import { freePort } from '../kit/free-port.ts';
import { startHttpReceiver } from '../kit/http-receiver.ts';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { startPostfix } from '../kit/postfix.ts';
import { until } from '../kit/until.ts';
import { formOf, inboundPort } from './inbound-routes-kit.ts';

interface SeenEvent {
  readonly event: string;
  readonly reason?: string;
  readonly severity?: string;
  readonly 'delivery-status'?: { readonly code: number; readonly 'enhanced-code'?: string; readonly message?: string };
}

test('what Postfix took and bounces later is a delayed bounce of its recipient, who is written to no more; what its users send comes to routes', async (t) => {
  const port = await freePort();
  const home = await Installation.make(
    t,
    {
      'smtp.inbound': '127.0.0.1:0',
      'inbound.unknown_sender': 'accept',
      'delivery.port': String(port),
      // It is asked once, and of this process.
      'dns.timeout': '30s',
      'bounces.domain': 'returns.test',
      'webhooks.allow_networks': '127.0.0.0/8',
    },
    { zone: { 'post.test': { A: ['127.0.0.1'] }, 'hooks.test': { A: ['127.0.0.1'] } } },
  );
  const server = await home.start();
  const postfix = await startPostfix(t, { port, domain: 'post.test', relayPort: inboundPort(server) });
  if ('missing' in postfix) return t.skip(postfix.missing);

  const id = await server.send('nobody@post.test', { html: '<p>Grüße</p>' });
  const events = async (): Promise<readonly SeenEvent[]> => {
    const { body } = await server.mustCall('GET', `/v3/${DOMAIN}/events?ascending=yes&message-id=${encodeURIComponent(id)}`);
    return body['items'] as SeenEvent[];
  };
  const all = await until(async () => {
    const seen = await events();
    return seen.some(({ event }) => event === 'failed') && seen;
  }, `the bounce; Postfix says: ${postfix.log()}`);
  assert.deepEqual(
    all.map(({ event }) => event),
    ['accepted', 'delivered', 'failed'],
  );
  for (const failed of all.filter(({ event }) => event === 'failed')) {
    assert.deepEqual([failed.reason, failed.severity], ['delayed-bounce', 'permanent']);
    assert.match(JSON.stringify(failed['delivery-status']), /There is no such mailbox after all/);
  }
  await server.mustCall('GET', `/v3/${DOMAIN}/bounces/nobody@post.test`);
  // It writes its log in a process of its own.
  for (const line of [/status=bounced .*There is no such mailbox after all/, /TLS connection established to 127\.0\.0\.1/])
    await until(() => line.test(postfix.log()), `${line} in Postfix's log`);

  const hooks = await startHttpReceiver();
  t.after(() => hooks.close());
  const action = `forward("http://hooks.test:${hooks.port}/in")`;
  await server.mustCall('POST', '/v3/routes', { expression: `match_recipient("orders@${DOMAIN}")`, action });
  const user = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
  t.after(() => user.close());
  const attachments = [{ filename: 'Größe.pdf', content: Buffer.alloc(200_000, 'pdf ') }];
  await user.sendMail({ from: 'ann@post.test', to: `orders@${DOMAIN}`, subject: 'An order', text: 'Two apples.', attachments });
  const [posted] = await until(() => (hooks.received.length > 0 ? hooks.received : undefined), `the order; Postfix says: ${postfix.log()}`);
  assert.ok(posted);
  const { fields, files } = await formOf(posted);
  assert.deepEqual(
    ['sender', 'recipient', 'subject', 'stripped-text'].map((name) => fields.find(([each]) => each === name)?.[1]?.trim()),
    ['ann@post.test', `orders@${DOMAIN}`, 'An order', 'Two apples.'],
  );
  assert.equal(files.get('attachment-1')?.size, 200_000);
});
