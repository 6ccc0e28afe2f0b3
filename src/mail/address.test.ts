import { test } from 'node:test';
import assert from 'node:assert/strict';
import { threadCpuMs } from '../../test/kit/cpu-time.ts';
import { displayMailbox, domainOfAddress, formatMailbox, normalizeDomain, parseAddressList, parseMailbox, parsePath } from './address.ts';

const path = (text: string): string | undefined => parsePath(text, { allowNull: false })?.address;
const addresses = (text: string): string[] | undefined => parseAddressList(text, 1000)?.map((mailbox) => mailbox.address);

test('a plain address keeps its local part and gets its domain in lower case', () => {
  assert.deepEqual(parsePath('John.Doe+tag@Example.ORG', { allowNull: false }), {
    local: 'John.Doe+tag',
    domain: 'example.org',
    address: 'John.Doe+tag@example.org',
    isUtf8: false,
  });
});

test('the domain of an address stands after its last "@", though a quoted local part may have one too', () => {
  assert.equal(domainOfAddress('john@example.org'), 'example.org');
  assert.equal(domainOfAddress('"john@doe"@example.org'), 'example.org');
  assert.equal(domainOfAddress('root@[192.0.2.1]'), '[192.0.2.1]');
  assert.equal(domainOfAddress('example.org'), 'example.org');
});

test('the null reverse-path is a path only where it is allowed', () => {
  assert.equal(parsePath('', { allowNull: true })?.address, '');
  assert.equal(parsePath('', { allowNull: false }), undefined);
});

test('what only looks like an address is refused as a path', () => {
  for (const text of [
    'user',
    '@example.org',
    'user@',
    'user@@example.org',
    'a@b@example.org',
    '@relay.example:user@example.org',
    '@a.example,@b.example:user@example.org',
    'user@example.org.',
    '.user@example.org',
    'user.@example.org',
    'us..er@example.org',
    'us er@example.org',
    ' user@example.org',
    'user@example.org ',
    'user@exa mple.org',
    'user@-example.org',
    'user@example-.org',
    'user@exa_mple.org',
    'user@127.0.0.1',
    'user@0x7f000001',
    'user@2130706433',
    'user@[127.0.0.1',
    'user@[300.0.0.1]',
    'user@[127.1]',
    'user@[IPv6:zz::1]',
    'user@[tag:content]',
    'user@example.org>',
    '<user@example.org',
    'user(comment)@example.org',
    'a,b@example.org',
    'a;b@example.org',
    'a:b@example.org',
    'user@example.org,other@example.net',
    '"unclosed@example.org',
    '"a"b@example.org',
    'a"b"@example.org',
  ]) {
    assert.equal(path(text), undefined, text);
  }
});

test('control characters and Unicode line ends are refused wherever they stand', () => {
  for (const control of ['\r\n', '\n', '\r', '\0', '\t', '\x7f', '\x85', '\u2028', '\u2029', '\x1b']) {
    for (const text of [
      `us${control}er@example.org`,
      `user@exam${control}ple.org`,
      `"us${control}er"@example.org`,
      `user@example.org${control}`,
    ]) {
      assert.equal(path(text), undefined, JSON.stringify(text));
    }
    assert.equal(addresses(`"us${control}er"@example.org`), undefined, JSON.stringify(control));
  }
  assert.equal(addresses('a@example.org\r\nBcc: b@example.org'), undefined);
});

test('the percent and bang hacks are local parts of the one domain that stands after the @', () => {
  assert.equal(parsePath('victim%evil.example@good.example', { allowNull: false })?.domain, 'good.example');
  assert.equal(parsePath('evil.example!victim@good.example', { allowNull: false })?.domain, 'good.example');
});

test('an @ inside quotes never becomes the recipient', () => {
  const misroute = parsePath('"a@evil x"@good.example', { allowNull: false });
  assert.equal(misroute?.domain, 'good.example');
  assert.equal(misroute?.address, '"a@evil x"@good.example');
  assert.deepEqual(addresses('"a@evil x"@good.example'), ['"a@evil x"@good.example']);
  assert.deepEqual(addresses('"x@evil.example" <user@good.example>'), ['user@good.example']);
});

