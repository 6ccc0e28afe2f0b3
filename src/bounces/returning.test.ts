import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSignedTokens } from '#base/signed-token.ts';
import { headerValue, readHeader } from '#mail/header.ts';
import type { MessageInfo, StoredMessage, StoredRecipient } from '#model/message.ts';
import { storedMessage, storedRecipient } from '../../test/kit/stored.ts';
import { createReturning } from './returning.ts';
import { createReturnTokens } from './return-token.ts';

const tokens = createReturnTokens(createSignedTokens(Buffer.alloc(32, 5)));
const MIME = 'From: app@ours.test\r\nSubject: x\r\n\r\nx\r\n';

function message(change: Partial<StoredMessage> = {}, info: Partial<MessageInfo> = {}): StoredMessage {
  return storedMessage({ domain: 'ours.test', messageId: 'a@ours.test', sender: 'app@ours.test', ...change, info });
}

const recipient = (id: number): StoredRecipient => storedRecipient({ id, address: `u${id}@x.test`, domain: 'x.test' });

async function run(given: StoredMessage, ids: readonly number[], domain: string | undefined = 'ours.test', mime = MIME) {
  const returning = createReturning({ tokens, returnDomain: async () => domain, hasFeedbackId: true, senderId: 'abc123' });
  const { mailFrom, fields } = await returning(given, ids.map(recipient), Buffer.from(mime));
  const header = readHeader(Buffer.from(`${fields}\r\n`));
  return {
    mailFrom,
    path: mailFrom === undefined ? undefined : tokens.openReturnPath(mailFrom.slice(0, mailFrom.indexOf('@'))),
    inHeader: tokens.openFeedbackToken(headerValue(header, 'cfbl-feedback-id') ?? ''),
    names: header.fields.map(({ name }) => name),
    feedbackId: headerValue(header, 'feedback-id'),
  };
}

test('a transaction for one tells whose it is, one for several tells the message', async () => {
  assert.deepEqual((await run(message(), [11])).path, { kind: 'recipient', id: 11 });
  assert.deepEqual((await run(message(), [11, 12])).path, { kind: 'message', id: 7 });
});

test('the header tells the recipient where it is its own, and else is the same for all, so that one signature does', async () => {
  assert.deepEqual((await run(message(), [11])).inHeader, { kind: 'message', id: 7 });
  assert.deepEqual((await run(message({ priority: 0 }), [11])).inHeader, { kind: 'recipient', id: 11 });
  assert.deepEqual((await run(message({ priority: 2 }, { batchId: 'b' }), [11])).inHeader, { kind: 'recipient', id: 11 });
});

test('nothing comes back about a notification', async () => {
  assert.deepEqual(await run(message({ sender: '' }), [11]), {
    mailFrom: undefined,
    path: undefined,
    inHeader: undefined,
    names: [],
    feedbackId: undefined,
  });
});

test('complaints are asked for only where the address is believed: of the author’s domain or below it', async () => {
  assert.deepEqual((await run(message(), [11], 'b.ours.test')).names, ['feedback-id', 'cfbl-address', 'cfbl-feedback-id']);
  assert.deepEqual((await run(message(), [11], 'notours.test')).names, ['feedback-id', 'cfbl-feedback-id']);
  const none = createReturning({ tokens, returnDomain: async () => undefined, hasFeedbackId: false, senderId: 'abc123' });
  assert.deepEqual(await none(message(), [recipient(11)], Buffer.from(MIME)), { fields: '' });
});

test('a Feedback-ID has the first tag, the domain, the kind and the installation, in characters that separate nothing', async () => {
  const options = { tags: ['Ä: b', 'c'], variables: {}, testMode: false };
  assert.equal((await run(message({}, { options, batchId: 'b' }), [11])).feedbackId, '___b:ours.test:batch:abc123');
  assert.equal((await run(message(), [11])).feedbackId, 'ours.test:single:abc123');
});

test('what the sender wrote itself, or wants withheld, is not added', async () => {
  assert.deepEqual((await run(message(), [11], 'ours.test', `CFBL-Address: me@ours.test\r\nFeedback-ID: x\r\n${MIME}`)).names, [
    'cfbl-feedback-id',
  ]);
  const withheld = { tags: [], variables: {}, testMode: false, suppressHeaders: ['Feedback-ID', 'CFBL-Feedback-ID'] };
  assert.deepEqual((await run(message({}, { options: withheld }), [11])).names, ['cfbl-address']);
});
