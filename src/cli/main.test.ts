import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { controlPath } from '#app/control-path.ts';
import { openStore } from '#store/open.ts';
import { hourLasts } from '../../test/kit/hour.ts';
import { type TestStore, newTestStore } from '../../test/kit/stores.ts';
import { COMMANDS, run } from './main.ts';

// Selectors have their day in their names.
await hourLasts(60_000);

let data: string;
let store: TestStore;
before(async () => {
  data = mkdtempSync(join(tmpdir(), 'postrider-cli-'));
  store = await newTestStore(data);
});
after(async () => {
  await store.drop();
  rmSync(data, { recursive: true });
});

interface Result {
  readonly status: number;
  readonly out: string;
  readonly error: string;
}

async function postrider(line: string | readonly string[], env: Record<string, string> = {}): Promise<Result> {
  let [out, error] = ['', ''];
  const argv = typeof line === 'string' ? line.split(' ') : line;
  const status = await run(
    argv,
    {
      POSTRIDER_DATA: data,
      ...store.environment,
      POSTRIDER_DNS_SERVERS: '127.0.0.1:9',
      POSTRIDER_DNS_TIMEOUT: '50ms',
      POSTRIDER_DNS_TRIES: '1',
      ...env,
    },
    { out: (text) => void (out += text), error: (text) => void (error += text), hasColor: false },
  );
  return { status, out, error };
}

async function ok(line: string | readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { status, out, error } = await postrider(line, env);
  assert.equal(status, 0, error);
  assert.equal(error, '');
  return out;
}

test('every command has a help page with its options and an example that names it', async () => {
  for (const command of COMMANDS) {
    const page = await ok([...command.name.split(' '), '--help']);
    assert.ok(page.includes(`usage: postrider ${command.name}`), command.name);
    assert.ok(
      command.examples.length > 0 && command.examples.every((example) => example.startsWith(`postrider ${command.name}`)),
      command.name,
    );
    if (command.printsData) assert.ok(page.includes('--json'), command.name);
  }
  const overview = await ok('--help');
  for (const command of COMMANDS) assert.ok(overview.includes(`  ${command.name}`), command.name);
});

test('what is asked wrongly ends with 2, one sentence, and the nearest name', async () => {
  const asked = async (line: string): Promise<string> => {
    const { status, out, error } = await postrider(line);
    assert.deepEqual([status, out], [2, ''], line);
    assert.equal(error.split('\n').length, 2, 'one line');
    return error;
  };
  assert.match(await asked('accoun list'), /there is no command accoun; the nearest is account/);
  assert.match(await asked('account'), /account needs one of add, list/);
  assert.match(await asked('account remove x'), /account needs one of add, list/);
  assert.match(await asked('account add'), /account add needs NAME/);
  assert.match(await asked('account add one two'), /takes no "two"/);
  assert.match(await asked('domain add x.example --acount 1'), /domain add has no option --acount; the nearest is --account/);
  assert.match(await asked('key add --role boss'), /--role boss: expected one of admin/);
  assert.match(await asked('settings htp'), /htp is not a setting; the nearest is http/);
});

test('a wrong configuration ends every command with 2 and all mistakes', async () => {
  const { status, error } = await postrider('account list', { POSTRIDER_DELIVERY_PORT: 'x', POSTRIDER_LOG_LEVEL: 'y' });
  assert.equal(status, 2);
  assert.match(error, /the configuration has 2 mistakes:\n {2}delivery\.port .*\n {2}log\.level .*\n$/);
});

test('check-config says that all is right, or every mistake, and warns about names that are almost settings', async () => {
  const file = join(data, 'right.toml');
  writeFileSync(file, '[delivery]\nport = 2500\n');
  assert.equal(await ok(['check-config', '--config', file]), 'the configuration is right\n');
  writeFileSync(file, '[delivery]\nprt = 2500\nexpire_after = "x"\n');
  const { status, error } = await postrider(['check-config', '--config', file]);
  assert.equal(status, 2);
  assert.match(error, /^delivery\.prt: is not a setting; the nearest is delivery\.port\ndelivery\.expire_after: given "x"/);
  const asJson = await postrider(['check-config', '--json'], { POSTRIDER_CONFIG: file });
  assert.equal(asJson.status, 2);
  assert.equal((JSON.parse(asJson.out) as { problems: string[] }).problems.length, 2);
});