test('quotes that are not needed go, and those that are needed stay', () => {
  assert.equal(path('"john"@example.org'), 'john@example.org');
  assert.equal(path('"john doe"@example.org'), '"john doe"@example.org');
  assert.equal(path('"a\\"b\\\\c"@example.org'), '"a\\"b\\\\c"@example.org');
  assert.equal(path('"j\\o\\h\\n"@example.org'), 'john@example.org');
  assert.equal(path('"a@b"@example.org'), '"a@b"@example.org');
});

test('address literals have one spelling', () => {
  assert.equal(path('user@[192.0.2.1]'), 'user@[192.0.2.1]');
  assert.equal(path('user@[IPv6:2001:DB8:0::0001]'), 'user@[ipv6:2001:db8::1]');
});

test('lengths are limited in octets', () => {
  assert.equal(path(`${'l'.repeat(64)}@example.org`)?.length, 76);
  assert.equal(path(`${'l'.repeat(65)}@example.org`), undefined);
  assert.equal(path(`${'ü'.repeat(33)}@example.org`), undefined);
  assert.equal(path(`user@${'d'.repeat(64)}.org`), undefined);
  assert.equal(path(`user@${'d.'.repeat(124)}o`)?.length, 254);
  assert.equal(path(`user@${'d.'.repeat(125)}o`), undefined);
});

test('local parts beyond ASCII need SMTPUTF8, domains become A-labels', () => {
  assert.deepEqual(parsePath('用户@例え.jp', { allowNull: false }), {
    local: '用户',
    domain: 'xn--r8jz45g.jp',
    address: '用户@xn--r8jz45g.jp',
    isUtf8: true,
  });
  assert.equal(parsePath('user@BÜCHER.example', { allowNull: false })?.address, 'user@xn--bcher-kva.example');
  assert.equal(parsePath('user@bücher.example', { allowNull: false })?.isUtf8, false);
});

test('look-alikes of specials and what cannot be seen are refused', () => {
  for (const text of [
    'user＠evil.example@good.example',
    'user﹫evil@good.example',
    'us％er@good.example',
    'a․b@good.example',
    'us\u200ber@good.example',
    'us\u202eer@good.example',
    'us\u00a0er@good.example',
    'us\ufeffer@good.example',
    'us\ud800er@good.example',
    'user@good。example',
    'user@good．example',
    'user@go\u00adod.example',
    'user@good.example／evil',
    'user@ex%41mple.ö',
    'user＠good.example',
  ]) {
    assert.equal(path(text), undefined, JSON.stringify(text));
    assert.equal(addresses(text), undefined, JSON.stringify(text));
  }
});

test('a mailbox has a name from atoms, quotes or encoded words', () => {
  assert.equal(parseMailbox('John Q. Public <john@example.org>')?.name, 'John Q. Public');
  assert.equal(parseMailbox('"Public, John \\"Q\\"" <john@example.org>')?.name, 'Public, John "Q"');
  assert.equal(parseMailbox('=?UTF-8?Q?J=C3=B6rg?= <j@example.org>')?.name, 'Jörg');
  assert.equal(parseMailbox('Jörg <j@example.org>')?.name, 'Jörg');
  assert.equal(parseMailbox('=?utf-8?B?YUBldmlsLmV4YW1wbGU+LCA8Yg==?= <j@example.org>')?.address, 'j@example.org');
  assert.equal(parseMailbox('john@example.org (John)')?.address, 'john@example.org');
  assert.equal(parseMailbox('<john@example.org>')?.name, '');
});

test('a mailbox is exactly one', () => {
  assert.equal(parseMailbox('a@example.org, b@example.org'), undefined);
  assert.equal(parseMailbox('a@example.org,'), undefined);
  assert.equal(parseMailbox('group: a@example.org;'), undefined);
  assert.equal(parseMailbox(''), undefined);
});

