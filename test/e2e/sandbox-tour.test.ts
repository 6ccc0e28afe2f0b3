/** The tour of docs/tour.md, as it stands there: the receiver of the page, its commands in their order, on the program in development mode; and each event that the page promises arrives. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { environment, type Program, startProgram } from '../demo/program.ts';
import { freePort } from '../kit/free-port.ts';
import { newTestStore } from '../kit/stores.ts';
import { until } from '../kit/until.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/tour.md'), 'utf8');
const START_MS = 60_000;
const EVENTS_MS = 60_000;

function blocks(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => String(text));
}

interface Tour {
  readonly program: Program;
  /** Runs commands of the page in one shell, after the others; what they print. */
  paste(commands: string): Promise<string>;
  /** Lines that the receiver printed. */
  told(): readonly string[];
}

async function begin(t: TestContext): Promise<Tour> {
  const data = mkdtempSync(join(tmpdir(), 'postrider-tour-'));
  const store = await newTestStore(data);
  const program = await startProgram(['--dev'], environment(data, store.environment), START_MS);
  const port = await freePort();
  const [receiver] = blocks('js');
  writeFileSync(join(data, 'receiver.mjs'), String(receiver));
  const hook = spawn(process.execPath, [join(data, 'receiver.mjs')], { env: { ...process.env, PORT: String(port) } });
  const shell = spawn('bash', ['-e'], {
    env: {
      ...process.env,
      POSTRIDER_DATA: data,
      HOST: `http://${program.doors.get('http')?.[0]}`,
      HOOK: `http://127.0.0.1:${port}`,
    },
  });
  t.after(async () => {
    shell.kill('SIGKILL');
    hook.kill('SIGKILL');
    await program.stop('SIGKILL');
    await store.drop();
    rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  });
  const said = collected(hook);
  const printed = collected(shell);
  // What comes before is posted again minutes later.
  await until(() => isOpen(port), `the receiver to listen: ${said.text}`);
  let count = 0;
  return {
    program,
    told: () => said.text.split('\n').map((line) => line.trimEnd()),
    async paste(commands) {
      const mark = `pasted ${++count}`;
      const from = printed.text.length;
      shell.stdin?.write(`${commands}\necho '${mark}'\n`);
      await until(() => {
        assert.equal(shell.exitCode, null, `a command failed: ${commands}\n${printed.text}`);
        return printed.text.includes(mark);
      }, mark);
      return printed.text.slice(from);
    },
  };
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

function collected(child: ChildProcess): { text: string } {
  const said = { text: '' };
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (said.text += text));
  return said;
}

test('the tour shows what its page says', async (t) => {
  const tour = await begin(t);
  const [names, tell, send, follow, see] = blocks('sh').map(String);
  assert.equal(blocks('sh').length, 5);
  const arrives = (line: string): Promise<unknown> =>
    until(
      () => {
        assert.ok(tour.told().length < 1000);
        return tour.told().includes(line);
      },
      `"${line}" among ${tour.told().join(' | ')}`,
      EVENTS_MS,
    );

  await tour.paste(`${names}${tell}`);
  await tour.paste(String(send));
  for (const name of ['alice', 'bounce', 'later-bounce', 'complain', 'reply']) await arrives(`accepted ${name}@example.com`);
  for (const name of ['alice', 'later-bounce', 'complain', 'reply']) await arrives(`delivered ${name}@example.com`);
  await arrives('failed bounce@example.com permanent bounce');
  await arrives('failed later-bounce@example.com permanent delayed-bounce');
  await arrives('complained complain@example.com');
  await arrives('mail Thank you, that is what I wanted to know.');

  const answer = await tour.paste(String(follow));
  assert.ok(answer.includes('https://shop.example/apples'), answer);
  await arrives('opened alice@example.com');
  await arrives('clicked alice@example.com   https://shop.example/apples');
  await arrives('unsubscribed alice@example.com');

  const shown = await tour.paste(String(see));
  for (const word of ['"address":"bounce@example.com"', '"address":"later-bounce@example.com"', '"address":"complain@example.com"'])
    assert.ok(shown.includes(word), word);
  assert.match(shown, /"address":"alice@example\.com"[^}]*"tags":\["\*"\]/);

  // Each thing is told once.
  const all = tour.told().filter((line) => line !== '');
  assert.deepEqual(
    all.filter((line, at) => all.indexOf(line) !== at),
    [],
  );
  await tour.paste(String(send).replace('alice bounce', 'bounce').replace('complain reply', 'complain'));
  for (const [name, reason] of [
    ['bounce', 'suppress-bounce'],
    ['later-bounce', 'suppress-bounce'],
    ['complain', 'suppress-complaint'],
  ])
    await arrives(`failed ${name}@example.com permanent ${reason}`);
});

test('an answer that no route takes is told in the log, and is no trouble', async (t) => {
  const tour = await begin(t);
  const [names, , send] = blocks('sh').map(String);
  await tour.paste(`${names}${String(send).replace('alice bounce later-bounce complain reply', 'reply')}`);
  await until(() => /an answer of the sandbox is taken by no route/.test(tour.program.said()), 'the line in the log', EVENTS_MS);
  assert.doesNotMatch(tour.program.said(), /WARN .*sandbox|ERROR /);
});
