import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secretBox } from '#accounts/instance-secret.ts';
import { HeldClock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { silentLog } from '#base/log.ts';
import type { Domain } from '#store/store.ts';
import type { Config } from './config.ts';
import { createTracking, type TrackingParts } from './tracking.ts';

interface Place {
  readonly publicUrl?: string;
  readonly listen?: { readonly host?: string; readonly port: number };
  readonly isDev?: boolean;
  readonly capture?: boolean;
  readonly open?: { readonly host: string; readonly port: number };
  readonly hasCertificate?: TrackingParts['hasCertificate'];
  readonly log?: Log;
}

function tracking({
  publicUrl,
  listen = { host: '127.0.0.1', port: 8080 },
  isDev = false,
  capture = false,
  open,
  hasCertificate,
  log,
}: Place = {}) {
  const config = { http: { publicUrl, listen: [listen] }, smtp: { hostname: 'mail.ours.example' }, isDev, sandbox: { capture } };
  return createTracking({
    config: config as unknown as Config,
    secret: secretBox(Buffer.alloc(32)),
    clock: new HeldClock(0),
    log: log ?? silentLog,
    addresses: () => (open === undefined ? [] : [{ service: 'http', ...open }]),
    ...(hasCertificate && { hasCertificate }),
  });
}

const domain = (change: Partial<Domain> = {}): Domain => ({ id: 1, accountId: 1, name: 'shop.example', ...change }) as Domain;
const POINTING: Domain['dnsAnswers'] = { 'tracking email.shop.example': { state: 'ok', found: ['mail.ours.example'] } };

test('links lead to the public URL', () => {
  assert.equal(tracking({ publicUrl: 'https://mail.ours.example' }).baseOf(domain()), 'https://mail.ours.example');
});

test("a domain's own host is used once its DNS points here, in the scheme that its owner chose", () => {
  const at = tracking({ publicUrl: 'https://mail.ours.example' });
  assert.equal(at.baseOf(domain({ dnsAnswers: POINTING, settings: { webScheme: 'http' } })), 'http://email.shop.example');
  assert.equal(at.baseOf(domain({ dnsAnswers: POINTING, settings: { webScheme: 'https' } })), 'https://email.shop.example');
  assert.equal(at.baseOf(domain({ settings: { webScheme: 'https' } })), 'https://mail.ours.example', 'nothing points here');
  const wrong: Domain['dnsAnswers'] = { 'tracking email.shop.example': { state: 'different', found: ['elsewhere.example'] } };
  assert.equal(at.baseOf(domain({ dnsAnswers: wrong, settings: { webScheme: 'https' } })), 'https://mail.ours.example');
  const renamed = domain({ dnsAnswers: POINTING, settings: { webScheme: 'https', webPrefix: 'links' } });
  assert.equal(at.baseOf(renamed), 'https://mail.ours.example', 'another host was asked about');
});

test('without a word of its owner, the own host is used when there is a certificate for it', () => {
  const pointing = domain({ dnsAnswers: POINTING });
  assert.equal(tracking({ publicUrl: 'https://mail.ours.example' }).baseOf(pointing), 'https://mail.ours.example');
  const certified = tracking({ publicUrl: 'https://mail.ours.example', hasCertificate: (host) => host === 'email.shop.example' });
  assert.equal(certified.baseOf(pointing), 'https://email.shop.example');
});

test('a host whose owner chose https has no links while there is no certificate for it and certificates are our business', () => {
  const chosen = domain({ dnsAnswers: POINTING, settings: { webScheme: 'https' } });
  const at = (hasCertificate: boolean | undefined) =>
    tracking({ publicUrl: 'https://mail.ours.example', hasCertificate: () => hasCertificate }).baseOf(chosen);
  assert.equal(at(false), 'https://mail.ours.example');
  assert.equal(at(true), 'https://email.shop.example');
  assert.equal(at(undefined), 'https://email.shop.example', 'something before us holds it');
  const plain = domain({ dnsAnswers: POINTING, settings: { webScheme: 'http' } });
  assert.equal(
    tracking({ publicUrl: 'https://mail.ours.example', hasCertificate: () => false }).baseOf(plain),
    'http://email.shop.example',
  );
});

test('what only this machine reaches is no place to lead to, unless mail stays on it', () => {
  assert.equal(tracking().baseOf(domain()), undefined);
  assert.equal(tracking({ isDev: true }).baseOf(domain()), 'http://127.0.0.1:8080');
  assert.equal(tracking({ capture: true, listen: { host: '::1', port: 80 } }).baseOf(domain()), 'http://[::1]');
  assert.equal(tracking({ listen: { host: '0.0.0.0', port: 8080 } }).baseOf(domain()), 'http://mail.ours.example:8080');
});

test('the port that was found free is the one that links name', () => {
  const listen = { host: '127.0.0.1', port: 0 };
  assert.equal(tracking({ isDev: true, listen }).baseOf(domain()), undefined);
  assert.equal(tracking({ isDev: true, listen, open: { host: '127.0.0.1', port: 4711 } }).baseOf(domain()), 'http://127.0.0.1:4711');
});

test('mail whose links could lead nowhere is left as it is, which is told once', () => {
  const told: unknown[] = [];
  const at = tracking({ log: { ...silentLog, warn: (facts: object) => void told.push(facts) } });
  const options = { tags: [], variables: {}, testMode: false, tracking: 'yes' } as const;
  for (let i = 0; i < 3; i++) assert.equal(at.of(domain(), options), undefined);
  assert.deepEqual(told, [{ domain: 'shop.example' }]);
  assert.equal(at.of(domain(), { ...options, tracking: 'no' }), undefined);
});
