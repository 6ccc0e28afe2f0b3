import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SubmissionOptions } from '#model/submission.ts';
import { listUnsubscribing, prepareUnsubscribing, type UnsubscribePlaces, type UnsubscribeWishes } from './prepare.ts';

const PLACES: UnsubscribePlaces = { base: 'https://mail.example.org', mailDomain: 'example.org' };
const WISHES: UnsubscribeWishes = { header: 'tracked', scope: 'all' };
/** The real one finds it in any document. */
const endOfBody = (html: string): number => (/<\/body>/i.exec(html) ?? { index: html.length }).index;
const OPTIONS: SubmissionOptions = { tags: [], variables: {}, testMode: false };

interface Case {
  readonly tracked?: boolean;
  readonly settings?: object;
  readonly options?: Partial<SubmissionOptions>;
  readonly wishes?: Partial<UnsubscribeWishes>;
  readonly isBatch?: boolean;
  readonly isLate?: boolean;
  readonly places?: UnsubscribePlaces | undefined;
}

/** With CRLF lines, as kept. */
function prepared(message: string, of: Case = {}) {
  const given = new Uint8Array(Buffer.from(message.replace(/\r?\n/g, '\r\n')));
  const { bytes, unsubscribe } = prepareUnsubscribing(
    given,
    {
      options: { ...OPTIONS, ...of.options },
      settings: { trackUnsubscribes: of.tracked ?? false, ...of.settings },
      isBatch: of.isBatch ?? false,
      isLate: of.isLate ?? false,
    },
    { wishes: { ...WISHES, ...of.wishes }, endOfBody },
    () => ('places' in of ? of.places : PLACES),
  );
  return { text: Buffer.from(bytes).toString(), isSame: bytes === given, unsubscribe };
}

const PLAIN = 'Subject: x\nContent-Type: text/plain; charset=utf-8\n\nHello\n';
const HTML = 'Content-Type: text/html; charset=utf-8\n\n<html><body><p>Hello</p></BODY></html>\n';

