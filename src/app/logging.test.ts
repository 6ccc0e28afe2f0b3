import assert from 'node:assert/strict';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Log } from '#base/log.ts';
import { createLogging } from './logging.ts';

const directory = mkdtempSync(join(tmpdir(), 'postrider-log-'));
after(() => rmSync(directory, { recursive: true }));

let files = 0;

/** The lines of a log of its own. The writer works beside us: its first line is waited for; each test writes one that must come. */
async function written(format: 'json' | 'text', level: 'debug' | 'warn', work: (log: Log) => void): Promise<string[]> {
  const path = join(directory, `${++files}.log`);
  // Stays open: a number that is given again would lead the writer's last lines elsewhere.
  const { log, flush } = createLogging({ level, format }, openSync(path, 'w'));
  work(log);
  flush();
  while (!readFileSync(path, 'utf8').endsWith('\n')) await new Promise((resolve) => setImmediate(resolve));
  return readFileSync(path, 'utf8').split('\n').slice(0, -1);
}

test('each line of the JSON log is an object with time, level, sentence and fields', async () => {
  const [line, ...rest] = await written('json', 'debug', (log) => log.info({ lane: 'mx.example.com' }, 'a lane is suspended'));
  const entry = JSON.parse(line ?? '') as Record<string, string>;
  assert.deepEqual(rest, []);
  assert.equal(entry['level'], 'info');
  assert.equal(entry['msg'], 'a lane is suspended');
  assert.equal(entry['lane'], 'mx.example.com');
  assert.match(entry['time'] ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test('the text log is one plain line for each entry', async () => {
  const [line] = await written('text', 'debug', (log) => log.warn({ port: 25, host: 'mx.example.com' }, 'no answer'));
  assert.match(line ?? '', /^\d\d:\d\d:\d\d\.\d{3} WARN {2}no answer {2}port=25 host=mx\.example\.com$/);
});

test("a stranger's text forges no line and paints no terminal", async () => {
  for (const format of ['json', 'text'] as const) {
    const lines = await written(format, 'debug', (log) =>
      log.info({ reply: '250 ok\n12:00:00.000 ERROR forged\x1b[2J\u202e' }, 'sentence\r\nforged'),
    );
    assert.equal(lines.length, 1);
    assert.equal(/[\x1b\r]/.test(lines[0] ?? ''), false);
  }
});

test('what is less important than the level is not written', async () => {
  assert.equal((await written('json', 'warn', (log) => (log.info({}, 'no'), log.error({}, 'yes')))).length, 1);
});

test('an error is written with its message and place', async () => {
  const [json] = await written('json', 'debug', (log) => log.error({ err: new Error('boom') }, 'failed'));
  assert.match(json ?? '', /"message":"boom"/);
  const [text] = await written('text', 'debug', (log) => log.error({ err: new Error('boom') }, 'failed'));
  assert.match(text ?? '', /failed {2}err=".*boom/);
});
