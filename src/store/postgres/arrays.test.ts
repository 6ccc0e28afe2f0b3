/** Arrays in the binary format, as a real server reads them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import { startPostgres } from '../../../test/kit/postgres.ts';
import { type PostgresPlace, storePlace } from '#store/store-url.ts';
import { byteaArray, int2Array, int4Array, int8Array, textArray } from './arrays.ts';
import { Link } from './database.ts';
import { Pieces } from './pieces.ts';
import { Server } from './server.ts';

const postgres = await startPostgres({ after });
const link = new Link(new Server(storePlace(await postgres.newDatabase()) as PostgresPlace));
after(() => link.close());

async function read(type: string, array: Buffer): Promise<unknown[]> {
  return (await link.all(`SELECT v FROM unnest($1::${type}[]) WITH ORDINALITY AS u (v, n) ORDER BY n`, array)).map((row) => row['v']);
}

test('whole numbers keep their value, from the least to the greatest that a number holds exactly', async () => {
  const bigints = [0, 1, -1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 32), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];
  assert.deepEqual(await read('bigint', int8Array(bigints)), bigints);
  assert.deepEqual(await read('integer', int4Array([0, -5, 2 ** 31 - 1, -(2 ** 31)])), [0, -5, 2 ** 31 - 1, -(2 ** 31)]);
  assert.deepEqual(await read('smallint', int2Array([0, -5, 32_767])), [0, -5, 32_767]);
});

test('texts keep every sign, also those beyond the basic plane; a NUL, which no text can hold, is shown as unknown', async () => {
  const texts = ['', 'plain', 'Nº ü €', '\u{1F4EE} post', '"{},\\', 'a\nb'];
  assert.deepEqual(await read('text', textArray(texts)), texts);
  assert.deepEqual(await read('text', textArray(['a\0b'])), ['a\u{FFFD}b']);
});

test('octets are the same octets', async () => {
  const all = Uint8Array.from({ length: 256 }, (_, n) => n);
  const answered = (await read('bytea', byteaArray([all, new Uint8Array(0), all.subarray(10, 12)]))) as Uint8Array[];
  assert.deepEqual(
    answered.map((octets) => [...octets]),
    [[...all], [], [10, 11]],
  );
});

test('octets in pieces are the same octets, small ones and large ones in any order', async () => {
  const sizes = [0, 1, 5000, 1023, 1024, 300_000, 10, 2000];
  const bodies = sizes.map((size, position) => Uint8Array.from({ length: size }, (_, n) => (n * 7 + position) % 256));
  const sql =
    'SELECT length(v)::integer AS bytes, md5(v) AS sum, $2::text AS told, $3::bigint AS count FROM unnest($1::bytea[]) WITH ORDINALITY AS u (v, n) ORDER BY n';
  for (const given of [bodies, bodies.slice(2, 3), []]) {
    const expected = given.map((body) => ({
      bytes: body.length,
      sum: createHash('md5').update(body).digest('hex'),
      told: 'Nº',
      count: 2 ** 40,
    }));
    assert.deepEqual(await link.all(sql, Pieces.ofBytea(given), 'Nº', 2 ** 40), expected);
  }
});

test('a statement with pieces that fails leaves the connection as it was', async () => {
  const pieces = Pieces.ofBytea([new Uint8Array(5000)]);
  await assert.rejects(link.all('SELECT 1 / (CASE WHEN length(($1::bytea[])[1]) > 0 THEN 0 ELSE 1 END)', pieces), /division by zero/);
  assert.deepEqual(await link.all('SELECT length(($1::bytea[])[1])::integer AS n', pieces), [{ n: 5000 }]);
});

test('what is missing is NULL in every type', async () => {
  assert.deepEqual(await read('bigint', int8Array([1, null, undefined])), [1, null, null]);
  assert.deepEqual(await read('integer', int4Array([null, 2])), [null, 2]);
  assert.deepEqual(await read('smallint', int2Array([null])), [null]);
  assert.deepEqual(await read('text', textArray(['', null, undefined])), ['', null, null]);
  assert.deepEqual(await read('bytea', byteaArray([null, Uint8Array.of(7)])).then((rows) => rows[0]), null);
});

test('an array of nothing is an array', async () => {
  for (const [type, array] of [
    ['bigint', int8Array([])],
    ['integer', int4Array([])],
    ['smallint', int2Array([])],
    ['text', textArray([])],
    ['bytea', byteaArray([])],
  ] as const) {
    assert.deepEqual(await read(type, array), []);
  }
});