test('check-config looks at the certificate too', async () => {
  const { status, error } = await postrider('check-config', {
    POSTRIDER_TLS_CERT: join(data, 'no.pem'),
    POSTRIDER_TLS_KEY: join(data, 'no.key'),
  });
  assert.equal(status, 2);
  assert.match(error, /^tls\.cert, tls\.key: .*no\.pem cannot be read/);
});

test('the manual page of settings is the one that the table makes', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/settings.md'), 'utf8');
  assert.equal(await ok('settings --markdown'), page, 'run: bin/postrider settings --markdown > docs/settings.md');
});

test('a setting is explained with its default, its name in the environment, and its fields', async () => {
  const page = await ok('settings delivery.routes');
  assert.match(page, /environment {2}POSTRIDER_DELIVERY_ROUTES/);
  assert.match(page, /port +integer +25 +its port/);
  assert.match(await ok('settings sandbox'), /sandbox\.capture +boolean +false/);
});

test('an operator sets up an account, a domain, a login and keys', async (t) => {
  await t.test('nothing can be added before there is an account', async () => {
    const { status, error } = await postrider('domain add mail.example.org');
    assert.equal(status, 1);
    assert.match(error, /there is no account yet; make one with "postrider account add NAME"/);
  });

  await t.test('an account is added, with a key that is shown once', async () => {
    const made = JSON.parse(await ok('account add shop --json')) as { id: number; apiKey: string };
    assert.equal(made.id, 1);
    assert.match(made.apiKey, /^[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}$/);
    assert.match(await ok('account list'), /^id {2}name {2}created \(UTC\) +state .*requests\/s\n 1 {2}shop {2}\d{4}-/);
    assert.equal((await ok('key list --json')).includes(made.apiKey), false);
    assert.equal(
      await ok('account limit shop --per-hour 500'),
      'account 1 (shop)\n  500 recipients in an hour of the clock (UTC)\n  default recipients in a day (UTC)\n  default recipients in a month of the calendar (UTC)\n  default API requests in a second\n',
    );
    assert.match(await ok('account limit 1 --per-day none'), /\n {2}500 .*\n {2}none recipients in a day/);
    const [listed] = JSON.parse(await ok('account list --json')) as { limits: unknown }[];
    assert.deepEqual(listed?.limits, {
      recipientsPerHour: 500,
      recipientsPerDay: 'none',
      recipientsPerMonth: null,
      requestsPerSecond: null,
    });
    assert.match(await ok('account limit 1 --per-hour default --per-day default'), /\n {2}default recipients in an hour/);
    assert.equal((await postrider('account limit 1 --per-hour 0')).status, 2);
    const { status, error } = await postrider('account add shop');
    assert.deepEqual([status, error], [1, 'postrider: Account shop already exists\n']);
  });

  await t.test('a domain is added, and its records are printed exactly', async () => {
    const added = await ok('domain add Mail.Example.ORG');
    assert.match(added, /domain mail\.example\.org is added to account 1/);
    assert.match(added, /v=DKIM1; k=rsa; p=[A-Za-z0-9+/=]{392}\n/);
    const lines = (await ok('domain records mail.example.org --zone')).trimEnd().split('\n');
    assert.equal(lines.length, 4);
    assert.match(lines[0] as string, /^pr\d{8}\._domainkey\.mail\.example\.org\. IN TXT \( "v=DKIM1; k=rsa; p=[^"]{237}" "[^"]+" \)$/);
    const twice = await postrider('domain add mail.example.org');
    assert.deepEqual([twice.status, twice.error], [1, 'postrider: Domain mail.example.org already exists\n']);
    assert.match((await postrider('domain add localhost')).error, /"localhost" is not a domain name/);
  });

  await t.test('the DMARC record of a domain whose mail comes here names where reports are taken, as the server names it', async () => {
    const opened = await openStore({ url: store.url });
    const domain = await opened.accounts.domainByName('mail.example.org');
    await opened.domains.setDnsAnswers(domain?.id ?? 0, { 'mx mail.example.org': { state: 'ok', found: [] } }, Date.now());
    await opened.close();
    const open = { POSTRIDER_SMTP_INBOUND: '127.0.0.1:0', POSTRIDER_SMTP_HOSTNAME: 'mx.example.net' };
    assert.match(await ok('domain records mail.example.org --zone', open), /rua=mailto:dmarc-reports@mail\.example\.org/);
    assert.doesNotMatch(await ok('domain records mail.example.org --zone'), /rua=/);
  });

  await t.test('verifying without an answer from DNS says so, changes nothing, and ends with 1', async () => {
    const { status, out } = await postrider('domain verify mail.example.org');
    assert.equal(status, 1);
    assert.match(out, /NOT OK: DNS gave no answer/);
    assert.match(out, /domain mail\.example\.org is unverified/);
  });

  await t.test('a rotation prints the new records, the same ones when asked again', async () => {
    const first = await ok('domain rotate-dkim mail.example.org');
    assert.match(first, /pr\d{8}-2\._domainkey/);
    assert.equal(await ok('domain rotate-dkim mail.example.org'), first);
  });

  await t.test('a login gets a password that is made up, or the one that is given', async () => {
    assert.match(await ok('credential add App@mail.example.org'), /^login {5}app@mail\.example\.org\npassword {2}\w{24}\n$/);
    assert.equal(await ok(['credential', 'add', 'app@mail.example.org', '--password', 'a long one']), 'login     app@mail.example.org\n');
    assert.match(await ok('credential list'), /app@mail\.example\.org {2}mail\.example\.org/);
    assert.match((await postrider('credential add app@other.example')).error, /there is no domain other\.example/);
    assert.match((await postrider('credential add app')).error, /"app" is not a login/);
    await ok('credential delete app@mail.example.org');
    assert.equal((await postrider('credential delete app@mail.example.org')).status, 1);
  });

  await t.test('a key is made for a domain, listed and revoked', async () => {
    const made = JSON.parse(await ok('key add --domain mail.example.org --expires 90d --json')) as {
      id: string;
      kind: string;
      role: string;
    };
    assert.deepEqual([made.kind, made.role], ['domain', 'sending']);
    assert.match(await ok('key list'), new RegExp(`${made.id} +sending +mail\\.example\\.org`));
    await ok(`key revoke ${made.id}`);
    assert.match((await postrider(`key revoke ${made.id}`)).error, /there is no key/);
  });

  await t.test('a template is stored from a file, listed and deleted', async () => {
    const file = join(data, 'receipt.html');
    writeFileSync(file, '<p>Hello {{name}}</p>');
    await ok(['template', 'add', 'mail.example.org', 'Receipt', file]);
    assert.match((await postrider(['template', 'add', 'mail.example.org', 'receipt', file])).error, /already exists/);
    await ok(['template', 'add', 'mail.example.org', 'receipt', file, '--tag', 'v2']);
    assert.match(await ok('template list mail.example.org'), /receipt/);
    await ok('template delete mail.example.org receipt');
    writeFileSync(file, '{{#if}}');
    assert.equal((await postrider(['template', 'add', 'mail.example.org', 'broken', file])).status, 1);
  });

  await t.test('with two accounts, the account must be said, by id or by name', async () => {
    await ok('account add bank');
    const { status, error } = await postrider('domain add bank.example');
    assert.equal(status, 2);
    assert.match(error, /choose one with --account: 1 \(shop\), 2 \(bank\)/);
    await ok('domain add bank.example --account bank');
    assert.match(await ok('domain list --account 2'), /bank\.example +2/);
    assert.doesNotMatch(await ok('domain list --account 1'), /bank\.example/);
  });
});

