/**
 * Certificates in the running program: the host of a domain's links gets one from an authority that really looks here, it is served to who asks for that host, and
 * links of mail lead there from then on.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { after, test } from 'node:test';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { startAcmeServer } from '../kit/acme-server.ts';
import { DOMAIN, Installation } from '../kit/installation.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';

const HOST = `email.${DOMAIN}`;
const OWN = 'mail.ours.test';
const TOLD_MS = 15_000;

const ca = await startAcmeServer();
after(() => ca[Symbol.asyncDispose]());
const home = await Installation.make(
  { after },
  {
    'sandbox.capture': 'true',
    'http.tls_listen': '127.0.0.1:0',
    'http.public_url': `https://${OWN}`,
    'tls.acme.accept_terms': 'true',
    'tls.acme.email': 'ops@ours.test',
    'tls.acme.directory': ca.directory,
    'tls.acme.names': OWN,
    'smtp.hostname': OWN,
  },
  {
    zone: {
      [OWN]: { A: ['127.0.0.1'] },
      [HOST]: { CNAME: OWN },
      'links.ours.test': { A: ['127.0.0.1'] },
      'stray.ours.test': { A: ['192.0.2.9'] },
    },
  },
);
// The authority looks on the program's own port for HTTP, which is known once it is open: what it asks sooner waits for that.
let httpPort = 0;
const port80 = createServer((socket) => {
  const go = (): void => {
    const on = connectTcp(httpPort, '127.0.0.1');
    socket.pipe(on).pipe(socket);
    socket.on('error', () => on.destroy());
    on.on('error', () => socket.destroy());
  };
  const look = setInterval(() => {
    if (httpPort === 0) return;
    clearInterval(look);
    go();
  }, 5);
});
await new Promise<void>((resolve) => port80.listen(0, '127.0.0.1', resolve));
after(() => port80.close());
ca.challengePort = (port80.address() as AddressInfo).port;
const server = await home.start();
httpPort = Number(new URL(server.url).port);
const tlsPort = Number(server.program.doors.get('https')?.[0]?.split(':').at(-1));

/** The certificate that a client gets which asks for that host; '' names none. */
function shown(servername: string): Promise<{ readonly peer: PeerCertificate; readonly isTrusted: boolean }> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ port: tlsPort, host: '127.0.0.1', servername, ca: ca.root, rejectUnauthorized: false }, () => {
      resolve({ peer: socket.getPeerCertificate(), isTrusted: socket.authorized });
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

interface Status {
  readonly status: string;
  readonly error: string;
  readonly certificate: string;
  readonly not_after?: string;
}
const statusOf = async (path: string): Promise<Status> =>
  (await server.mustCall('GET', `/v2/x509/${path}/status`)).body as unknown as Status;
const isActive = (path: string): Promise<Status> =>
  until(async () => {
    const now = await statusOf(path).catch(() => undefined);
    return now?.status === 'active' && now;
  }, `a certificate for ${path}`);

test('names of the installation get theirs without being asked for, and SMTP has it too', async () => {
  await until(async () => (await shown(OWN)).isTrusted, 'the own name has a certificate');
  await until(async () => {
    const talk = await SmtpTalk.open(server.smtpPort);
    await talk.say('EHLO client.test');
    await talk.say('STARTTLS');
    await talk.startTls({ servername: OWN, ca: ca.root, rejectUnauthorized: false });
    const { authorized } = talk.socket as TLSSocket;
    talk.destroy();
    return authorized;
  }, 'SMTP shows it');
});

test('until it has one, a host is answered with the own certificate, and links lead to the public URL', async () => {
  const { peer, isTrusted } = await shown(HOST);
  assert.equal(isTrusted, false);
  assert.equal(peer.subject.CN, OWN, 'the self-signed one');
  assert.equal((await shown('')).isTrusted, false);
  const none = await server.call('GET', `/v2/x509/${DOMAIN}/status`);
  assert.equal(none.status, 404);
  assert.equal(none.body['Description'], 'Please initiate x509 key pair generation at POST /v2/x509/{domain}');
  assert.equal((await server.call('PUT', `/v2/x509/${DOMAIN}`)).status, 404);
});

test('a host whose owner chooses https gets a certificate, is served with it, and links lead there', async () => {
  await server.mustCall('PUT', `/v4/domains/${DOMAIN}/verify`);
  await server.mustCall('PUT', `/v4/domains/${DOMAIN}`, { web_scheme: 'https' });
  const { certificate, error, not_after: until_ } = await isActive(DOMAIN);
  assert.equal(error, '');
  const leaf = new X509Certificate(certificate);
  assert.equal(leaf.checkHost(HOST), HOST);
  assert.equal(Date.parse(until_ ?? ''), leaf.validToDate.getTime());
  assert.equal((await statusOf(HOST)).status, 'active', 'by the name of the host');
  assert.equal((await statusOf(`${DOMAIN}}`)).status, 'active', 'with the brace too many of one client');
  // The store has it a moment before the door is told; a door that were not told would find it after half a minute only.
  const { peer } = await until(
    async () => {
      const now = await shown(HOST);
      return now.isTrusted && now;
    },
    'it is served',
    TOLD_MS,
  );
  assert.equal(peer.subjectaltname, `DNS:${HOST}`);
  await server.mustCall('PUT', `/v4/domains/${DOMAIN}/verify`);
  const link = await until(async () => {
    await server.send('alice@x.test', { html: '<a href="https://shop.example/">Shop</a>', 'o:tracking-clicks': 'yes' });
    const { body } = await server.mustCall('GET', '/v1/sandbox/messages?limit=1');
    const id = (body['items'] as { readonly id: number }[])[0]?.id;
    const raw = id === undefined ? '' : (await server.mustCall('GET', `/v1/sandbox/messages/${id}/raw`)).text.replaceAll('=\r\n', '');
    return new RegExp(`https://${HOST}/c/[\\w-]+`).exec(raw)?.[0];
  }, 'a link that leads to the host');
  const followed = await new Promise<{ status: number | undefined; location: string | undefined }>((resolve, reject) => {
    const asked = request(
      { host: '127.0.0.1', port: tlsPort, path: new URL(link).pathname, servername: HOST, ca: ca.root, headers: { host: HOST } },
      (response) => {
        response.resume();
        resolve({ status: response.statusCode, location: response.headers.location });
      },
    );
    asked.on('error', reject);
    asked.end();
  });
  assert.deepEqual(followed, { status: 302, location: 'https://shop.example/' });
});

test('asking again for one that stands is refused in the words of the hosted service', async () => {
  const twice = await server.call('POST', `/v2/x509/${DOMAIN}`);
  assert.equal(twice.status, 409);
  assert.equal(twice.body['Description'], `x509 key pair generation has already been initiated for ${DOMAIN}`);
  const still = await server.call('PUT', `/v2/x509/${DOMAIN}`);
  assert.equal(still.status, 409);
  assert.match(String(still.body['Description']), /^x509 certificate is still valid until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC$/);
});

test('one can be asked for, of a host whose addresses are ours; of one that leads elsewhere not', async () => {
  const web = (prefix: string) => server.mustCall('PUT', `/v3/domains/${DOMAIN}/web_prefix`, { web_prefix: prefix });
  await server.mustCall('PUT', `/v4/domains/${DOMAIN}`, { web_scheme: 'http' });
  await web('stray');
  const orders = ca.orders.length;
  const refused = await server.call('POST', `/v2/x509/${DOMAIN}`);
  assert.equal(refused.status, 400);
  assert.equal(refused.body['Reason'], 'invalid CNAME record');
  assert.match(String(refused.body['message']), /192\.0\.2\.9/);
  assert.equal(ca.orders.length, orders);
  await web('links');
  const begun = await server.call('POST', `/v2/x509/${DOMAIN}`);
  assert.deepEqual(
    [begun.status, begun.body],
    [202, { message: 'Initiated x509 key pair generation', location: `/v2/x509/${DOMAIN}/status` }],
  );
  await isActive(DOMAIN);
  assert.ok((await shown('links.ours.test')).isTrusted);
  assert.ok((await shown(HOST)).isTrusted, 'links of mail that was sent go on leading to the former host');
});

test('an authority is answered at its path alone, and nobody learns more', async () => {
  for (const path of ['x', 'a'.repeat(22), `${'a'.repeat(300)}`, '..%2f..%2fhealthz'])
    assert.equal((await fetch(`${server.url}/.well-known/acme-challenge/${path}`)).status, 404);
});

test('what is obtained goes on being served after a stop, and by a server that agreed to no terms', async () => {
  await server.stop();
  const next = await home.start({ 'tls.acme.accept_terms': 'false' });
  const port = Number(next.program.doors.get('https')?.[0]?.split(':').at(-1));
  const isTrusted = await new Promise<boolean>((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername: HOST, ca: ca.root, rejectUnauthorized: false }, () => {
      resolve(socket.authorized);
      socket.destroy();
    });
    socket.on('error', reject);
  });
  assert.ok(isTrusted);
  const refused = await next.call('POST', `/v2/x509/${DOMAIN}`);
  assert.equal(refused.status, 402);
  await next.stop();
});
