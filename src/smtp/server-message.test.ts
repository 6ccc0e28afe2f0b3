/** How a message comes in over real sockets: its end, its dots, its line ends, its size, by DATA and by BDAT. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { EndOfData } from './server-data.ts';
import { settleText } from './server-text.ts';
import { greeted, inData, ready, startReceiver } from '../../test/kit/smtp-receiver.ts';
import { until } from '../../test/kit/until.ts';

const HEAD = 'Subject: one\r\n\r\n';

test('a message reaches the hook with its envelope, in a Buffer that owns its memory', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await inData(receiver);
  assert.equal(await talk.say(`${HEAD}hello\r\n.`), '250 2.0.0 Ok');
  const [message] = receiver.messages;
  assert.equal(message?.text, `${HEAD}hello\r\n`);
  assert.equal(message?.envelope.sender, 'a@from.test');
  assert.deepEqual(message?.envelope.recipients, [{ address: 'b@to.test', notify: undefined, orcpt: undefined }]);
  assert.equal(message?.bytes.buffer.byteLength, message?.bytes.length);
  assert.equal(message?.bytes.byteOffset, 0);
});

test('the end of data is found in every text of CR, LF, dot and x, however it is cut', () => {
  const alphabet = ['\r', '\n', '.', 'x'];
  for (let number = 0; number < 4 ** 7; number++) {
    const text = Array.from({ length: 7 }, (_, index) => alphabet[(number >> (index * 2)) & 3]).join('');
    const bytes = Buffer.from(text);
    // The CRLF of the DATA command comes before it.
    const expected = `\r\n${text}`.indexOf('\r\n.\r\n');
    const end = expected === -1 ? -1 : expected + 3;
    for (const cut of [0, 1 + (number % 6), 7]) {
      const finder = new EndOfData();
      const first = finder.find(bytes.subarray(0, cut), 0);
      const second = first === -1 ? finder.find(bytes.subarray(cut), 0) : -1;
      const found = second === -1 ? first : second + cut;
      assert.equal(found, end, JSON.stringify([text, cut]));
    }
    const single = new EndOfData();
    const steps = [...bytes].findIndex((_, index) => single.find(bytes.subarray(index, index + 1), 0) !== -1);
    assert.equal(steps === -1 ? -1 : steps + 1, end, JSON.stringify(text));
  }
});

test('lines that stray line ends made are unstuffed like others', () => {
  const settled = settleText(Buffer.from('a\n..b\r.c\0\r\n'), { isDotStuffed: true, bareNewlines: 'normalise', lineBytesMax: 0 });
  assert.equal(settled.toString(), 'a\r\n.b\r\nc\r\n');
});

test('a lone dot after DATA is the empty message', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await inData(receiver);
  assert.equal(await talk.say('.'), '250 2.0.0 Ok');
  assert.equal(receiver.messages[0]?.bytes.length, 0);
});

test('the first dot of a line goes, and only that', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await inData(receiver);
  await talk.say('..first\r\n...\r\n.x\r\na.\r\n..\r\n.');
  assert.equal(receiver.messages[0]?.text, '.first\r\n..\r\nx\r\na.\r\n.\r\n');
  assert.equal(receiver.messages[0]?.bytes.buffer.byteLength, receiver.messages[0]?.bytes.length);
});

test('a message of nothing but dots costs one copy', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await inData(receiver);
  const dots = '..\r\n'.repeat(500_000);
  assert.match(await talk.say(`${dots}.`), /^250 /);
  assert.equal(receiver.messages[0]?.bytes.length, 1_500_000);
});

test('many lines with dots are unstuffed as few are', () => {
  const lines = ['', '.', '..', 'a', '.a', 'a.', '..a.'];
  const text = Array.from({ length: 3000 }, (_, i) => `${lines[(i * i) % lines.length]}\r\n`).join('');
  const settled = settleText(Buffer.from(text.replace(/^\./gm, '..')), { isDotStuffed: true, bareNewlines: 'refuse', lineBytesMax: 0 });
  assert.equal(settled.toString(), text);
});

const IMITATIONS = [
  '\n.\n',
  '\n.\r\n',
  '\r\n.\n',
  '\r.\r',
  '\r\n.\r',
  '\r.\r\n',
  '\n.\r',
  '\r\n\0.\r\n',
  '\r\n.\0\r\n',
  '\r\n.\r\0\n',
  '\r\r\n.\r\r\n',
  '\n\r.\n\r',
];

for (const imitation of IMITATIONS) {
  test(`${JSON.stringify(imitation)} does not end a message, and the message is refused at its true end`, async (t) => {
    const receiver = await startReceiver(t);
    const talk = await inData(receiver);
    talk.send(`${HEAD}one${imitation}MAIL FROM:<evil@from.test>\r\nRCPT TO:<victim@to.test>\r\nDATA\r\nsmuggled\r\n.\r\n`);
    assert.match(await talk.reply(), /^550 5\.6\.0 /);
    assert.equal(await talk.say('NOOP'), '250 2.0.0 Ok');
    assert.equal(talk.pending, '');
    assert.equal(receiver.messages.length, 0);
  });

  test(`${JSON.stringify(imitation)} is made CRLF where that is asked for, and still ends nothing`, async (t) => {
    const receiver = await startReceiver(t, {}, { bareNewlines: 'normalise' });
    const talk = await inData(receiver);
    talk.send(`${HEAD}one${imitation}MAIL FROM:<evil@from.test>\r\n.\r\n`);
    assert.match(await talk.reply(), /^250 /);
    assert.equal(await talk.say('NOOP'), '250 2.0.0 Ok');
    const text = receiver.messages[0]?.text ?? '';
    assert.match(text, /MAIL FROM:<evil@from\.test>\r\n$/);
    assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n|\0/);
  });
}

test('look-alike dots are text', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await inData(receiver);
  for (const dot of ['\u00b7', '\u3002', '\uff0e', '\u2024']) talk.send(Buffer.from(`\r\n${dot}\r\n`));
  assert.match(await talk.say('.'), /^250 /);
  assert.equal(receiver.messages.length, 1);
});

test('a bare LF at the very end, and a CR before the end of data, are refused too', async (t) => {
  for (const body of ['x\n\r\n.\r\n', 'x\r\r\n.\r\n', '\nx\r\n.\r\n']) {
    const receiver = await startReceiver(t);
    const talk = await inData(receiver);
    talk.send(body);
    assert.match(await talk.reply(), /^550 5\.6\.0 /, JSON.stringify(body));
  }
});

test('however the network cuts a dialogue, the result is the same', async (t) => {
  const receiver = await startReceiver(t, (session) => ({ onHelo: session.port % 2 === 0 ? () => Promise.resolve() : undefined }));
  const body = `${HEAD}..dot\r\n.x\r\r\n`.replace('\r\r\n', '\r\n') + 'a\r\n'.repeat(50);
  const steps = ['EHLO c.test', 'MAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\nDATA', `${body}.\r\nMAIL FROM:<c@from.test>\r\nRSET`];
  const replies = [1, 3, 3];
  let seed = 20_260_101;
  for (let round = 0; round < 60; round++) {
    const talk = await receiver.open();
    const seen: string[] = [];
    for (const [index, step] of steps.entries()) {
      const text = `${step}\r\n`;
      for (let at = 0; at < text.length;) {
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
        const size = 1 + ((seed >>> 16) % (seed % 3 === 0 ? 200 : 3));
        talk.send(text.slice(at, at + size));
        at += size;
        // A turn of the loop lets the piece leave by itself.
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (let left = replies[index] ?? 0; left > 0; left--) seen.push((await talk.reply()).slice(0, 3));
    }
    assert.deepEqual(seen, ['250', '250', '250', '354', '250', '250', '250'], `round ${round}`);
    assert.equal(receiver.messages[round]?.text, body.replace('\r\n..', '\r\n.').replace('\r\n.x', '\r\nx'), `round ${round}`);
    talk.destroy();
  }
});

test('a size that is declared too large is refused before the body', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { messageBytes: 1000 } });
  const talk = await greeted(receiver);
  assert.match(await talk.say('MAIL FROM:<a@from.test> SIZE=1001'), /^552 5\.3\.4 /);
  assert.match(await talk.say('MAIL FROM:<a@from.test> SIZE=99999999999999999999'), /^552 5\.3\.4 /);
  assert.match(await talk.say('MAIL FROM:<a@from.test> SIZE=1000'), /^250 /);
});

test('a message over the limit is read to its end and refused; exactly at the limit it is taken', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { messageBytes: 1000 } });
  const talk = await inData(receiver);
  assert.match(await talk.say(`${'x'.repeat(999)}\r\n.`), /^552 5\.3\.4 /);
  talk.send('MAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\nDATA\r\n');
  assert.deepEqual(await talk.codes(3), ['250', '250', '354']);
  assert.match(await talk.say(`${'x'.repeat(998)}\r\n.`), /^250 /);
});

test('a message far over the limit ends the connection', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { messageBytes: 1000, overrunBytes: 1000 } });
  const talk = await inData(receiver);
  talk.send('x'.repeat(5000));
  assert.match(await talk.rest(), /^552 5\.3\.4 /);
});

test('lines over the limit are refused, counted without the dot that stuffing added', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { textLineBytes: 998 } });
  const talk = await inData(receiver);
  assert.match(await talk.say(`..${'x'.repeat(997)}\r\n.`), /^250 /);
  talk.send('MAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\nDATA\r\n');
  await talk.codes(3);
  assert.match(await talk.say(`${'x'.repeat(999)}\r\n.`), /^550 5\.6\.0 .*998/);
});

test('a client that vanishes inside a message leaves nothing', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await inData(receiver);
  talk.send(`${HEAD}half`);
  talk.end();
  await talk.rest();
  await until(() => receiver.closed === 1, 'the session has ended');
  assert.equal(receiver.messages.length, 0);
});

test('a client that closes its side behind the dot still gets its answer', async (t) => {
  const receiver = await startReceiver(t, { onMessage: () => new Promise((resolve) => setTimeout(resolve, 20)) });
  const talk = await inData(receiver);
  talk.send(`${HEAD}x\r\n.\r\n`);
  talk.end();
  assert.equal(await talk.rest(), '250 2.0.0 Ok\r\n');
});

test('chunks make one message, in one flight, without unstuffing', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  talk.send(`MAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\nBDAT 16\r\n${HEAD}BDAT 0\r\nBDAT 7 LAST\r\n..end\r\nNOOP\r\n`);
  assert.deepEqual(await talk.codes(6), ['250', '250', '250', '250', '250', '250']);
  assert.equal(receiver.messages[0]?.text, `${HEAD}..end\r\n`);
  assert.equal(receiver.messages[0]?.bytes.buffer.byteLength, receiver.messages[0]?.bytes.length);
});

test('BDAT 0 LAST ends what came before, and a missing final CRLF is added', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await ready(receiver);
  talk.send('BDAT 3\r\nabcBDAT 0 LAST\r\n');
  assert.deepEqual(await talk.codes(2), ['250', '250']);
  assert.equal(receiver.messages[0]?.text, 'abc\r\n');
});

test('what looks like an end of data inside a chunk is text', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await ready(receiver);
  const text = 'a\r\n.\r\nMAIL FROM:<evil@from.test>\r\n';
  talk.send(`BDAT ${text.length} LAST\r\n${text}`);
  assert.match(await talk.reply(), /^250 /);
  assert.equal(receiver.messages[0]?.text, text);
});

test('stray line ends in chunks are refused like others, also when a chunk border stands between CR and LF', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await ready(receiver);
  talk.send('BDAT 4\r\nab\n\rBDAT 1 LAST\r\n\n');
  assert.match(await talk.reply(), /^250 /);
  assert.match(await talk.reply(), /^550 5\.6\.0 /);
  talk.send('MAIL FROM:<a@from.test>\r\nRCPT TO:<b@to.test>\r\nBDAT 3\r\nab\rBDAT 1 LAST\r\n\n');
  assert.deepEqual(await talk.codes(4), ['250', '250', '250', '250']);
});

test('DATA and BDAT do not mix, and RCPT does not come between chunks', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await ready(receiver);
  talk.send('BDAT 3\r\nabc');
  await talk.reply();
  assert.match(await talk.say('RCPT TO:<c@to.test>'), /^503 /);
  assert.match(await talk.say('DATA'), /^503 /);
  assert.match(await talk.say('RSET'), /^250 /);
  assert.equal(receiver.messages.length, 0);
});

test('the octets of a refused chunk are passed over, not obeyed', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  const text = 'MAIL FROM:<evil@from.test>\r\n';
  talk.send(`BDAT ${text.length}\r\n${text}NOOP\r\n`);
  assert.deepEqual(await talk.codes(2), ['503', '250']);
  assert.match(await talk.say('RCPT TO:<b@to.test>'), /^503 /);
});

test('chunks over the limit are refused, and the rest of the pipelined message with them', async (t) => {
  const receiver = await startReceiver(t, {}, { limits: { messageBytes: 10 } });
  const talk = await ready(receiver);
  talk.send('BDAT 6\r\n123456BDAT 6\r\n123456BDAT 2 LAST\r\n\r\n');
  assert.deepEqual(await talk.codes(3), ['250', '552', '503']);
  assert.match(await talk.say('NOOP'), /^250 /);
});

test('a chunk without a size that makes sense ends the connection', async (t) => {
  for (const argument of ['', 'x', '-1', '1.5', '0x10', '5 FIRST', '99999999999999999999', '5 LAST LAST']) {
    const receiver = await startReceiver(t);
    const talk = await ready(receiver);
    talk.send(`BDAT ${argument}\r\nRSET\r\n`);
    assert.match(await talk.rest(), /^501 [^\n]*\n$/, argument);
  }
});

test('a body that comes before 354 is not believed', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await ready(receiver);
  talk.send(`DATA\r\n${HEAD}x\r\n.\r\n`);
  assert.match(await talk.rest(), /^554 5\.5\.0 [^\n]*\n$/);
  assert.equal(receiver.messages.length, 0);
});

test('the body of a client that sends it although DATA was refused is not obeyed', async (t) => {
  const receiver = await startReceiver(t, { onData: () => ({ code: 451, enhanced: '4.3.2', text: 'not now' }) });
  const talk = await ready(receiver);
  assert.match(await talk.say('DATA'), /^451 /);
  talk.send('Subject: x\r\n\r\nMAIL FROM:<evil@from.test>\r\n.\r\n');
  assert.match(await talk.rest(), /^554 5\.5\.0 [^\n]*\n$/);
});

test('a body behind a DATA that came too early is not obeyed either', async (t) => {
  const receiver = await startReceiver(t);
  const talk = await greeted(receiver);
  assert.match(await talk.say('DATA'), /^503 /);
  talk.send('Subject: x\r\n\r\nMAIL FROM:<evil@from.test>\r\n.\r\n');
  assert.match(await talk.rest(), /^554 5\.5\.0 [^\n]*\n$/);
});

test('DATA without recipients, and with none that was accepted', async (t) => {
  const receiver = await startReceiver(t, { onRcpt: () => ({ code: 550, enhanced: '5.1.1', text: 'nobody' }) });
  const talk = await greeted(receiver);
  assert.match(await talk.say('DATA'), /^503 5\.5\.1 /);
  await talk.say('MAIL FROM:<a@from.test>');
  assert.match(await talk.say('DATA'), /^503 5\.5\.1 /);
  talk.send('RCPT TO:<b@to.test>\r\nDATA\r\n');
  assert.deepEqual(await talk.codes(2), ['550', '554']);
});