describe('what is decided about unsubscribing when a message is accepted', () => {
  test('mail that says nothing of it, of a domain that does not ask for it, stays as it is and shares its transactions', () => {
    for (const message of [PLAIN, HTML, 'Subject: 100% sure, %unsubscribe%\n\nwidth: 100%; %unsubscribe_url %recipient%\n']) {
      const { isSame, unsubscribe } = prepared(message);
      assert.deepEqual([isSame, unsubscribe], [true, undefined]);
    }
  });

  test('a variable is found in text and HTML, in the header, over a soft line break and in base64', () => {
    const encoded = Buffer.from('Enough? %tag_unsubscribe_url%').toString('base64');
    for (const message of [
      'Subject: x\n\n%unsubscribe_url%\n',
      'Subject: x\n\nor write to %unsubscribe_email%\n',
      'List-Unsubscribe: <mailto:%tag_unsubscribe_email%>\nSubject: x\n\nHello\n',
      'Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<a href=3D"%mailing_list_unsub=\nscribe_url%">x</a>\n',
      `Content-Type: text/plain\nContent-Transfer-Encoding: BASE64\n\n${encoded}\n`,
    ]) {
      const { isSame, unsubscribe } = prepared(message);
      assert.equal(isSame, true, message);
      assert.equal(unsubscribe?.variables, true, message);
    }
  });

  test('what stands in an attachment, or in what is signed, is nobody’s to change', () => {
    const attached =
      'Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHello\n--b\nContent-Type: text/plain\nContent-Disposition: attachment\n\n%unsubscribe_url%\n--b--\n';
    const sealed =
      'Content-Type: multipart/signed; boundary=b\n\n--b\n\n%unsubscribe_url%\n--b\nContent-Type: application/pkcs7-signature\n\nx\n--b--\n';
    for (const message of [attached, sealed]) assert.equal(prepared(message).unsubscribe, undefined);
    assert.equal(prepared(sealed, { tracked: true }).isSame, true);
  });

  test('a domain that asks for it has its footers below the text and at the end of the HTML, and its fields', () => {
    const text = prepared(PLAIN, { tracked: true });
    assert.match(text.text, /^Hello\r\n\r\n\r\nTo unsubscribe click: <%unsubscribe_url%>\r\n/m);
    assert.deepEqual(text.unsubscribe, { ...PLACES, variables: true, fields: 'all' });
    const html = prepared(HTML, { tracked: true, settings: { unsubscribeHtml: '<p>Schluß? <a href="%unsubscribe_url%">ja</a></p>' } });
    assert.match(html.text, /<p>Hello<\/p><p>Schlu&#223;\? <a href="%unsubscribe_url%">ja<\/a><\/p><\/BODY>/);
    const bare = prepared('Content-Type: text/html\n\n<p>Hello\n', { tracked: true });
    assert.match(bare.text, /<p>Hello\r\n\r\n<br>\r\n<p><a href="%unsubscribe_url%">/);
  });

  test('a footer beyond ASCII is written in the charset of the text, or without its marks', () => {
    const settings = { unsubscribeText: '\nGrüße – %unsubscribe_url%\n' };
    const of = (charset: string): string => `Content-Type: text/plain; charset=${charset}\n\nHello\n`;
    assert.match(prepared(of('utf-8'), { tracked: true, settings }).text, /Grüße – %/);
    const latin = prepareUnsubscribing(
      new Uint8Array(Buffer.from(of('iso-8859-1').replaceAll('\n', '\r\n'))),
      {
        options: OPTIONS,
        settings: { trackUnsubscribes: true, unsubscribeText: '\nGrüße %unsubscribe_url%\n' },
        isBatch: false,
        isLate: false,
      },
      { wishes: WISHES, endOfBody },
      () => PLACES,
    );
    assert.match(Buffer.from(latin.bytes).toString('latin1'), /Grüße %/);
    assert.match(
      prepared(of('iso-8859-7'), { tracked: true, settings: { unsubscribeText: '\nGrüße %unsubscribe_url%' } }).text,
      /Gru\?e %/,
    );
  });

  test('a message that has a variable in one of its texts gets no footer in any', () => {
    const both = `Content-Type: multipart/alternative; boundary=b\n\n--b\n\nHello\n--b\nContent-Type: text/html\n\n<a href="%unsubscribe_url%">x</a>\n--b--\n`;
    const { isSame, unsubscribe } = prepared(both, { tracked: true });
    assert.equal(isSame, true);
    assert.equal(unsubscribe?.variables, true);
  });

  test('a variable in an AMP part alone is one too, and the texts, which most people see, still get their footers', () => {
    const amp = `Content-Type: multipart/alternative; boundary=b\n\n--b\n\nHello\n--b\nContent-Type: text/x-amp-html\n\n<a href="%tag_unsubscribe_url%">x</a>\n--b--\n`;
    const untracked = prepared(amp);
    assert.deepEqual([untracked.isSame, untracked.unsubscribe?.variables], [true, true]);
    const { text, unsubscribe } = prepared(amp, { tracked: true });
    assert.match(text, /Hello\r\n\r\nTo unsubscribe click: <%unsubscribe_url%>/);
    assert.match(text, /\r\n\r\n<a href="%tag_unsubscribe_url%">x<\/a>\r\n--b--/);
    assert.equal(unsubscribe?.variables, true);
  });

  test('what the message says wins over its domain', () => {
    assert.equal(prepared(PLAIN, { tracked: true, options: { trackingUnsubscribe: 'no' } }).unsubscribe, undefined);
    assert.equal(prepared(PLAIN, { options: { trackingUnsubscribe: 'yes' } }).unsubscribe?.variables, true);
    // Opens and clicks are another matter.
    assert.equal(prepared(PLAIN, { tracked: true, options: { tracking: 'no' } }).unsubscribe?.fields, 'all');
  });

  test('fields are the sender’s own where there are some; ours is completed for one click, over HTTPS or on loopback alone', () => {
    const own = (value: string, more = ''): string => `List-Unsubscribe: ${value}\n${more}${PLAIN}`;
    const fieldsOf = (message: string, of: Case = {}): unknown => prepared(message, { tracked: true, ...of }).unsubscribe?.fields;
    assert.equal(fieldsOf(own('<https://elsewhere.test/>')), undefined);
    assert.equal(fieldsOf(own('<mailto:%unsubscribe_email%>')), undefined);
    assert.equal(fieldsOf(own('<mailto:a@b.test>,\n <%unsubscribe_url%>')), 'post');
    assert.equal(fieldsOf(own('<%unsubscribe_url%>', 'List-Unsubscribe-Post: List-Unsubscribe=One-Click\n')), undefined);
    assert.equal(fieldsOf(own('<%unsubscribe_url%>'), { places: { base: 'http://mail.example.org' } }), undefined);
    assert.equal(fieldsOf(own('<%unsubscribe_url%>'), { places: { base: 'http://127.0.0.1.example.org' } }), undefined);
    assert.equal(fieldsOf(own('<%unsubscribe_url%>'), { places: { base: 'http://127.0.0.1:8080' } }), 'post');
  });

  test('which mail gets fields is the operator’s choice', () => {
    const fields = (message: string, of: Case): unknown => prepared(message, of).unsubscribe?.fields;
    assert.equal(fields(PLAIN, { isBatch: true }), undefined);
    assert.equal(fields(PLAIN, { isBatch: true, wishes: { header: 'batches' } }), 'all');
    assert.equal(fields(PLAIN, { wishes: { header: 'batches' } }), undefined);
    assert.equal(fields(PLAIN, { tracked: true, wishes: { header: 'off' } }), undefined);
    assert.equal(fields(PLAIN, { tracked: true, wishes: { scope: 'tags' } }), 'tags');
    assert.equal(fields('Subject: x\n\n%unsubscribe_url%\n', {}), 'all');
  });

  test('a template that is rendered at delivery may get the variable from its values', () => {
    const message = 'Content-Type: text/html\n\n<a href="{{link}}">x</a>\n';
    assert.equal(prepared(message, { isLate: true, options: { variables: { link: '%unsubscribe_url%' } } }).unsubscribe?.variables, true);
    assert.equal(prepared(message, { isLate: true, options: { variables: { link: 'https://shop.test/' } } }).unsubscribe, undefined);
  });

  test('where nothing leads here, nothing is added', () => {
    const { isSame, unsubscribe } = prepared(PLAIN, { tracked: true, places: undefined });
    assert.deepEqual([isSame, unsubscribe], [true, undefined]);
  });

  test('mail to a mailing list can always be left, unless the sender or the operator says otherwise', () => {
    const list = (message: string, wishes = WISHES, before?: Parameters<typeof listUnsubscribing>[1]) =>
      listUnsubscribing(Buffer.from(message.replaceAll('\n', '\r\n')), before, wishes, PLACES);
    assert.deepEqual(list(PLAIN), { ...PLACES, fields: 'all' });
    assert.deepEqual(list(PLAIN, WISHES, { ...PLACES, variables: true }), { ...PLACES, fields: 'all', variables: true });
    assert.equal(list(`List-Unsubscribe: <https://own.test/>\n${PLAIN}`), undefined);
    assert.equal(list(PLAIN, { ...WISHES, header: 'off' }), undefined);
  });
});
