/** Uploaded lists of addresses: what is taken out of a CSV or of JSON. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAddressList } from './list-file.ts';

async function addressesOf(text: string): Promise<string[] | string> {
  const found = await readAddressList(Buffer.from(text));
  if (typeof found === 'string') return found;
  const lines = found.bytes.toString('utf8').split('\n').slice(0, -1);
  assert.equal(lines.length, found.quantity);
  return lines;
}

test('a CSV names its column of addresses, or begins with one', async () => {
  assert.deepEqual(await addressesOf('name,Email\r\nAnn,ann@x.example\r\n"Zoë, B.","zoë@x.example"\r\n'), [
    'ann@x.example',
    'zoë@x.example',
  ]);
  assert.deepEqual(await addressesOf('\ufeffaddress\na@x.example\n\nno address\n'), ['a@x.example', 'no address']);
  assert.deepEqual(await addressesOf('a@x.example\nb@x.example'), ['a@x.example', 'b@x.example']);
  assert.deepEqual(await addressesOf('1,a@x.example\n2,b@x.example\n3\n'), ['a@x.example', 'b@x.example']);
});

test('JSON is an array of texts or of objects, or holds one', async () => {
  assert.deepEqual(await addressesOf('["a@x.example", {"email":"b@x.example"}, {"address":"c@x.example"}, 7, null, {}]'), [
    'a@x.example',
    'b@x.example',
    'c@x.example',
  ]);
  assert.deepEqual(await addressesOf(' {"addresses": ["a@x.example"]}'), ['a@x.example']);
  assert.deepEqual(await addressesOf('{"__proto__": ["a@x.example"]}'), 'the file has no list of addresses');
});

test('one address has one line, whatever stands in it', async () => {
  assert.deepEqual(await addressesOf('["a@x.example\\r\\nb@x.example", "\\u0000"]'), ['a@x.example b@x.example']);
  assert.equal(((await addressesOf(JSON.stringify([`${'a'.repeat(9000)}@x.example`]))) as string[])[0]?.length, 512);
});

test('what is no list is told in a sentence', async () => {
  assert.match((await addressesOf('')) as string, /empty/);
  assert.match((await addressesOf('name,age\nAnn,7\n')) as string, /names no column/);
  assert.match((await addressesOf('[1, 2')) as string, /no JSON/);
  assert.match((await addressesOf(`${'x,'.repeat(60)}a@x.example`)) as string, /columns/);
  assert.match((await addressesOf(`["${'a'.repeat(9 * 1024 * 1024)}"]`)) as string, /send a CSV/);
});

test('a long list lets others have their turn while it is read', async () => {
  let turns = 0;
  let isOver = false;
  const others = (): void => {
    turns++;
    if (!isOver) setImmediate(others);
  };
  setImmediate(others);
  const found = await readAddressList(Buffer.from(`email\n${'user@x.example\n'.repeat(100_000)}`));
  isOver = true;
  assert.ok(typeof found !== 'string' && found.quantity === 100_000 && found.bytes.length === 1_500_000);
  assert.ok(turns >= 3, `${turns} turns`);
});