test('why tells the story of a message, by id, by Message-ID, and by address', async (t) => {
  const path = join(data, 'story');
  const theirs = await newTestStore(path);
  t.after(() => theirs.drop());
  const opened = await openStore({ url: theirs.url });
  const nowMs = Date.now();
  const accepted = await opened.mail.accept({
    accountId: 1,
    domainId: 1,
    domain: 'mail.example.org',
    messageId: 'abc@mail.example.org',
    sender: 'shop@mail.example.org',
    createdMs: nowMs,
    dueAtMs: nowMs + 60_000,
    wait: 'scheduled',
    expiresAtMs: nowMs + 86_400_000,
    priority: 0,
    info: {
      from: 'shop@mail.example.org',
      to: 'alice@example.com',
      subject: 'Your \x1b[31mreceipt',
      sizeBytes: 7,
      attachments: [],
      method: 'HTTP',
      origin: { address: '127.0.0.1' },
      options: { tags: [], variables: {}, testMode: false },
      smtputf8: false,
      body: '7BIT',
    },
    content: new TextEncoder().encode('A: b\r\n\r\n'),
    recipients: ['alice@example.com', 'bob@example.com'].map((address) => ({ address, domain: 'example.com', isLeased: false })),
  });
  await opened.close();
  assert.equal(accepted.kind, 'accepted');
  const env = { POSTRIDER_DATA: path, ...theirs.environment };
  const story = await ok(`why ${accepted.id}`, env);
  assert.match(story, /alice@example\.com/);
  assert.match(story, /bob@example\.com/);
  assert.equal(story.includes('\x1b'), false, 'a subject cannot paint the terminal');
  assert.equal(await ok('why <abc@mail.example.org>', env), story);
  const forAlice = await ok('why Alice@example.com', env);
  assert.match(forAlice, /alice@example\.com/);
  assert.doesNotMatch(forAlice, /bob@example\.com/);
  const [asJson] = JSON.parse(await ok('why abc@mail.example.org --json', env)) as { messageId: string }[];
  assert.equal(asJson?.messageId, 'abc@mail.example.org');
  assert.match((await postrider('why nobody@example.com', env)).error, /nothing is known about nobody@example\.com/);

  const queue = await ok('queue', env);
  assert.match(queue, /No server runs on this data directory; this is what the store holds/);
  assert.match(queue, /example\.com +2 +0 /);
});

