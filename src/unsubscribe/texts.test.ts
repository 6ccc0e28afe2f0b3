import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LANGUAGES } from './languages.ts';
import { type PageTexts, textsFor } from './texts.ts';

const ENGLISH = LANGUAGES['en'] as PageTexts;
const KEYS = Object.keys(ENGLISH) as (keyof PageTexts)[];

test('every language says everything, with what is put in where English has it', () => {
  const marks = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
  for (const [language, texts] of Object.entries(LANGUAGES)) {
    const keys = Object.keys(texts).filter((key) => key !== 'isRightToLeft');
    assert.deepEqual(keys, KEYS, language);
    for (const key of KEYS) {
      assert.ok(String(texts[key]).trim().length > 1, `${language} ${key}`);
      assert.deepEqual(marks(String(texts[key])), marks(String(ENGLISH[key])), `${language} ${key}`);
    }
  }
  assert.deepEqual(Object.keys(LANGUAGES).sort(), ['ar', 'de', 'en', 'es', 'fr', 'it', 'ja', 'nl', 'pl', 'pt', 'ru', 'tr', 'uk', 'zh']);
});

test('no language has a text of another', () => {
  for (const key of KEYS) {
    const all = Object.values(LANGUAGES).map((texts) => texts[key]);
    assert.equal(new Set(all).size, all.length, key);
  }
});

test('the language is the one that the reader wants most, or English', () => {
  for (const [wanted, language] of [
    [undefined, 'en'],
    ['', 'en'],
    ['de', 'de'],
    ['DE-ch', 'de'],
    ['fr-CA;q=0.5, pt-BR', 'pt'],
    ['xx, yy;q=0.9, nl;q=0.1', 'nl'],
    ['xx', 'en'],
    ['*', 'en'],
    ['de;q=0, it;q=0.3', 'it'],
    ['zh-Hant-TW, en;q=0.5', 'zh'],
    ['constructor, __proto__, toString', 'en'],
    ['de;q=x, ja;q=0.2', 'ja'],
    [`${'xx,'.repeat(500)}de`, 'en'],
    ['\u0000;;;,,,q=', 'en'],
  ] as const) {
    assert.equal(textsFor(wanted).language, language, String(wanted));
  }
  assert.equal(textsFor('ar').isRightToLeft, true);
  assert.equal(textsFor('de').isRightToLeft, undefined);
});
