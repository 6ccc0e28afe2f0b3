import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#model/errors.ts';
import { createRenderer, RENDER_LIMITS } from './render.ts';
import type { RenderKind } from './render.ts';

const renderer = createRenderer();

function html(source: string, context: Record<string, unknown> = {}): string {
  return renderer(source, context, 'html');
}

function refused(source: string, context: Record<string, unknown> = {}, kind: RenderKind = 'html'): string {
  try {
    renderer(source, context, kind);
  } catch (error) {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, 'template-failed');
    return error.message;
  }
  return assert.fail('it was rendered');
}

test('variables are escaped in HTML, and kept as they are in triple braces, text and headers', () => {
  const context = { name: `<b>"O'Hara" & co</b>` };
  assert.equal(html('{{name}}', context), '&lt;b&gt;&quot;O&#39;Hara&quot; &amp; co&lt;/b&gt;');
  assert.equal(html('{{{name}}}|{{&name}}', context), `${context.name}|${context.name}`);
  assert.equal(renderer('{{name}}', context, 'text'), context.name);
  assert.equal(renderer('Hi {{name}}', context, 'header'), `Hi ${context.name}`);
});

test('a header stays one line whatever its variables say', () => {
  assert.equal(renderer('Hi {{name}}', { name: 'A\r\nBcc: victim@example.net\u2028x' }, 'header'), 'Hi A Bcc: victim@example.net x');
  assert.equal(renderer('Hi\r\n there', {}, 'header'), 'Hi there');
});

test('missing values are empty, and paths go down, up and to the root', () => {
  const context = { title: 'T', user: { name: 'Ann', pets: [{ name: 'Rex' }] } };
  assert.equal(html('[{{nothing}}{{user.nobody.name}}{{user.name}}{{user.pets.[0].name}}{{user.pets.length}}]', context), '[AnnRex1]');
  assert.equal(
    html('{{#with user}}{{#each pets}}{{name}} {{../name}} {{../../title}} {{@root.title}}{{/each}}{{/with}}', context),
    'Rex Ann T T',
  );
});

test('if and unless see nothing, zero, "" and empty lists as false, and the text "false" as true', () => {
  for (const value of [undefined, null, false, 0, '', []]) assert.equal(html('{{#if v}}yes{{else}}no{{/if}}', { v: value }), 'no');
  for (const value of [true, 1, 'false', [0], {}]) assert.equal(html('{{#if v}}yes{{else}}no{{/if}}', { v: value }), 'yes');
  assert.equal(html('{{#if v includeZero=true}}yes{{/if}}', { v: 0 }), 'yes');
  assert.equal(html('{{#unless paid}}please pay{{/unless}}', { paid: 'false' }), '');
});

test('else if chains choose the first true branch', () => {
  const source = '{{#if a}}A{{else if b}}B{{else unless c}}not C{{else}}C{{/if}}';
  assert.equal(html(source, { b: 1 }), 'B');
  assert.equal(html(source, {}), 'not C');
  assert.equal(html(source, { c: 1 }), 'C');
});

test('each walks lists and objects with @index, @key, @first, @last and block parameters', () => {
  assert.equal(html('{{#each l}}{{@index}}{{this}}{{#if @last}}.{{else}},{{/if}}{{/each}}', { l: ['a', 'b'] }), '0a,1b.');
  assert.equal(html('{{#each o as |value key|}}{{key}}={{value}};{{/each}}', { o: { x: 1, y: 2 } }), 'x=1;y=2;');
  assert.equal(html('{{#each o}}{{@key}}{{#if @first}}!{{/if}}{{else}}none{{/each}}', { o: { x: 1, y: 2 } }), 'x!y');
  assert.equal(html('{{#each o}}{{this}}{{else}}none{{/each}}', {}), 'none');
});

test('@index inside a nested block without its own is the loop around it', () => {
  assert.equal(html('{{#each l}}{{#with this}}{{@index}}{{n}} {{/with}}{{/each}}', { l: [{ n: 'a' }, { n: 'b' }] }), '0a 1b ');
});

test('sections without a helper walk lists, enter objects and skip what is false', () => {
  const context = { l: [1, 2], o: { n: 'x' }, yes: true, no: false };
  assert.equal(html('{{#l}}{{this}}{{/l}}{{#o}}{{n}}{{/o}}{{#yes}}Y{{/yes}}{{#no}}N{{/no}}{{^no}}not{{/no}}', context), '12xYnot');
});

test('the comparing helpers compare text and numbers, and are false for what is no number', () => {
  assert.equal(html('{{#equal a "1"}}same{{else}}other{{/equal}}', { a: 1 }), 'same');
  assert.equal(
    html('{{#ifGt a 3}}more{{else}}less{{/ifGt}}{{#ifLt a 3}}less{{/ifLt}}{{#ifEq a "4.0"}}four{{/ifEq}}', { a: '4' }),
    'morefour',
  );
  assert.equal(html('{{#ifEq a a}}equal{{else}}no number{{/ifEq}}', { a: 'abc' }), 'no number');
});

