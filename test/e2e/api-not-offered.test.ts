/** What the hosted service has and this one has not: said in a sentence, to who has a key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRig } from './api-kit.ts';

const ASKED: readonly (readonly [method: string, path: string, status: number, word: RegExp])[] = [
  ['GET', '/v4/inbox/results/r1', 404, /Inbox placement/],
  ['POST', '/v4/inbox/tests', 404, /Inbox placement/],
  ['GET', '/v1/preview/tests/t1/results', 404, /Previews/],
  ['POST', '/v2/preview/tests', 404, /Previews/],
  ['POST', '/v1/inspect/accessibility', 404, /inspection/],
  ['GET', '/v1/inboxready/domains', 404, /reputation/],
  ['GET', '/v1/dmarc/domains', 404, /reputation/],
  ['GET', '/v1/reputationanalytics/gpt', 404, /reputation/],
  ['GET', '/v1/maverick-score', 404, /reputation/],
  ['GET', '/v1/monitoring/domains', 404, /reputation/],
  ['GET', '/v2/spamtraps', 404, /reputation/],
  ['GET', '/v3/domains/example.org/blocklists', 404, /reputation/],
  ['POST', '/v3/ips/192.0.2.1/ip_band', 403, /configuration/],
  ['GET', '/v3/ips/request/new', 403, /configuration/],
  ['POST', '/v3/ips/request/new', 403, /configuration/],
  ['POST', '/v5/accounts/resend_activation_email', 403, /activation/],
  ['GET', '/v1/bounce-classification/stats', 404, /v2/],
  ['GET', '/v1/bounce-classification/domains', 404, /v2/],
  ['GET', '/v1/bounce-classification/domains/example.org/entities', 404, /v2/],
  ['GET', '/v1/bounce-classification/domains/example.org/entities/e1/rules', 404, /v2/],
  ['GET', '/v1/bounce-classification/domains/example.org/events', 404, /v2/],
  ['GET', '/v1/bounce-classification/config/entities', 404, /v2/],
  ['GET', '/v1/bounce-classification/config/rules', 404, /v2/],
  ['POST', '/v3/lists/all@example.org/validate', 404, /one by one/],
  ['GET', '/v3/lists/all@example.org/validate', 404, /one by one/],
  ['DELETE', '/v3/lists/all@example.org/validate', 404, /one by one/],
  ['GET', '/v4/address/validate/preview', 404, /one by one/],
  ['POST', '/v4/address/validate/preview/p1', 404, /one by one/],
  ['PUT', '/v4/address/validate/preview/p1', 404, /one by one/],
  ['DELETE', '/v4/address/validate/preview/p1', 404, /one by one/],
  ['GET', '/v3/exports', 404, /logs/],
  ['POST', '/v3/exports', 404, /logs/],
  ['GET', '/v3/exports/e1', 404, /logs/],
  ['GET', '/v3/exports/e1/download_url', 404, /logs/],
  ['GET', '/v3/example.org/mailboxes', 404, /credentials/],
  ['GET', '/v1/alerts/slack/channels', 404, /webhook/],
];

test('what is not offered is refused with a sentence, after the key was checked, and not described', async () => {
  await using rig = await startRig();
  for (const [method, path, status, word] of ASKED) {
    const response = await rig.fetch(path, { method });
    assert.equal(response.status, status, `${method} ${path}`);
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
    assert.match(((await response.json()) as { message: string }).message, word, `${method} ${path}`);
    assert.equal((await rig.fetch(path, { method, key: 'wrong' })).status, 401, `${method} ${path}`);
  }
  const { paths } = (await (await fetch(`${rig.url}/openapi.json`)).json()) as { paths: Record<string, unknown> };
  assert.deepEqual(
    Object.keys(paths).filter((path) => /inbox|preview\/tests|validate\/preview|blocklists|exports|mailboxes/.test(path)),
    [],
  );
});
