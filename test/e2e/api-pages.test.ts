import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { test } from 'node:test';
import { startRig } from './api-kit.ts';
import type { ApiRig } from './api-kit.ts';

const HOSTILE = '<img src=x onerror=alert(1)>"\'';
const PAGE = { accept: 'text/html' };

async function capture(rig: ApiRig, mime: string, sender = 'ann@example.org'): Promise<number> {
  const bytes = new TextEncoder().encode(mime);
  return rig.store.sandbox.capture(
    {
      atMs: Date.now(),
      sender,
      recipients: ['bob@example.net'],
      sizeBytes: bytes.length,
      subject: `Subject ${HOSTILE}`,
      from: sender,
      bytes,
    },
    100,
  );
}

const MIME = [
  'From: Ann <ann@example.org>',
  'To: bob@example.net',
  `Subject: Subject ${HOSTILE}`,
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=m',
  '',
  '--m',
  'Content-Type: text/html; charset=utf-8',
  '',
  '<p>Hi <script>alert(1)</script><img src="cid:logo"></p>',
  '--m',
  'Content-Type: image/png; name=logo.png',
  'Content-Id: <logo>',
  'Content-Disposition: inline; filename=logo.png',
  'Content-Transfer-Encoding: base64',
  '',
  'aGVsbG8=',
  '--m',
  'Content-Type: text/html; name=evil.html',
  'Content-Disposition: attachment; filename=evil.html',
  '',
  '<script>alert(2)</script>',
  '--m--',
  '',
].join('\r\n');

test('the page at /', async (t) => {
  await using rig = await startRig();
  const id = await capture(rig, MIME);
  const body = new URLSearchParams({
    from: `"${HOSTILE.replaceAll('"', '')}" <ann@example.org>`,
    to: 'bob@example.net',
    subject: HOSTILE,
    text: 'x',
  });
  assert.equal((await rig.fetch('/v3/example.org/messages', { method: 'POST', body })).status, 200);

  await t.test('is a word of plain text to programs and a page to browsers, with a key', async () => {
    const plain = await fetch(`${rig.url}/`);
    assert.deepEqual([plain.status, await plain.text()], [200, 'Postrider\n']);
    const asked = await fetch(`${rig.url}/`, { headers: PAGE });
    assert.equal(asked.status, 401);
    assert.match(asked.headers.get('www-authenticate') ?? '', /^Basic/);
    assert.equal((await rig.fetch('/', { headers: PAGE })).status, 200);
  });

  await t.test('escapes what strangers wrote, on every page', async () => {
    const [view] = await rig.store.events.latestMessages(rig.tenant.accountId, 1);
    for (const path of ['/', `/-/messages/${view?.message.id}`, `/-/sandbox/${id}`]) {
      const page = await (await rig.fetch(path, { headers: PAGE })).text();
      assert.ok(page.includes('&lt;img src=x onerror=alert(1)&gt;'), path);
      assert.ok(!page.includes('<img src=x'), path);
    }
  });

  await t.test('allows no inline script, no framing and nothing from elsewhere', async () => {
    const policy = (await rig.fetch('/', { headers: PAGE })).headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'self'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
  });

  await t.test('shows a mail’s own HTML only under a sandbox policy, its images as data', async () => {
    const frame = await rig.fetch(`/-/sandbox/${id}/html`);
    assert.match(
      frame.headers.get('content-security-policy') ?? '',
      /^sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'/,
    );
    assert.match(await frame.text(), /<base target="_blank">[^]*src="data:image\/png;base64,aGVsbG8="/);
    const page = await (await rig.fetch(`/-/sandbox/${id}`)).text();
    assert.match(page, /<iframe\s[^>]*sandbox="allow-popups allow-popups-to-escape-sandbox"/);
    assert.doesNotMatch(page, /<script>alert/);
  });

  await t.test('hands attachments out as downloads', async () => {
    const file = await rig.fetch(`/-/sandbox/${id}/attachments/1`);
    assert.match(file.headers.get('content-disposition') ?? '', /^attachment; filename="evil\.html"/);
    assert.equal(file.headers.get('x-content-type-options'), 'nosniff');
  });

  await t.test('keeps accounts apart', async () => {
    const other = await rig.addTenant('other', 'other.example');
    const [view] = await rig.store.events.latestMessages(rig.tenant.accountId, 1);
    for (const path of [
      `/-/messages/${view?.message.id}`,
      `/-/sandbox/${id}`,
      `/v1/sandbox/messages/${id}`,
      `/v1/sandbox/messages/${id}/raw`,
      `/v1/messages/${view?.message.id}`,
      `/v1/messages/${view?.message.messageId}`,
    ]) {
      assert.equal((await rig.fetch(path, { key: other.key })).status, 404, path);
    }
    assert.deepEqual(await (await rig.fetch('/v1/sandbox/messages', { key: other.key })).json(), { items: [] });
    assert.deepEqual(await (await rig.fetch('/v1/messages', { key: other.key })).json(), { items: [] });
    assert.deepEqual(await (await rig.fetch('/v1/messages?recipient=bob@example.net', { key: other.key })).json(), { items: [] });
    assert.equal((await rig.fetch(`/v1/messages/${view?.message.id}`, { key: other.key, method: 'DELETE' })).status, 404);
    assert.equal((await rig.fetch('/v1/sandbox/messages', { key: other.key, method: 'DELETE' })).status, 403);
    assert.equal((await rig.fetch('/v1/queue', { key: other.key })).status, 403);
  });
});

