import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#model/errors.ts';
import { processCpuMs } from '../../test/kit/cpu-time.ts';
import { createPasswords, makePassword } from './passwords.ts';

test('a password is verified against its own hash and no other', async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash('correct horse');
  assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.equal(await passwords.verify('correct horse', hash), true);
  assert.equal(await passwords.verify('correct hors', hash), false);
  assert.notEqual(await passwords.hash('correct horse'), hash, 'each hash has its own salt');
});

test('a hash made elsewhere with other parameters is verified', async () => {
  const made = await import('node:crypto').then(({ argon2Sync }) =>
    argon2Sync('argon2id', {
      message: Buffer.from('password'),
      nonce: Buffer.from('somesalt'),
      memory: 1024,
      passes: 1,
      parallelism: 1,
      tagLength: 24,
    }),
  );
  const phc = `$argon2id$v=19$m=1024,t=1,p=1$${Buffer.from('somesalt').toString('base64').replace('=', '')}$${made.toString('base64')}`;
  assert.equal(await createPasswords().verify('password', phc), true);
  assert.equal(await createPasswords().verify('Password', phc), false);
});

test('two spellings of one password in Unicode are the same password', async () => {
  const passwords = createPasswords();
  assert.equal(await passwords.verify('e\u0301clair', await passwords.hash('\u00e9clair')), true);
});

test('a stored hash that is damaged, or asks for absurd memory, is not computed', async () => {
  await assert.rejects(createPasswords().verify('x', 'plaintext'), /not an argon2id PHC string/);
  await assert.rejects(
    createPasswords().verify('x', '$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA'),
    /not an argon2id PHC string/,
  );
});

test('when too many wait, the next is refused as overloaded, and the rest are answered', async () => {
  const passwords = createPasswords(3);
  const hash = await passwords.hash('secret');
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => passwords.verify('secret', hash)));
  const refused = results.filter((result) => result.status === 'rejected');
  assert.equal(refused.length, 3, '2 run, 3 wait, 3 are refused');
  assert.ok(refused.every((result) => result.reason instanceof AppError && result.reason.code === 'overloaded'));
  assert.ok(results.every((result) => result.status === 'rejected' || result.value));
  assert.equal(await passwords.verify('secret', hash), true, 'the gate is open again');
});

test('a login that does not exist takes about as long as a wrong password', async () => {
  const passwords = createPasswords();
  const hash = await passwords.hash('secret');
  const time = async (work: () => Promise<unknown>): Promise<number> => {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 5; i++) {
      const start = processCpuMs();
      await work();
      least = Math.min(least, processCpuMs() - start);
    }
    return least;
  };
  const [wrong, absent] = [await time(() => passwords.verify('guess', hash)), await time(() => passwords.pretend('guess'))];
  assert.ok(absent > wrong / 2 && absent < wrong * 2, `${absent} ms against ${wrong} ms`);
});

test('a made-up password is long and has no look-alikes', () => {
  const made = Array.from({ length: 50 }, makePassword);
  assert.equal(new Set(made).size, 50);
  assert.ok(made.every((password) => /^[a-kmnp-zA-HJ-NP-Z2-9]{24}$/.test(password)));
});