test('a list takes commas, quotes, groups, comments and empty elements', () => {
  assert.deepEqual(
    addresses('a@example.org, "B, b" <b@example.org>,, (c, c) c@example.org (c), team: d@example.org, e@example.org;, none:;'),
    ['a@example.org', 'b@example.org', 'c@example.org', 'd@example.org', 'e@example.org'],
  );
  assert.deepEqual(addresses('undisclosed-recipients:;'), []);
  assert.deepEqual(addresses(''), []);
});

test('a list with one bad or ambiguous part is refused as a whole', () => {
  for (const text of [
    'a@example.org, b',
    'a@example.org b@example.org',
    'a@example.org <b@example.org>',
    'x@evil.example <b@good.example>',
    'a@b@example.org',
    '<@relay.example:user@example.org>',
    '<a@example.org> <b@example.org>',
    '<a@example.org> b',
    '<a@example.org',
    'a@example.org>',
    '<<a@example.org>>',
    '<>',
    'group: a@example.org',
    'group: inner: a@example.org;;',
    'group: inner: a@example.org;',
    'a@example.org;',
    'a@example.org; b@example.org',
    ': a@example.org;',
    'a@example.org (unclosed',
    '"unclosed <a@example.org>',
    'a . b@example.org',
    'a@example.org\\, b@example.org',
  ]) {
    assert.equal(addresses(text), undefined, text);
  }
});

test('a list stops one after the most that is wanted', () => {
  const text = Array.from({ length: 50 }, (_, i) => `u${i}@example.org`).join(', ');
  assert.equal(parseAddressList(text, 10)?.length, 11);
  assert.equal(parseAddressList(text, 50)?.length, 50);
});

test('hostile lists cost linear time', () => {
  const hostile = [
    '('.repeat(500_000),
    '('.repeat(250_000) + ')'.repeat(250_000),
    '"'.repeat(500_001),
    '"\\'.repeat(250_000),
    'a.'.repeat(250_000) + '@example.org',
    'a '.repeat(250_000) + '<b@example.org>',
    '@'.repeat(500_000),
    '<'.repeat(500_000),
    ','.repeat(500_000),
    'g:;,'.repeat(125_000),
    '=?utf-8?q?'.repeat(50_000) + ' <a@example.org>',
    `user@${'a-'.repeat(100_000)}`,
  ];
  const start = threadCpuMs();
  for (const text of hostile) parseAddressList(text, 1000);
  assert.ok(threadCpuMs() - start < 2000);
});

test('a formatted mailbox reads back as it was', () => {
  for (const name of ['', 'John', 'John Q. Public', 'Public, John "Q"', 'Jörg Müller', '日本語の名前 '.repeat(8).trim(), 'a@b', 'x\\y']) {
    const text = formatMailbox(name, 'user@example.org');
    assert.match(text, /^[\x20-\x7e]*$/);
    assert.equal(parseMailbox(text)?.name, name);
    assert.equal(parseMailbox(displayMailbox(name, 'user@example.org'))?.name, name);
  }
});

test('a name cannot break out of its header', () => {
  assert.doesNotMatch(formatMailbox('x\r\nBcc: y', 'user@example.org'), /[\r\n]/);
  assert.doesNotMatch(parseMailbox('=?utf-8?q?x=0D=0ABcc=3A_y?= <user@example.org>')?.name ?? '\n', /[\r\n]/);
});

test('domains have one spelling or none', () => {
  assert.equal(normalizeDomain('Example.ORG'), 'example.org');
  assert.equal(normalizeDomain('localhost'), 'localhost');
  assert.equal(normalizeDomain('faß.example'), 'xn--fa-hia.example');
  for (const text of ['', '.', 'a..b', 'example.org.', 'exa/mple', 'ex%61mple', '1.2.3.4', '0x1', 'a b', 'ö\0.example', '[1.2.3.4]']) {
    assert.equal(normalizeDomain(text), undefined, text);
  }
});