test('in development mode the page is open to this machine, under its own names only', async () => {
  await using rig = await startRig({ openPage: { accountId: 1, curl: "curl -s --user 'api:KEY' …" } });
  const page = await fetch(`${rig.url}/`, { headers: PAGE });
  assert.equal(page.status, 200);
  assert.match(await page.text(), /curl -s --user &#39;api:KEY&#39;/);
  // A name of an attacker's that points to this machine (DNS rebinding).
  const { request } = await import('node:http');
  const status = await new Promise((resolve) =>
    request({ port: rig.api.port, headers: { ...PAGE, host: 'attacker.example' } }, (answer) => resolve(answer.resume().statusCode)).end(),
  );
  assert.equal(status, 401);
});

test('/v1/sandbox/messages', async (t) => {
  await using rig = await startRig();
  await t.test('shows a message parsed, with its DKIM signatures checked against the keys that are held here', async () => {
    const { dkimSign } = (await import('mailauth/lib/dkim/sign.js')) as unknown as {
      dkimSign: (input: Buffer, options: object) => Promise<{ signatures: string }>;
    };
    const [signing] = await rig.accounts.signingKeys(rig.tenant.domain.id);
    assert.ok(signing !== undefined);
    const privateKey = createPrivateKey(signing.key.export({ type: 'pkcs8', format: 'pem' }) as string).export({
      type: 'pkcs8',
      format: 'pem',
    });
    const mime = 'From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: Signed\r\n\r\nhello\r\n';
    const { signatures } = await dkimSign(Buffer.from(mime), {
      signatureData: [{ signingDomain: 'example.org', selector: signing.selector, privateKey }],
    });
    const signed = await capture(rig, `${signatures.trimEnd()}\r\n${mime}`);
    const forged = await capture(rig, `${signatures.trimEnd()}\r\n${mime.replace('hello', 'jello')}`);
    const check = async (id: number): Promise<[domain: string, isPass: boolean][]> => {
      const mail = (await (await rig.fetch(`/v1/sandbox/messages/${id}`)).json()) as { dkim: { domain: string; result: string }[] };
      return mail.dkim.map((item) => [item.domain, item.result === 'pass']);
    };
    assert.deepEqual(await check(signed), [['example.org', true]]);
    assert.deepEqual(await check(forged), [['example.org', false]]);
  });
  await t.test('lists, gives raw bytes, and is cleared', async () => {
    const id = await capture(rig, MIME);
    const { items } = (await (await rig.fetch('/v1/sandbox/messages?limit=1')).json()) as { items: { id: number; subject: string }[] };
    assert.equal(items[0]?.id, id);
    const raw = await rig.fetch(`/v1/sandbox/messages/${id}/raw`);
    assert.equal(await raw.text(), MIME);
    assert.equal(((await (await rig.fetch('/v1/sandbox/messages', { method: 'DELETE' })).json()) as { deleted: number }).deleted, 3);
    assert.equal((await rig.fetch(`/v1/sandbox/messages/${id}`)).status, 404);
  });
});

test('/v1/messages tells where a message is, and takes it back', async () => {
  await using rig = await startRig();
  const body = new URLSearchParams({
    from: 'ann@example.org',
    to: 'bob@example.net',
    subject: 'Later',
    text: 'x',
    'o:deliverytime': String(Math.floor(Date.now() / 1000) + 3600),
  });
  const sent = (await (await rig.fetch('/v3/example.org/messages', { method: 'POST', body })).json()) as { id: string };
  for (const id of [encodeURIComponent(sent.id), sent.id.slice(1, -1)]) {
    const story = (await (await rig.fetch(`/v1/messages/${id}`)).json()) as {
      subject: string;
      recipients: { status: string; next: { reason: string } }[];
    };
    assert.equal(story.subject, 'Later');
    assert.equal(story.recipients[0]?.status, 'waiting');
    assert.equal(story.recipients[0]?.next.reason, 'scheduled');
  }
  const { items } = (await (await rig.fetch('/v1/messages?recipient=bob@example.net')).json()) as {
    items: { id: number; recipients: { wait: string }[] }[];
  };
  assert.equal(items[0]?.recipients[0]?.wait, 'scheduled');
  const cancelled = await rig.fetch(`/v1/messages/${items[0]?.id}`, { method: 'DELETE' });
  assert.deepEqual(await cancelled.json(), { message: 'Cancelled', cancelled: 1 });
});

test('what operators’ machines ask', async (t) => {
  let isReady = true;
  await using rig = await startRig({}, { isReady: () => isReady });
  await t.test('/healthz and /readyz need no key', async () => {
    assert.equal((await fetch(`${rig.url}/healthz`)).status, 200);
    assert.equal((await fetch(`${rig.url}/readyz`)).status, 200);
    isReady = false;
    const response = await fetch(`${rig.url}/readyz`);
    assert.equal(response.status, 503);
    isReady = true;
  });
  await t.test('/metrics needs a key, or one of the networks that may read it', async () => {
    assert.equal((await fetch(`${rig.url}/metrics`)).status, 401);
    const text = await (await rig.fetch('/metrics')).text();
    assert.match(text, /^postrider_queue_recipients\{state="queued"\} 0$/m);
    assert.match(text, /^process_resident_memory_bytes \d+$/m);
    await using open = await startRig({ metricsNetworks: ['127.0.0.0/8'] });
    assert.equal((await fetch(`${open.url}/metrics`)).status, 200);
  });
  await t.test('/v1/queue shows depth by domain, to admin keys', async () => {
    await rig.fetch('/v3/example.org/messages', {
      method: 'POST',
      body: new URLSearchParams({ from: 'a@example.org', to: 'b@example.net', text: 'x' }),
    });
    const queue = (await (await rig.fetch('/v1/queue')).json()) as { queued: number; domains: { domain: string }[] };
    assert.equal(queue.queued, 1);
    assert.equal(queue.domains[0]?.domain, 'example.net');
    const { secret } = await rig.accounts.createKey({ accountId: rig.tenant.accountId, role: 'developer' });
    assert.equal((await rig.fetch('/v1/queue', { key: secret })).status, 403);
  });
});