test('pluralize, length, lookup and log', () => {
  const context = { l: [1, 2], n: 1, key: 'x', o: { x: 'found' } };
  assert.equal(html('{{pluralize n "items" "item"}} {{pluralize (length l) "items" "item"}}', context), 'item items');
  assert.equal(html('{{length l}}{{lookup o key}}{{lookup l 1}}{{log "nothing"}}', context), '2found2');
  assert.equal(html('{{#if (ifGt (length l) 1)}}many{{/if}}', context), 'many');
});

test('a variable that is called like a helper is still a variable', () => {
  assert.equal(html('{{length}} {{log}}', { length: '12 cm', log: 'book' }), '12 cm book');
});

test('whitespace control and standalone lines follow Handlebars', () => {
  assert.equal(html('a  {{~x~}}  b', { x: 1 }), 'a1b');
  assert.equal(html('<ul>\n{{#each l}}\n<li>{{this}}</li>\n{{/each}}\n</ul>', { l: [1] }), '<ul>\n<li>1</li>\n</ul>');
});

test('prototypes, constructors and methods cannot be reached', () => {
  for (const path of ['constructor', '__proto__', 'toString', 'constructor.name', 'o.constructor.constructor', 'l.map', 's.constructor']) {
    assert.equal(html(`[{{${path}}}]`, { o: {}, l: [1], s: 'x' }), '[]');
  }
  assert.equal(html('{{lookup o "constructor"}}{{lookup (lookup o "__proto__") "toString"}}', { o: {} }), '');
  assert.equal(html('{{#with o as |x|}}{{#with (lookup x "constructor") as |c|}}in{{/with}}{{/with}}', { o: {} }), '');
  assert.match(refused('{{constructor "return process"}}'), /no helper constructor/);
  assert.match(refused('{{toString 1}}'), /no helper toString/);
  assert.match(refused('{{#hasOwnProperty 1}}x{{/hasOwnProperty}}'), /no block helper/);
});

test('own properties with dangerous names are plain data', () => {
  const context = JSON.parse('{"__proto__": {"x": "own"}, "constructor": "text"}') as Record<string, unknown>;
  assert.equal(html('{{constructor}} {{__proto__.x}}', context), 'text own');
});

test('partials, decorators and unknown helpers are refused', () => {
  assert.match(refused('{{> header}}'), /partials and decorators/);
  assert.match(refused('{{#> layout}}x{{/layout}}'), /partials and decorators/);
  assert.match(refused('{{* decorate}}'), /partials and decorators/);
  assert.match(refused('{{shout name}}'), /no helper shout/);
});

test('a template that does not parse is refused with its line', () => {
  assert.match(refused('a\n{{#if x}}never closed'), /Parse error on line 2/);
});

test('loops inside loops end when their steps are spent', () => {
  const list = Array.from({ length: 200 }, (_, i) => i);
  const source = '{{#each l}}{{#each ../l}}{{#each ../../l}}{{#each ../../../l}}x{{/each}}{{/each}}{{/each}}{{/each}}';
  assert.match(refused(source, { l: list }), /more than 200000 steps/);
});

test('output and source are bounded', () => {
  const big = 'x'.repeat(10_000);
  assert.match(
    refused('{{#each l}}{{@root.big}}{{/each}}', { l: Array.from({ length: 1000 }, () => 1), big }),
    /longer than 2097152 bytes/,
  );
  assert.match(refused(`{{x}}${'y'.repeat(RENDER_LIMITS.sourceBytesMax)}`), /longer than 102400 bytes/);
});

test('nesting is bounded before the parser, which is quadratic in it, sees the template', () => {
  assert.equal(html('{{#if 1}}'.repeat(90) + 'x' + '{{/if}}'.repeat(90)), 'x');
  assert.match(refused('{{#if 1}}'.repeat(101) + '{{/if}}'.repeat(101)), /nested deeper than 100/);
  assert.match(refused('{{#if 1}}'.repeat(10_000)), /nested deeper/);
  assert.match(refused('{{!-- {{/if}} --}}{{#if 1}}'.repeat(3000)), /nested deeper/);
  assert.match(refused(`{{if ${'(if ")" '.repeat(10_000)}1${')'.repeat(10_000)}}}`), /nested deeper/);
  assert.match(refused(`{{#if a}}${'{{else if b}}'.repeat(5000)}{{/if}}`), /nested deeper/);
});

test('many blocks side by side are not nesting', () => {
  assert.equal(html('{{#if 1}}{{#if 1}}x{{/if}}{{/if}}'.repeat(300)), 'x'.repeat(300));
});

test('a parsed template is kept, and the cache stays within its bound', () => {
  const render = createRenderer({ ...RENDER_LIMITS, cacheBytesMax: 100 });
  for (let i = 0; i < 50; i++) assert.equal(render(`{{x}}${i}`, { x: 'n' }, 'text'), `n${i}`);
  assert.equal(render('{{x}}0', { x: 'again' }, 'text'), 'again0');
});

test('a chain of {{else if}} may be long', () => {
  assert.equal(html(`{{#if a}}A${'{{else if a}}A'.repeat(40)}{{else}}end{{/if}}`), 'end');
});

test('a failed rendering leaves the renderer as it was', () => {
  refused('{{#each l}}{{shout this}}{{/each}}', { l: [1] });
  assert.equal(html('{{#each l}}{{this}}{{/each}}', { l: [1] }), '1');
});
