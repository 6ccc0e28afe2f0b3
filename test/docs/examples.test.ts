/**
 * Every example of the README and of docs/ that can be pasted is pasted: into the program in development mode, page by page, in the order of the page. A request must be answered with 2xx. Only what stands for
 * something of the reader's own is replaced: host, key, passwords, addresses. A block that cannot run here says why in the comment above it: <!-- not run: why -->.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import Mailgun from 'mailgun.js';
import { environment, type Program, startProgram } from '../demo/program.ts';
import { newTestStore, type TestStore } from '../kit/stores.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Pages that have a test of their own, which runs them from the first to the last line. */
const RUN_ELSEWHERE: Readonly<Record<string, string>> = {
  'docs/tour.md': 'test/e2e/sandbox-tour.test.ts',
  'docs/cluster.md': 'test/deploy/cluster-page.test.ts',
};
const DOMAIN = 'sandbox.postrider.test';
const START_MS = 60_000;
const BLOCK_MS = 60_000;

interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** Why it is not run. */
  readonly reason: string | undefined;
}

const pages = ['README.md', ...readdirSync(join(ROOT, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : []))];
const blocks = pages.filter((page) => RUN_ELSEWHERE[page] === undefined).flatMap(blocksOf);

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/^```(\w+)\n(.*?)^```/gms)].map((match) => {
    const above = text.slice(0, match.index);
    return {
      page,
      line: above.split('\n').length,
      language: match[1] as string,
      text: match[2] as string,
      reason: /<!-- not run: (.+) -->\n\n?$/.exec(above)?.[1],
    };
  });
}

const home = mkdtempSync(join(tmpdir(), 'postrider-examples-'));
let store: TestStore;
let program: Program;
let server: { readonly host: string; readonly url: string; readonly key: string; readonly smtpPort: string; readonly password: string };

before(async () => {
  store = await newTestStore(home);
  // Stand for the addresses of the reader's machine, 203.0.113.*.
  const sources = [1, 2, 3, 7].map((n) => ({ name: `n${n}`, address: `127.0.0.${n}` }));
  program = await startProgram(
    ['--dev'],
    environment(home, { ...store.environment, POSTRIDER_DELIVERY_SOURCES: JSON.stringify(sources) }),
    START_MS,
  );
  const kept = JSON.parse(readFileSync(join(home, 'dev-credentials.json'), 'utf8')) as { apiKey: string };
  const host = program.doors.get('http')?.[0] as string;
  const password = /password (\S+)/.exec(program.greeting)?.[1] as string;
  const smtpPort = String(program.doors.get('submission')?.[0]).split(':').at(-1) as string;
  server = { host, url: `http://${host}`, key: kept.apiKey, smtpPort, password };
  writeCurl();
});

after(async () => {
  await program.stop('SIGKILL');
  await store.drop();
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
});

/** curl as everybody has it, which also notes how each request was answered. */
function writeCurl(): void {
  const bin = join(home, 'bin');
  mkdirSync(bin);
  const path = (process.env['PATH'] ?? '').split(':').find((directory) => existsSync(join(directory, 'curl')));
  assert.ok(path !== undefined, 'curl is installed');
  writeFileSync(
    join(bin, 'curl'),
    `#!/bin/sh\nexec ${path}/curl --silent --show-error --write-out '%{stderr}answered %{http_code} %{url}\\n' "$@"\n`,
  );
  chmodSync(join(bin, 'curl'), 0o755);
}

/** As the reader would write it. */
function readersOwn(text: string): string {
  return text
    .replaceAll('127.0.0.1:8080', server.host)
    .replaceAll('YOUR-KEY', server.key)
    .replaceAll('YOUR-PASSWORD', server.password)
    .replaceAll('port: 2525', `port: ${server.smtpPort}`)
    .replace(/203\.0\.113\.(\d+)/g, '127.0.0.$1');
}

async function paste(block: Block): Promise<void> {
  const directory = join(home, block.page.replace(/\W/g, '-'));
  mkdirSync(directory, { recursive: true });
  const child = spawn('bash', ['-e', '-o', 'pipefail', '-c', readersOwn(block.text)], {
    cwd: directory,
    env: {
      ...process.env,
      PATH: `${join(home, 'bin')}:${process.env['PATH']}`,
      HOST: server.url,
      KEY: `api:${server.key}`,
      DOMAIN,
      POSTRIDER_DATA: home,
    },
    timeout: BLOCK_MS,
  });
  let [said, out] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (part: string) => (said += part));
  child.stdout.setEncoding('utf8').on('data', (part: string) => (out += part));
  const [status] = (await once(child, 'close')) as [number];
  assert.equal(status, 0, `${said}\n${out}`);
  const answers = [...said.matchAll(/^answered (\d+) (.*)$/gm)];
  assert.ok(answers.length > 0, 'it asks the server');
  for (const [, code, url] of answers) assert.match(String(code), /^2\d\d$/, `${url}\n${out}`);
}

