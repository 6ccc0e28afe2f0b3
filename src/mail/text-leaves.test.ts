import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEAF_MAX, readLeaves, rewriteLeaves, type TextLeaf } from './text-leaves.ts';
import { parseMime, partOctets } from './mime.ts';
import { lineTrouble } from './smtp-text.ts';

const shout = (octets: string): string => octets.replaceAll('link', 'LINK');
const run = (mime: string | Buffer, pass = shout): Buffer => rewriteLeaves(Buffer.from(mime), [pass]);
const message = (...lines: string[]): string => `${lines.join('\r\n')}\r\n`;

/** What each leaf says, decoded, by its position among all parts. */
function leaves(bytes: Buffer): string[] {
  const mime = parseMime(bytes);
  return mime.parts.filter(({ isContainer }) => !isContainer).map((part) => partOctets(mime, part).toString('latin1'));
}

const ALTERNATIVE = message(
  'From: a@example.org',
  'MIME-Version: 1.0',
  'Content-Type: multipart/alternative; boundary="b"',
  '',
  'preamble link',
  '--b',
  'Content-Type: text/plain; charset=utf-8',
  '',
  'plain link',
  '--b',
  'Content-Type: text/x-amp-html; charset=utf-8',
  '',
  'amp link',
  '--b',
  'Content-Type: text/html; charset=utf-8',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'html =6Cink =C3=A9',
  '--b--',
  'epilogue link',
);

test('plain and HTML leaves are changed, and nothing else is: no AMP part, no preamble', () => {
  const after = run(ALTERNATIVE).toString('latin1');
  assert.equal(after, ALTERNATIVE.replace('plain link', 'plain LINK').replace('html =6Cink', 'html LINK'));
});

test('what no pass changes is the very same buffer', () => {
  const bytes = Buffer.from(ALTERNATIVE);
  assert.equal(rewriteLeaves(bytes, [(octets) => octets]), bytes);
  assert.equal(rewriteLeaves(bytes, []), bytes);
});

test('who only reads is shown AMP parts too, decoded', () => {
  const seen: string[] = [];
  readLeaves(Buffer.from(ALTERNATIVE), (octets, kind) => seen.push(`${kind}: ${octets}`));
  assert.deepEqual(seen, ['text: plain link', 'amp: amp link', 'html: html link \xc3\xa9']);
});

test('passes run in their order, and are told what the leaf is', () => {
  const seen: string[] = [];
  const note = (octets: string, leaf: TextLeaf): string => (seen.push(`${leaf.kind} ${leaf.position}`), `${octets}1`);
  const after = rewriteLeaves(Buffer.from(ALTERNATIVE), [note, (octets) => `${octets}2`]);
  assert.deepEqual(seen, ['text 0', 'html 0']);
  assert.match(after.toString('latin1'), /plain link12\r\n--b/);
});

test('a message of one part is a leaf too', () => {
  assert.equal(run(message('Subject: x', '', 'a link')).toString(), message('Subject: x', '', 'a LINK'));
});

for (const [what, headers] of [
  ['an attached text', ['Content-Type: text/plain', 'Content-Disposition: attachment']],
  ['a text with a file name', ['Content-Type: text/plain; name="a.txt"']],
  ['a shown text with a file name', ['Content-Type: text/html', 'Content-Disposition: inline; filename=a.html']],
  ['an unknown transfer encoding', ['Content-Type: text/plain', 'Content-Transfer-Encoding: x-uuencode']],
  ['a calendar', ['Content-Type: text/calendar']],
  ['a text in which spaces at line ends are none', ['Content-Type: text/plain; format=flowed; DelSp=Yes']],
] as const) {
  test(`${what} is left alone`, () => {
    const mime = message('Content-Type: multipart/mixed; boundary=b', '', '--b', ...headers, '', 'link', '--b--');
    assert.equal(run(mime).toString(), mime);
  });
}

for (const kind of ['signed; protocol="application/pgp-signature"', 'encrypted', 'report; report-type=delivery-status']) {
  test(`nothing inside multipart/${kind.split(';')[0]} is touched, however deep`, () => {
    const mime = message(
      `Content-Type: multipart/${kind}; boundary=outer`,
      '',
      '--outer',
      'Content-Type: multipart/mixed; boundary=inner',
      '',
      '--inner',
      'Content-Type: text/plain',
      '',
      'link',
      '--inner--',
      '--outer--',
    );
    assert.equal(run(mime).toString(), mime);
  });
}