test('queue asks the running server', async () => {
  const server = createServer((request, response) => {
    assert.equal(request.url, '/queue');
    const lane = {
      lane: 'default>mx.example.com',
      site: 'mx.example.com',
      source: 'default',
      state: 'suspended',
      connections: 0,
      connectionsAllowed: 1,
      connectionsMax: 20,
      waitingInMemory: 3,
      suspendedUntilMs: Date.now() + 300_000,
      lastTrouble: 'connection refused',
      delivered: 4,
      deferred: 5,
      failed: 6,
      wait: 'lane-suspended',
    };
    response.end(JSON.stringify({ lanes: [lane], domains: [] }));
  });
  await new Promise<void>((resolve) => server.listen(controlPath(data), resolve));
  try {
    assert.match(
      await ok('queue'),
      /mx\.example\.com +default +suspended +0\/1 +3 +- +4 +5 +6 +suspended for another [45]m: connection refused\n/,
    );
    assert.equal((JSON.parse(await ok('queue --json')) as { isRunning: boolean }).isRunning, true);
  } finally {
    server.close();
  }
});

test('people are added, listed and disabled, and an account that named networks is opened again', async () => {
  assert.equal((await postrider('account add people')).status, 0);
  const added = await postrider('user add Ann@example.org --account people --role developer --json');
  assert.deepEqual(
    [JSON.parse(added.out).email, JSON.parse(added.out).role, JSON.parse(added.out).isMaster],
    ['ann@example.org', 'developer', true],
  );
  assert.equal((await postrider('user add ann@example.org --account people')).status, 1);
  assert.equal((await postrider('user add nobody --account people')).status, 2);
  assert.equal((await postrider('user disable ann@example.org --account people')).status, 0);
  assert.match((await postrider('user list --account people')).out, /ann@example\.org .*developer .*disabled/);
  assert.match((await postrider('account networks people --allow 192.0.2.7/24')).out, /192\.0\.2\.0\/24/);
  assert.match((await postrider('account networks people --remove 192.0.2.0/24')).out, /anywhere/);
  assert.equal((await postrider('account networks people --remove 192.0.2.0/24')).status, 1);
});
