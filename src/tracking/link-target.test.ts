import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkTarget, TARGET_MAX, withUtm } from './link-target.ts';

const BASE = 'https://links.example';

test('http and https lead somewhere, however they are written', () => {
  assert.equal(linkTarget(' https://a.example/x ', BASE), 'https://a.example/x');
  assert.equal(linkTarget('HTTP://A.example', BASE), 'HTTP://A.example');
  assert.equal(linkTarget('https://a.exam\r\n\tple/x', BASE), 'https://a.example/x');
});

test('what is not http stays', () => {
  for (const given of [
    '',
    '#top',
    '/path',
    '//a.example/',
    'mailto:a@a.example',
    'tel:1',
    'sms:1',
    'data:,x',
    'javascript:1',
    'cid:1',
    'ftp://a.example/',
  ])
    assert.equal(linkTarget(given, BASE), undefined, given);
});

test('what is no URL, or holds a password, stays', () => {
  for (const given of ['http://', 'https://a b.example/', 'https://[::1', 'https://u:p@a.example/', 'https://u@a.example/'])
    assert.equal(linkTarget(given, BASE), undefined, given);
});

test('what is ours stays; other pages of the same host are counted', () => {
  for (const path of ['c', 'o', 'u']) assert.equal(linkTarget(`${BASE}/${path}/token`, BASE), undefined);
  assert.equal(linkTarget(`${BASE}/cart`, BASE), `${BASE}/cart`);
  assert.equal(linkTarget(`${BASE}.evil.example/c/x`, BASE), `${BASE}.evil.example/c/x`);
});

test('what has a placeholder left stays', () => {
  for (const left of [
    '{{id}}',
    '{% x %}',
    '<%= x %>',
    '${id}',
    '*|ID|*',
    '[[id]]',
    '%recipient%',
    '%recipient.id%',
    '%recipient_email%',
    '%unsubscribe_url%',
  ])
    assert.equal(linkTarget(`https://a.example/${left}`, BASE), undefined, left);
  assert.notEqual(linkTarget('https://a.example/?q=100%25&r=50%', BASE), undefined);
});

test('a URL that would be cut off by some program stays', () => {
  const url = `https://a.example/${'x'.repeat(TARGET_MAX)}`;
  assert.equal(linkTarget(url, BASE), undefined);
  assert.equal(linkTarget(url.slice(0, TARGET_MAX), BASE), url.slice(0, TARGET_MAX));
});

test('parameters are added where they are absent, before the fragment', () => {
  const utm = 'utm_source=news&utm_medium=email';
  assert.equal(withUtm('https://a.example/', utm), `https://a.example/?${utm}`);
  assert.equal(withUtm('https://a.example/?a=1#part', utm), `https://a.example/?a=1&${utm}#part`);
  assert.equal(withUtm('https://a.example/?', utm), `https://a.example/?${utm}`);
  assert.equal(withUtm('https://a.example/?utm_source=own', utm), 'https://a.example/?utm_source=own&utm_medium=email');
  assert.equal(withUtm('https://a.example/?utm_medium&utm_source=', utm), 'https://a.example/?utm_medium&utm_source=');
  assert.equal(withUtm('https://a.example/#?utm_source=x', utm), `https://a.example/?${utm}#?utm_source=x`);
  for (const none of [undefined, '']) assert.equal(withUtm('https://a.example/', none), 'https://a.example/');
});
