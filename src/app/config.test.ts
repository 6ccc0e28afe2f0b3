import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError, environmentWarnings, loadConfig, settingWarnings } from './config.ts';
import type { Config } from './config.ts';
import { ALL_SETTINGS } from './settings.ts';

const directory = mkdtempSync(join(tmpdir(), 'postrider-config-'));
after(() => rmSync(directory, { recursive: true }));

function fromToml(toml: string, env: Record<string, string> = {}): Config {
  const file = join(directory, 'postrider.toml');
  writeFileSync(file, toml);
  return loadConfig({ file, env });
}

function problemsOf(work: () => Config): readonly string[] {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

test('without a file and an environment every default stands, and none is wrong', () => {
  const config = loadConfig({ env: {} });
  assert.deepEqual(config.http.listen, [{ host: '127.0.0.1', port: 8080, isOptional: false }]);
  assert.deepEqual(
    config.smtp.submission.map(({ port, isOptional }) => [port, isOptional]),
    [
      [2525, false],
      [587, true],
    ],
  );
  assert.equal(config.http.publicUrl, undefined, 'clients are told the URL that they called');
  assert.equal(config.store.url, `sqlite:${join(process.cwd(), 'data', 'postrider.db')}`);
  assert.equal(config.delivery.expireAfterMs, 5 * 86_400_000);
  assert.equal(config.delivery.timeouts.dotMs, 600_000);
  assert.equal(config.limits.messageSizeBytes, 25 * 1024 * 1024);
  assert.equal(config.sandbox.capture, false);
  assert.equal(config.smtp.authWithoutTls, 'never');
  assert.equal(config.domains.requireVerification, true);
  assert.ok(Object.isFrozen(config.delivery.timeouts));
});

test('development mode captures, allows AUTH without TLS on loopback, and needs no verification', () => {
  const config = loadConfig({ env: {}, dev: true });
  assert.equal(config.sandbox.capture, true);
  assert.equal(config.smtp.authWithoutTls, 'loopback');
  assert.equal(config.domains.requireVerification, false);
  assert.equal(config.log.format, 'text');
  assert.deepEqual(config.delivery.allowNetworks, []);
});

test('the environment goes before the file, and the command line before both', () => {
  const toml = 'data = "/file"\n[delivery]\nport = 2500\nretry = ["1m", "2m"]\n';
  assert.equal(fromToml(toml).delivery.port, 2500);
  assert.deepEqual(fromToml(toml).delivery.retry, [60_000, 120_000]);
  const config = fromToml(toml, { POSTRIDER_DELIVERY_PORT: '2600', POSTRIDER_DATA: '/env', POSTRIDER_DELIVERY_RETRY: '5s, 10s' });
  assert.equal(config.delivery.port, 2600);
  assert.deepEqual(config.delivery.retry, [5000, 10_000]);
  assert.equal(config.data, '/env');
  assert.equal(loadConfig({ env: { POSTRIDER_DATA: '/env' }, overrides: { data: '/flag' } }).data, '/flag');
});

test('an empty variable counts as absent', () => {
  assert.equal(loadConfig({ env: { POSTRIDER_DELIVERY_PORT: '', POSTRIDER_API_KEY: '' } }).delivery.port, 25);
});

test('lists and lists of tables come from the environment as commas and as JSON', () => {
  const { smtp, delivery } = loadConfig({
    env: {
      POSTRIDER_SMTP_SUBMISSION: '127.0.0.1:2525,[::1]:587?,:2587',
      POSTRIDER_SMTP_SUBMISSIONS: '["127.0.0.1:465"]',
      POSTRIDER_SMTP_INBOUND: '[]',
      POSTRIDER_SMTP_TRUSTED: '[{"cidr":"10.0.0.0/8","domain":"example.org"}]',
      POSTRIDER_DELIVERY_SHAPING: '[{"match":"*.example.net","connections":2,"rate":"100/s","messages_per_connection":10}]',
    },
  });
  assert.deepEqual(smtp.submission, [
    { host: '127.0.0.1', port: 2525, isOptional: false },
    { host: '::1', port: 587, isOptional: true },
    { port: 2587, isOptional: false },
  ]);
  assert.deepEqual(smtp.submissions, [{ host: '127.0.0.1', port: 465, isOptional: false }]);
  assert.deepEqual(smtp.inbound, []);
  assert.deepEqual(smtp.trusted, [{ cidr: '10.0.0.0/8', domain: 'example.org' }]);
  assert.deepEqual(delivery.shaping, [
    { match: '*.example.net', connections: 2, rate: { count: 100, perMs: 1000 }, messagesPerConnection: 10 },
  ]);
});

test('tables of the file have defaults for what they leave out', () => {
  const { delivery } = fromToml('[[delivery.routes]]\nmatch = "*"\nhost = "smarthost.example.net"\nusername = "u"\npassword = "p"\n');
  assert.deepEqual(delivery.routes, [
    { match: '*', host: 'smarthost.example.net', port: 25, tls: 'opportunistic', username: 'u', password: 'p' },
  ]);
});

test('an unknown key names the nearest one, also when it stands in the wrong table', () => {
  assert.deepEqual(
    problemsOf(() => fromToml('[htpp]\nlisten = "127.0.0.1:80"\n')),
    ['htpp: is not a setting; the nearest is http'],
  );
  assert.deepEqual(
    problemsOf(() => fromToml('[http]\nlisen = "127.0.0.1:80"\n')),
    ['http.lisen: is not a setting; the nearest is http.listen'],
  );
  assert.deepEqual(
    problemsOf(() => fromToml('[smtp]\nallow_networks = []\n')),
    ['smtp.allow_networks: is not a setting; the nearest is delivery.allow_networks'],
  );
  assert.deepEqual(
    problemsOf(() => fromToml('[[delivery.routes]]\nmatch = "*"\nhost = "h"\nuser = "u"\n')),
    ['delivery.routes[0].user: is not a setting; match, host, port, tls, username, password are'],
  );
});

test('every mistake is told at once, with its key, what was given and what is expected', () => {
  const problems = problemsOf(() =>
    fromToml(
      [
        'nonsense = 1',
        '[http]',
        'listen = ["127.0.0.1"]',
        '[delivery]',
        'port = 99999',
        'expire_after = 5',
        'retry = ["5m", "soon"]',
        'rate_per_site = "fast"',
        'allow_networks = ["10.0.0.0/33"]',
        '[[delivery.routes]]',
        'host = "h"',
        'password = 7',
        '[limits]',
        'message_size = "25 elephants"',
        '[sandbox]',
        'capture = "maybe"',
        '[log]',
        'level = "loud"',
      ].join('\n'),
    ),
  );
  const expected = [
    /^nonsense: is not a setting; the nearest is /,
    /^http\.listen: given "127\.0\.0\.1", expected an address with a port, such as "127\.0\.0\.1:8080"/,
    /^delivery\.port: given 99999, expected a whole number from 1 to 65535$/,
    /^delivery\.allow_networks: given "10\.0\.0\.0\/33", expected a network/,
    /^delivery\.retry\[1\]: given "soon", expected a duration such as "30s"/,
    /^delivery\.expire_after: given 5, expected a duration/,
    /^delivery\.routes\[0\]\.match: is missing: recipient domain/,
    /^delivery\.routes\[0\]\.password: given \(hidden\), expected a text$/,
    /^delivery\.rate_per_site: given "fast", expected a rate such as "100\/s"/,
    /^sandbox\.capture: given "maybe", expected true or false$/,
    /^limits\.message_size: given "25 elephants", expected a size such as "512KB" or "25MB"/,
    /^log\.level: given "loud", expected "debug" or "info" or "warn" or "error"$/,
  ];
  assert.equal(problems.length, expected.length, problems.join('\n'));
  expected.forEach((pattern, i) => assert.match(problems[i] as string, pattern));
});

test('a mistake in the environment names the variable', () => {
  assert.deepEqual(
    problemsOf(() => loadConfig({ env: { POSTRIDER_DELIVERY_PORT: 'smtp' } })),
    ['delivery.port (environment POSTRIDER_DELIVERY_PORT): given "smtp", expected a whole number from 1 to 65535'],
  );
});

test('a file that is missing or no TOML is told with its place', () => {
  assert.deepEqual(
    problemsOf(() => loadConfig({ file: join(directory, 'absent.toml'), env: {} })),
    [`${join(directory, 'absent.toml')}: there is no such file`],
  );
  assert.match(problemsOf(() => fromToml('[http]\nlisten = \n'))[0] ?? '', /postrider\.toml: line 2, column \d+: /);
});

test('settings that contradict each other are told', () => {
  const problems = problemsOf(() =>
    fromToml(
      '[tls]\ncert = "a.pem"\n[http]\nlisten = "127.0.0.1:2525"\n[delivery]\nretry = []\nsuspend_min = "2h"\n[limits]\nmessage_size = "100MB"\n',
    ),
  );
  assert.deepEqual(problems, [
    'tls.cert and tls.key: only one is given, expected both or none',
    'delivery.retry: given an empty list, expected at least one duration',
    'delivery.suspend_min: is longer than delivery.suspend_max',
    'http.request_size: is smaller than limits.message_size',
    'limits.memory: is smaller than limits.message_size',
    'smtp.submission: 127.0.0.1:2525 is also in http.listen',
  ]);
});

test('an authority is agreed with by name, and asked over TLS', () => {
  assert.deepEqual(
    problemsOf(() => fromToml('[tls.acme]\naccept_terms = true\n')),
    ['tls.acme.email: is missing; the authority wants an address with tls.acme.accept_terms'],
  );
  const { acme } = fromToml('[tls.acme]\naccept_terms = true\nemail = "ops@x.example"\ndirectory = "http://127.0.0.1:14000/dir"\n').tls;
  assert.deepEqual([acme.acceptTerms, acme.email, acme.names], [true, 'ops@x.example', []]);
  const [problem = ''] = problemsOf(() => fromToml('[tls.acme]\ndirectory = "http://ca.example/directory"\n'));
  assert.match(problem, /^tls\.acme\.directory: given "http:\/\/ca\.example\/directory", expected a URL/);
});

test('the first API key must be one that Basic authentication can carry', () => {
  for (const key of ['key-0123456789abcdef', 'secret']) {
    assert.equal(loadConfig({ env: { POSTRIDER_API_KEY: key } }).firstApiKey, key);
  }
  for (const key of ['has a space in its middle', 'has:a:colon:and:more', 'ä'.repeat(20)]) {
    assert.match(problemsOf(() => loadConfig({ env: { POSTRIDER_API_KEY: key } }))[0] ?? '', /^POSTRIDER_API_KEY: expected/, key);
  }
});

test('a variable that is almost a setting is warned about, not refused', () => {
  const env = { POSTRIDER_HTTP_LISTN: 'x', POSTRIDER_API_KEY: 'key-0123456789abcdef', HOME: '/' };
  assert.deepEqual(environmentWarnings(env), [
    'environment variable POSTRIDER_HTTP_LISTN is not a setting; the nearest is POSTRIDER_HTTP_LISTEN',
  ]);
  assert.ok(loadConfig({ env }));
});

test('a key that can be guessed is warned about', () => {
  assert.match(environmentWarnings({ POSTRIDER_API_KEY: 'secret' }).join(), /easy to guess/);
  assert.deepEqual(environmentWarnings({ POSTRIDER_API_KEY: 'key-0123456789abcdef' }), []);
});

test('a listener for other servers that would do nothing, or greet with half a name, is warned about', () => {
  const warned = (more: Readonly<Record<string, string>>): string =>
    settingWarnings(loadConfig({ env: { POSTRIDER_SMTP_INBOUND: ':25', POSTRIDER_SMTP_HOSTNAME: 'mx.example.org', ...more } })).join();
  assert.equal(warned({}), '');
  assert.match(warned({ POSTRIDER_NODE_SERVICES: 'deliver' }), /smtp\.inbound has no effect/);
  assert.match(warned({ POSTRIDER_SMTP_HOSTNAME: 'mx' }), /smtp\.hostname: other servers expect a full name.*"mx"/);
});

test('every setting has a sentence and a name of its own in the environment', () => {
  assert.equal(new Set(ALL_SETTINGS.map((s) => s.environment)).size, ALL_SETTINGS.length);
  for (const { key, setting } of ALL_SETTINGS) assert.match(setting.sentence, /^[A-Z].*[.)]$/, key);
});

