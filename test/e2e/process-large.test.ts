/** Several of the largest messages at once, by both doors: all are taken or put off in the words of their protocol, and memory is not eaten up. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { DOMAIN, Installation, type Server } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const MIB = 1024 * 1024;
const AT_ONCE = 6;
/** Of the process, over what it has after its first mail. */
const GROWTH_MAX_BYTES = 200 * MIB;
const LINE = `${'x'.repeat(76)}\r\n`;
const TEXT = LINE.repeat(Math.floor((24 * MIB) / LINE.length));
const FILE = Buffer.alloc(17 * MIB, 'attached');

const home = await Installation.make({ after });
const server = await home.start();
await server.send('first@x.test');
await until(() => home.sink.transactions.length === 1, 'the first mail is delivered');

interface Seen {
  readonly answers: readonly string[];
  readonly grownBytes: number;
}

async function watching(by: Server, work: () => Promise<string>): Promise<Seen> {
  const before = residentBytes(by);
  let peak = before;
  const sampler = setInterval(() => (peak = Math.max(peak, residentBytes(by))), 5);
  const answers = await Promise.all(Array.from({ length: AT_ONCE }, work));
  clearInterval(sampler);
  return { answers, grownBytes: peak - before };
}

function residentBytes({ pid }: Server): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

function assertBounded({ grownBytes }: Seen): void {
  assert.ok(grownBytes < GROWTH_MAX_BYTES, `grown by ${Math.round(grownBytes / MIB)} MiB`);
}

test('six messages of 24 MB that announce their size are all taken by SMTP, one after the other where memory is short', async () => {
  const seen = await watching(server, async () => {
    const talk = await server.smtp();
    const begun = await talk.say(`MAIL FROM:<app@${DOMAIN}> SIZE=${TEXT.length + 100}`);
    assert.match(begun, /^250/);
    assert.match(await talk.say('RCPT TO:<large@x.test>'), /^250/);
    assert.match(await talk.say('DATA'), /^354/);
    talk.send(`From: app@${DOMAIN}\r\nSubject: large\r\n\r\n${TEXT}.\r\n`);
    const answer = await talk.reply();
    talk.destroy();
    return answer;
  });
  for (const answer of seen.answers) assert.match(answer, /^250/);
  assertBounded(seen);
  await until(() => home.sink.transactions.length === 1 + AT_ONCE, 'all were delivered', 60_000);
});

test('six requests with a file of 17 MB are all taken by the API', async () => {
  const seen = await watching(server, async () => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ from: `app@${DOMAIN}`, to: 'large@x.test', text: 'See the file.' })) form.set(name, value);
    form.set('attachment', new Blob([FILE]), 'large.bin');
    const response = await fetch(`${server.url}/v3/${DOMAIN}/messages`, { method: 'POST', headers: server.authorization(), body: form });
    return `${response.status} ${await response.text()}`;
  });
  for (const answer of seen.answers) assert.match(answer, /^200/);
  assertBounded(seen);
});