test('a text that is signed or encrypted in itself is left alone', () => {
  const mime = message('Content-Type: text/plain', '', '-----BEGIN PGP SIGNED MESSAGE-----', '', 'link');
  assert.equal(run(mime).toString(), mime);
});

test('a forwarded message is not looked into', () => {
  const mime = message(
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: message/rfc822',
    '',
    'Content-Type: text/html',
    '',
    'link',
    '--b--',
  );
  assert.equal(run(mime).toString(), mime);
});

test('base64 stays base64, quoted-printable stays it, and the octets around a change are the same', () => {
  const text = 'tr\u00e8s long link \u20ac '.repeat(30);
  for (const encoding of ['base64', 'quoted-printable'] as const) {
    const body = Buffer.from(text);
    const encoded =
      encoding === 'base64'
        ? body.toString('base64').replace(/.{76}/g, '$&\r\n')
        : body.toString('latin1').replace(/[=\x80-\xff]/g, (octet) => `=${octet.charCodeAt(0).toString(16).toUpperCase()}`);
    const mime = message('Content-Type: text/html; charset=utf-8', `Content-Transfer-Encoding: ${encoding}`, '', encoded);
    const after = run(mime);
    assert.match(after.toString('latin1'), new RegExp(`Content-Transfer-Encoding: ${encoding}\r\n`));
    assert.equal(
      Buffer.from(leaves(after)[0] as string, 'latin1')
        .toString()
        .trimEnd(),
      text.replaceAll('link', 'LINK').trimEnd(),
    );
    assert.equal(lineTrouble(after, 998), undefined);
  }
});

test('a line that became too long makes the part quoted-printable', () => {
  const long = (octets: string): string => octets.replace('link', 'x'.repeat(2000));
  const after = run(message('Subject: x', 'Content-Type: text/plain', 'Content-Transfer-Encoding: 7bit', '', 'a link', 'b'), long);
  assert.equal(lineTrouble(after, 998), undefined);
  assert.match(
    after.toString(),
    /^Subject: x\r\nContent-Type: text\/plain\r\nMIME-Version: 1\.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n/,
  );
  assert.equal(leaves(after)[0], `a ${'x'.repeat(2000)}\r\nb\r\n`);
});

test('eight bits stay eight bits, in the charset they are in', () => {
  const head = message('Content-Type: text/plain; charset=iso-8859-1', 'Content-Transfer-Encoding: 8bit', '');
  const bytes = Buffer.concat([Buffer.from(head), Buffer.from('caf\xe9 link', 'latin1')]);
  const said: string[] = [];
  const after = rewriteLeaves(bytes, [(octets, leaf) => (said.push(leaf.decode(octets)), shout(octets))]);
  assert.deepEqual(said, ['caf\u00e9 link']);
  assert.deepEqual(after, Buffer.concat([Buffer.from(head), Buffer.from('caf\xe9 LINK', 'latin1')]));
});

test('a charset that is not over ASCII becomes UTF-8 when there is a change, and only then', () => {
  const head = message('Content-Type: text/html; charset=iso-2022-jp', 'MIME-Version: 1.0', '');
  // "日本" in which an octet looks like markup.
  const bytes = Buffer.concat([Buffer.from(head), Buffer.from('\x1b$BF|K\\\x1b(B link \x1b$B<h\x1b(B', 'latin1')]);
  assert.equal(rewriteLeaves(bytes, [(octets) => octets]), bytes);
  const after = rewriteLeaves(bytes, [shout]);
  assert.match(after.toString('latin1'), /Content-Type: text\/html; charset=utf-8\r\n/);
  assert.equal(Buffer.from(leaves(after)[0] as string, 'latin1').toString(), '日本 LINK 取');
});

test('a charset that nobody knows keeps its octets', () => {
  const head = message('Content-Type: text/plain; charset=x-unheard-of', '');
  const bytes = Buffer.concat([Buffer.from(head), Buffer.from('\xff\xfe link', 'latin1')]);
  assert.deepEqual(rewriteLeaves(bytes, [shout]), Buffer.concat([Buffer.from(head), Buffer.from('\xff\xfe LINK', 'latin1')]));
});

test('a part beyond the limit is left as it is', () => {
  const mime = message('Content-Type: text/plain', '', `${'link\r\n'.repeat(Math.ceil(LEAF_MAX / 6))}x`);
  assert.equal(run(mime).toString(), mime);
});

test('mail with more parts than are read is left as it is', () => {
  const part = '--b\r\nContent-Type: text/plain\r\n\r\nlink\r\n';
  const mime = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(1100)}--b--\r\n`;
  assert.equal(run(mime).toString(), mime);
});
