import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PostgresPlace, parseStoreUrl, shownPlace, shownUrl } from './store-url.ts';

function postgres(url: string): PostgresPlace {
  const parsed = parseStoreUrl(url);
  assert.ok('place' in parsed, JSON.stringify(parsed));
  assert.ok(parsed.place.kind === 'postgres');
  return parsed.place;
}

function refusal(url: string): string {
  const parsed = parseStoreUrl(url);
  assert.ok('expected' in parsed, `${url} was understood`);
  return parsed.expected;
}

test('a path of SQLite is taken as it stands', () => {
  assert.deepEqual(parseStoreUrl('sqlite:/var/lib/a b#1.db'), { place: { kind: 'sqlite', path: '/var/lib/a b#1.db' } });
  assert.match(refusal('sqlite:'), /the path of a file/);
});

test('a URL of PostgreSQL has user, password, hosts and database, percent-decoded', () => {
  const { hosts, user, password, database } = postgres('postgresql://app%40x:p%3A%2F%23%40@db.example:6432/mail%20store');
  assert.deepEqual(
    { hosts, user, password, database },
    {
      hosts: [{ host: 'db.example', port: 6432 }],
      user: 'app@x',
      password: 'p:/#@',
      database: 'mail store',
    },
  );
  assert.equal(postgres('postgres://app@db/mail').password, undefined);
  assert.deepEqual(postgres('postgres://app@/mail').hosts, [{ host: 'localhost', port: 5432 }]);
});

test('several hosts, addresses and sockets are understood', () => {
  assert.deepEqual(postgres('postgres://a@db1,db2:6000,[fd00::1]:7000/m').hosts, [
    { host: 'db1', port: 5432 },
    { host: 'db2', port: 6000 },
    { host: 'fd00::1', port: 7000 },
  ]);
  assert.deepEqual(postgres('postgres://a@/m?host=/run/postgresql&port=5433').hosts, [{ host: '/run/postgresql', port: 5433 }]);
  assert.deepEqual(postgres('postgres://a@%2Frun%2Fpostgresql/m').hosts, [{ host: '/run/postgresql', port: 5432 }]);
});

test('sslmode says what is asked of TLS; without it there is none, which is only left unsaid on this machine', () => {
  assert.deepEqual(postgres('postgres://a@127.0.0.1/m').tls, { mode: 'disable', isChosen: true });
  assert.deepEqual(postgres('postgres://a@db.example/m').tls, { mode: 'disable', isChosen: false });
  assert.deepEqual(postgres('postgres://a@db.example/m?sslmode=require').tls, { mode: 'require', isChosen: true });
  assert.deepEqual(postgres('postgres://a@db.example/m?sslmode=require&sslrootcert=/ca.pem').tls, {
    mode: 'verify-ca',
    isChosen: true,
    rootCert: '/ca.pem',
  });
  assert.match(refusal('postgres://a@db/m?sslmode=prefer'), /sslmode=disable or require or verify-ca or verify-full/);
  assert.match(refusal('postgres://a@db/m?sslmode=verify-ca'), /sslrootcert/);
  assert.match(refusal('postgres://a@db/m?sslmode=verify-full&sslcert=/c.pem'), /both sslcert and sslkey/);
});

test('what is not understood is refused, naming what is wrong and never the password', () => {
  for (const [url, expected] of [
    ['mysql://a:geheim@db/m', /"sqlite:PATH" or "postgres:/],
    ['postgres://db/m', /a user/],
    ['postgres://a:geheim@db', /name of a database/],
    ['postgres://a:geheim@db:0/m', /port from 1 to 65535/],
    ['postgres://a:geheim@db:http/m', /port from 1 to 65535/],
    ['postgres://a:ge@heim@db/m', /%40/],
    ['postgres://a:ge%heim@db/m', /%25/],
    ['postgres://a:geheim@db/m?ssl=true', /no parameter but sslmode, .* \(given "ssl"\)/],
    ['postgres://a:geheim@db/m?target_session_attrs=standby', /read-write/],
  ] as const) {
    assert.match(refusal(url), expected, url);
    assert.doesNotMatch(refusal(url), /geheim/);
  }
});

test('a URL is shown without its password, wherever it stands, and even when it is not understood', () => {
  assert.equal(shownUrl('postgres://app:geheim@db:5432/mail?sslmode=require'), 'postgres://app:***@db:5432/mail?sslmode=require');
  assert.equal(shownUrl('postgres://app@db/mail?password=geheim&sslmode=require'), 'postgres://app@db/mail?password=***&sslmode=require');
  for (const url of ['postgres://a:ge@heim@db/m', 'mysql://a:geheim@db', 'postgres://a:ge/heim@db/m', 'postgres://a:ge#heim@db'])
    assert.doesNotMatch(shownUrl(url), /geheim|heim@|ge[/@#]/, url);
  assert.equal(shownUrl('sqlite:/a/b.db'), 'sqlite:/a/b.db');
});

test('a place is named by its database and hosts', () => {
  assert.equal(shownPlace(postgres('postgres://a:geheim@db1,[::1]:7/mail')), 'mail on db1:5432, [::1]:7');
});
