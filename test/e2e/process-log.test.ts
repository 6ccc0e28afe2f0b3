/** What the running program writes to its log, also at its most talkative: no secret, no content, and no line that a stranger has forged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Buffer } from 'node:buffer';
import { DOMAIN, Installation, KEY, submit } from '../kit/installation.ts';
import { startSink } from '../kit/sink.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';

const PASSWORD = 'pass-phrase-of-the-login';
const WRONG_PASSWORD = 'mistyped-pass-phrase';
const WRONG_KEY = 'key-that-nobody-was-given';
const SMART_PASSWORD = 'pass-phrase-of-the-smart-host';
const BODY = 'confidential-words-of-the-body';
const SECRETS = [KEY, PASSWORD, WRONG_PASSWORD, WRONG_KEY, SMART_PASSWORD, BODY];
/** What a forger would write: a line end, then a line as ours look. */
const FORGED = `\n{"level":"error","time":"2026-01-01T00:00:00.000Z","msg":"forged"}\n00:00:00.000 ERROR forged`;

const plain = (login: string, password: string): string => `AUTH PLAIN ${Buffer.from(`\0${login}\0${password}`).toString('base64')}`;

for (const format of ['json', 'text']) {
  test(`the log as ${format} tells no secret and no content, and every line of it is ours`, async (t) => {
    const home = await Installation.make(
      t,
      {
        'log.level': 'debug',
        'log.format': format,
        'smtp.auth_without_tls': 'loopback',
        'smtp.trusted': JSON.stringify([{ cidr: '127.0.0.1/32', domain: DOMAIN }]),
        'delivery.routes': JSON.stringify([
          { match: 'smart.test', host: 'smart.test', port: 1, tls: 'none', username: 'us', password: SMART_PASSWORD },
        ]),
      },
      {
        zone: {
          'smart.test': { A: ['127.0.0.1'] },
          'broken-tls.test': { A: ['127.0.0.2'] },
          'evil.test': { MX: [[10, 'mx\nforged.test']] },
          'mx\nforged.test': { A: ['127.0.0.2'] },
        },
      },
    );
    const broken = await startSink({ address: '127.0.0.2', port: home.sink.port, tls: 'starttls', tlsTrouble: 'garbage' });
    t.after(() => broken.close());
    const server = await home.start();
    await server.mustCall('POST', `/v3/domains/${DOMAIN}/credentials`, { login: `app@${DOMAIN}`, password: PASSWORD });
    assert.equal((await server.call('GET', '/v3/domains', undefined, {}, WRONG_KEY)).status, 401);
    await server.call('GET', `/v3/${encodeURIComponent(FORGED)}/events`);
    const sent = [
      await server.send('good@x.test', { subject: `x${FORGED}`, text: BODY, 'h:X-Note': FORGED }),
      await server.send('eight-bit-at-rcpt@x.test', { text: BODY }),
      await server.send('long-at-dot@x.test', { text: BODY }),
      await server.send('malformed-at-rcpt@x.test', { text: BODY }),
      await server.send('a@smart.test', { text: BODY }),
      await server.send('a@broken-tls.test', { text: BODY }),
      await server.send('a@evil.test', { text: BODY }),
    ];
    const stranger = await SmtpTalk.open(server.smtpPort, { localAddress: '127.0.0.2' });
    await stranger.say(`EHLO a${FORGED.replaceAll('\n', '\r')}`);
    await stranger.say('EHLO stranger.test');
    assert.match(await stranger.say(plain(`app@${DOMAIN}`, WRONG_PASSWORD)), /^535 /);
    assert.match(await stranger.say(plain(`app@${DOMAIN}${FORGED}`, WRONG_PASSWORD)), /^5/);
    assert.match(await stranger.say(plain(`app@${DOMAIN}`, PASSWORD)), /^235 /);
    assert.match(await submit(stranger, ['good@x.test'], `Subject: x${FORGED.replaceAll('\n', ' ')}\r\n\r\n${BODY}`), /^250 /);
    for (const id of sent) await until(async () => ((await server.recipients(id))[0]?.attempts ?? 0) > 0, `${id} is tried`);

    const { error, out, status } = await server.stop();
    assert.equal(status, 0);
    for (const secret of SECRETS) {
      for (const form of [secret, Buffer.from(secret).toString('base64').slice(0, -3)]) {
        assert.ok(!error.includes(form), `the log tells ${secret}: ${error.split('\n').find((line) => line.includes(form))}`);
        assert.ok(!out.includes(form) || secret === KEY, 'standard output too');
      }
    }
    const lines = error.split('\n').slice(0, -1);
    assert.ok(lines.length >= 3, error);
    for (const line of lines) {
      if (format === 'json') assert.ok(isOurs(line), line);
      else assert.match(line, /^\d\d:\d\d:\d\d\.\d{3} (?:DEBUG|INFO|WARN|ERROR) +(?!forged)\S/);
      assert.doesNotMatch(line, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    }
  });
}

function isOurs(line: string): boolean {
  const { level, time, msg } = JSON.parse(line) as Record<string, unknown>;
  return typeof level === 'string' && typeof time === 'string' && typeof msg === 'string' && msg !== 'forged';
}