describe('every example with curl', () => {
  const examples = blocks.filter(({ language, text }) => language === 'sh' && /\bcurl\b/.test(text));
  test('there are examples', () => {
    assert.ok(examples.length > 25);
  });
  for (const block of examples) {
    const isToBeRun = block.reason === undefined;
    test(`${block.page}, line ${block.line}`, { skip: isToBeRun ? false : block.reason }, () => paste(block));
  }
});

test('pages with a test of their own have it', () => {
  for (const [page, file] of Object.entries(RUN_ELSEWHERE)) {
    assert.ok(pages.includes(page));
    assert.match(readFileSync(join(ROOT, file), 'utf8'), new RegExp(page.replace('docs/', '')));
  }
});

/** What is to come of each piece of JavaScript: it is a module of its own. */
const SCRIPTS: Readonly<Record<string, (module: Readonly<Record<string, unknown>>) => void>> = {
  'docs/sending.md': () => undefined,
  'docs/webhooks-and-routes.md': ({ isOurs }) => {
    assert.ok(typeof isOurs === 'function');
    const [timestamp, token] = [String(Math.floor(Date.now() / 1000)), 'ab12'];
    const signature = createHmac('sha256', 'key')
      .update(timestamp + token)
      .digest('hex');
    assert.equal(isOurs({ timestamp, token, signature }, 'key'), true);
    assert.equal(isOurs({ timestamp, token, signature }, 'another'), false);
    assert.equal(isOurs({ timestamp: '1', token, signature }, 'key'), false);
  },
};

describe('every piece of JavaScript', () => {
  for (const block of blocks.filter(({ language }) => language === 'js')) {
    test(`${block.page}, line ${block.line}`, { skip: block.reason ?? false }, async () => {
      // Beside node_modules, where its imports are found.
      const file = join(ROOT, 'node_modules', `.example-${process.pid}-${block.line}.mjs`);
      writeFileSync(file, readersOwn(block.text));
      try {
        const expect = SCRIPTS[block.page];
        assert.ok(expect !== undefined, 'somebody looks at what it does');
        expect((await import(pathToFileURL(file).href)) as Record<string, unknown>);
      } finally {
        rmSync(file);
      }
    });
  }
});

/** Rows of the README's table: language and what is written in it. */
function sdkRows(): Map<string, string> {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8');
  return new Map(
    [...text.matchAll(/^\| (\w+) \| `[^`]+`[^|]* \| `([^`]+)`.*\|$/gm)].map(([, language, code]) => [String(language), String(code)]),
  );
}

const MESSAGE = { from: `Shop <shop@${DOMAIN}>`, to: ['alice@example.com'], subject: 'Your receipt', text: 'Thank you.' };

test('mailgun.js sends with what the README says', async () => {
  const code = sdkRows().get('JavaScript') ?? '';
  const make = new Function('mailgun', 'key', `return ${readersOwn(code)}`) as (
    mailgun: Mailgun,
    key: string,
  ) => ReturnType<Mailgun['client']>;
  const client = make(new Mailgun(FormData), server.key);
  assert.equal((await client.messages.create(DOMAIN, MESSAGE)).status, 200);
});

/** How each of the other libraries makes the URL of a call out of the base that it is given, and says who it is. */
const LIBRARIES: Readonly<Record<string, { readonly agent: string; readonly url: (base: string) => string }>> = {
  Python: { agent: 'mailgun-api-python/1.6', url: (base) => `${base}/v3/${DOMAIN}/messages` },
  Go: { agent: 'mailgun-go/5.8.1', url: (base) => `${base}/v3/${DOMAIN}/messages` },
  PHP: { agent: 'mailgun-sdk-php/v2 (https://github.com/mailgun/mailgun-php)', url: (base) => `${base}/v3/${DOMAIN}/messages` },
  Ruby: { agent: 'mailgun-sdk-ruby/1.3', url: (base) => `http://${base}/v3/${DOMAIN}/messages` },
  Java: { agent: 'mailgun-java', url: (base) => `${base}/v3/${DOMAIN}/messages` },
};

for (const [language, { agent, url }] of Object.entries(LIBRARIES)) {
  test(`the base URL that the README gives for ${language} leads to the server`, async () => {
    const code = readersOwn(sdkRows().get(language) ?? '');
    const base = /["']((?:http:\/\/)?127[\d.:]+\/?)["']/.exec(code)?.[1];
    assert.ok(base !== undefined, code);
    const body = new URLSearchParams(Object.entries(MESSAGE).map(([name, value]) => [name, String(value)]));
    const authorization = `Basic ${Buffer.from(`api:${server.key}`).toString('base64')}`;
    const response = await fetch(url(base), { method: 'POST', body, headers: { authorization, 'user-agent': agent } });
    assert.equal(response.status, 200, await response.text());
  });
}
