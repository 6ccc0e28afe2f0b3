import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectFailure } from './connect-failure.ts';
import { type PostgresPlace, storePlace } from './store-url.ts';

const PLACE = storePlace('postgres://app:geheim@db.example/mail') as PostgresPlace;

function failed(code: string, message = 'failed'): Error {
  return Object.assign(new Error(message), { code });
}

test('a database that is not there yet may come; one that refuses us does not change its mind', () => {
  for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'ETIMEDOUT', '57P03', '53300', '25006'])
    assert.equal(connectFailure(failed(code), PLACE)?.isPassing, true, code);
  for (const code of ['28P01', '28000', '3D000', '42501', 'CERT_HAS_EXPIRED'])
    assert.equal(connectFailure(failed(code), PLACE)?.isPassing, false, code);
});

test('the sentence names the database and what to do, and no password', () => {
  assert.equal(
    connectFailure(failed('3D000', 'database "mail" does not exist'), PLACE)?.sentence,
    'the database mail on db.example:5432 cannot be used: there is no database mail; make it with "createdb --owner app mail"',
  );
  assert.equal(
    connectFailure(failed('28P01'), PLACE)?.sentence,
    'the database mail on db.example:5432 cannot be used: it refuses the password of user app',
  );
});

test('the reason is found behind the error of the store, and in a list of one for each address', () => {
  const behind = new Error('the store cannot be opened', { cause: new AggregateError([failed('ECONNREFUSED')]) });
  assert.match(connectFailure(behind, PLACE)?.sentence ?? '', /connection refused/);
});

test('what pg says without a code is understood', () => {
  assert.match(connectFailure(new Error('The server does not support SSL connections'), PLACE)?.sentence ?? '', /offers no TLS/);
  const unasked = new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string');
  assert.match(connectFailure(unasked, PLACE)?.sentence ?? '', /asks for a password, and none is given/);
  assert.equal(connectFailure(new Error('timeout expired'), PLACE)?.isPassing, true);
});

test('an error that is none of these speaks for itself', () => {
  assert.equal(connectFailure(new Error('the store was written by a later version of this program'), PLACE), undefined);
  assert.equal(connectFailure(failed('42703', 'column "x" does not exist'), PLACE), undefined);
});
