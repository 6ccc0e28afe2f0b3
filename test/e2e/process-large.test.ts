/** Several of the largest messages at once, by both doors: all are taken or put off in the words of their protocol, and memory is not eaten up. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { DOMAIN, Installation, type Server } from '../kit/installation.ts';
import { until } from '../kit/until.ts';

const MIB = 1024 * 1024;
const AT_ONCE = 5;
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

/** On a machine that is busy with other things a place in memory may not come in time: then it is put off, in words. */
function assertTaken({ answers }: Seen, taken: RegExp, putOff: RegExp): void {
  assert.ok(answers.filter((answer) => taken.test(answer)).length >= 2, answers.join('; '));
  for (const answer of answers) assert.ok(taken.test(answer) || putOff.test(answer), answer);
}

function assertBounded({ grownBytes }: Seen): void {
  assert.ok(grownBytes < GROWTH_MAX_BYTES, `grown by ${Math.round(grownBytes / MIB)} MiB`);
}

/** The text of each reply, past its code. Patient: what it asks for is much. */
async function smtpAnswers(port: number, commands: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const lines = createInterface(socket)[Symbol.asyncIterator]();
  const reply = async (): Promise<string> => {
    for (;;) {
      const { value = '' } = await lines.next();
      if (value[3] !== '-') return value;
    }
  };
  await reply();
  let answer = '';
  for (const command of commands) {
    socket.write(command);
    answer = await reply();
    if (/^[45]/.test(answer)) break;
  }
  socket.destroy();
  return answer;
}

test('messages of 24 MB that announce their size are taken by SMTP, one after the other where memory is short', async () => {
  const seen = await watching(server, () =>
    smtpAnswers(server.smtpPort, [
      'EHLO client.test\r\n',
      `MAIL FROM:<app@${DOMAIN}> SIZE=${TEXT.length + 100}\r\n`,
      'RCPT TO:<large@x.test>\r\n',
      'DATA\r\n',
      `From: app@${DOMAIN}\r\nSubject: large\r\n\r\n${TEXT}.\r\n`,
    ]),
  );
  assertTaken(seen, /^250/, /^451/);
  assertBounded(seen);
  const taken = seen.answers.filter((answer) => answer.startsWith('250')).length;
  await until(() => home.sink.transactions.length === 1 + taken, 'all that were taken are delivered', 100_000);
});

test('requests with a file of 17 MB are taken by the API, one after the other where memory is short', async () => {
  const seen = await watching(server, async () => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ from: `app@${DOMAIN}`, to: 'large@x.test', text: 'See the file.' })) form.set(name, value);
    form.set('attachment', new Blob([FILE]), 'large.bin');
    const response = await fetch(`${server.url}/v3/${DOMAIN}/messages`, { method: 'POST', headers: server.authorization(), body: form });
    return `${response.status} ${await response.text()}`;
  });
  assertTaken(seen, /^200/, /^503/);
  assertBounded(seen);
});