test('keys such as __proto__ are unknown keys', () => {
  assert.match(problemsOf(() => fromToml('constructor = 1\n'))[0] ?? '', /^constructor: is not a setting/);
  assert.match(problemsOf(() => fromToml('[http]\ntoString = 1\n'))[0] ?? '', /^http\.toString: is not a setting/);
});

test('a URL of the store is told without its password, right or wrong', () => {
  const url = 'postgres://app:geheim@db.example/mail';
  assert.equal(loadConfig({ env: { POSTRIDER_STORE_URL: url } }).store.url, url);
  for (const wrong of [`${url}?sslmode=sometimes`, 'mysql://app:geheim@db.example/mail', 'postgres://app:ge@heim@db.example/mail']) {
    const [problem = ''] = problemsOf(() => loadConfig({ env: { POSTRIDER_STORE_URL: wrong } }));
    assert.match(problem, /^store\.url \(environment POSTRIDER_STORE_URL\): given "\w+:\/\/app:\*\*\*@db\.example\/mail.*", expected /);
    assert.doesNotMatch(problem, /geheim|heim@/);
  }
});

test('connections to a database elsewhere that nobody encrypts are worth a word, unless the URL says so', () => {
  const warned = (url: string): string => settingWarnings(loadConfig({ env: { POSTRIDER_STORE_URL: url } })).join();
  assert.match(warned('postgres://app@db.example/mail'), /not encrypted; add sslmode=verify-full/);
  for (const url of ['postgres://app@127.0.0.1/mail', 'postgres://app@db.example/mail?sslmode=disable', 'sqlite:/x'])
    assert.equal(warned(url), '', url);
});

test('the instance secret is 64 hexadecimal digits or a file, not both, and is never shown', () => {
  const secret = '0123456789abcdef'.repeat(4);
  assert.equal(loadConfig({ env: { POSTRIDER_SECRET: secret } }).secret, secret);
  const [short = ''] = problemsOf(() => loadConfig({ env: { POSTRIDER_SECRET: 'geheim' } }));
  assert.match(short, /^secret .*given \(hidden\), expected 64 hexadecimal digits/);
  assert.match(
    problemsOf(() => loadConfig({ env: { POSTRIDER_SECRET: secret, POSTRIDER_SECRET_FILE: '/x' } })).join(),
    /secret and secret_file: both are given/,
  );
});
