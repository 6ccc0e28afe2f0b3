/** The sink is the judge of benchmark and crash test: it must count right, however the octets are cut. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Child } from '../../bench/child.ts';
import { header } from '../../bench/message.ts';

const MESSAGE = `${header('n1', 'ann@sink.example')}Hello.\r\n..a stuffed dot, and .\r\nmore\r\n`;
const TEXT = `EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@sink.example>\r\nRCPT TO:<bob@sink.example>\r\nDATA\r\n${MESSAGE}.\r\nQUIT\r\n`;
const HALF = Math.floor(MESSAGE.length / 2);
const CHUNKS =
  `EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@sink.example>\r\nBDAT ${HALF}\r\n${MESSAGE.slice(0, HALF)}` +
  `BDAT ${MESSAGE.length - HALF} LAST\r\n${MESSAGE.slice(HALF)}QUIT\r\n`;

describe("the benchmark's sink", () => {
  let sink: Child;
  let port: number;

  before(async () => {
    sink = new Child(join(import.meta.dirname, '../../bench/sink.ts'));
    port = await sink.ask<number>('start', { record: true });
  });
  after(() => sink.stop());
  beforeEach(async () => {
    await sink.ask('set', { deferShare: 0 });
    await sink.ask('reset');
  });

  /** Writes the dialogue in pieces of `size` octets; resolves to the codes of all replies. */
  async function talk(dialogue: string, size: number): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    let answers = '';
    socket.on('data', (bytes: Buffer) => (answers += bytes.toString('latin1')));
    for (let at = 0; at < dialogue.length; at += size) {
      await new Promise((resolve) => socket.write(dialogue.slice(at, at + size), 'latin1', resolve));
    }
    await once(socket, 'close');
    const last = answers.split('\r\n').filter((line) => line[3] === ' ');
    return last.map((line) => line.slice(0, 3)).join(' ');
  }

  for (const size of [1, 2, 3, 4, 5, 7, 100, 100_000]) {
    test(`takes a message by DATA in pieces of ${size}`, async () => {
      assert.equal(await talk(TEXT, size), '220 250 250 250 250 354 250 221');
      assert.deepEqual(await sink.ask('deliveries'), [
        ['n1 ann@sink.example n1@bench.example', 1],
        ['n1 bob@sink.example n1@bench.example', 1],
      ]);
    });

    test(`takes a message by BDAT in pieces of ${size}`, async () => {
      assert.equal(await talk(CHUNKS, size), '220 250 250 250 250 250 221');
      assert.deepEqual(await sink.ask('deliveries'), [['n1 ann@sink.example n1@bench.example', 1]]);
    });
  }

  test('throws away the chunks of a message whose every recipient was put off', async () => {
    await sink.ask('set', { deferShare: 1 });
    assert.equal(await talk(CHUNKS, 100_000), '220 250 250 451 554 554 221');
    assert.deepEqual(await sink.ask('deliveries'), []);
  });
});
