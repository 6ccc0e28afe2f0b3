/**
 * The load balancer of deploy/compose, as it is written there, before two running programs: only names and ports are others. Needs a `haproxy`;
 * where there is none the tests say so and are skipped (deploy/compose itself is compared with the program's settings in named-things.test.ts).
 */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort } from '../kit/free-port.ts';
import { DOMAIN, Installation, KEY, type Server, submit } from '../kit/installation.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';
import { until } from '../kit/until.ts';

const CONFIGURATION = join(import.meta.dirname, '../../deploy/compose/haproxy.cfg');
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin`;
/** The only client that may submit: a message taken from it is a message whose client was known. */
const CLIENT = '127.0.0.5';

const isThere = spawnSync('haproxy', ['-v'], { env: { PATH } }).status === 0;
const skip = isThere ? false : 'there is no haproxy on this machine';

interface Balancer {
  readonly submission: number;
  readonly submissions: number;
  readonly inbound: number;
  readonly api: number;
}

const nodes: Server[] = [];
const homes: Installation[] = [];
let balancer: Balancer | undefined;
const endings: (() => Promise<void>)[] = [];
after(async () => {
  for (const end of endings.toReversed()) await end();
});

before(async () => {
  if (!isThere) return;
  for (const name of ['node1', 'node2']) {
    const home = await Installation.make(
      { after: (end) => void endings.push(end) },
      {
        'smtp.hostname': `${name}.ours.test`,
        'smtp.proxy_from': '127.0.0.1',
        'http.proxy_from': '127.0.0.1',
        'smtp.submissions': '127.0.0.1:0',
        'smtp.inbound': '127.0.0.1:0',
        'inbound.unknown_sender': 'accept',
        'inbound.authentication': 'false',
        'smtp.trusted': JSON.stringify([{ cidr: CLIENT, domain: DOMAIN }]),
      },
    );
    homes.push(home);
    nodes.push(await home.start());
  }
  balancer = await startBalancer();
});

test("a client's address passes the balancer, by STARTTLS's port and by implicit TLS", { skip }, async () => {
  const { submission, submissions } = balancer as Balancer;
  const clear = await SmtpTalk.open(submission, { localAddress: CLIENT });
  await clear.say('EHLO client.test');
  assert.match(await submit(clear, ['one@x.test'], 'Subject: 1\r\n\r\nHello.\r\n'), /^250 /);
  const implicit = await SmtpTalk.openTls(submissions, { localAddress: CLIENT } as object);
  await implicit.say('EHLO client.test');
  assert.match(await submit(implicit, ['two@x.test'], 'Subject: 2\r\n\r\nHello.\r\n'), /^250 /);
  await until(() => arrivals().includes('one@x.test') && arrivals().includes('two@x.test'), 'both messages are delivered');
  const told = await Promise.all(homes.map((home) => home.command('why', 'one@x.test')));
  assert.ok(
    told.some(({ out }) => out.includes(`by SMTP from ${CLIENT}`)),
    told.map(({ out }) => out).join('\n'),
  );
  clear.destroy();
  implicit.destroy();
});

test("the API is told its client's address too", { skip }, async () => {
  const form = new URLSearchParams({ from: `app@${DOMAIN}`, to: 'three@x.test', subject: '3', text: 'Hello.' }).toString();
  const answered = Promise.withResolvers<number>();
  const asked = request({
    host: '127.0.0.1',
    port: (balancer as Balancer).api,
    localAddress: CLIENT,
    method: 'POST',
    path: `/v3/${DOMAIN}/messages`,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from(`api:${KEY}`).toString('base64')}`,
    },
  });
  asked.on('response', (response) => {
    response.resume();
    answered.resolve(response.statusCode ?? 0);
  });
  asked.on('error', answered.reject);
  asked.end(form);
  assert.equal(await answered.promise, 200);
  const told = await Promise.all(homes.map((home) => home.command('why', 'three@x.test')));
  assert.ok(
    told.some(({ out }) => out.includes(CLIENT)),
    told.map(({ out }) => out).join('\n'),
  );
});

test("another server's mail passes by 25 with its address, to our recipients alone", { skip }, async () => {
  const talk = await SmtpTalk.open((balancer as Balancer).inbound, { localAddress: CLIENT });
  await talk.say('EHLO mail.sender.test');
  await talk.say('MAIL FROM:<ann@sender.test>');
  assert.match(await talk.say('RCPT TO:<bob@elsewhere.test>'), /^550 5\.7\.1 /);
  assert.match(await talk.say(`RCPT TO:<postmaster@${DOMAIN}>`), /^250 /);
  await talk.say('DATA');
  assert.match(await talk.say('Subject: 4\r\n\r\nHello.\r\n.'), /^250 /);
  const told = await Promise.all(homes.map((home) => home.command('why', `postmaster@${DOMAIN}`)));
  assert.ok(
    told.some(({ out }) => out.includes(CLIENT)),
    told.map(({ out }) => out).join('\n'),
  );
  talk.destroy();
});

test('another client is another address: the balancer lends its own to nobody', { skip }, async () => {
  const talk = await SmtpTalk.open((balancer as Balancer).submission, { localAddress: '127.0.0.6' });
  await talk.say('EHLO client.test');
  assert.match(await talk.say(`MAIL FROM:<app@${DOMAIN}>`), /^5[35]\d /);
  talk.destroy();
});

test('a node that stops gets no more, and the others take what comes', { skip }, async () => {
  const { submission, api } = balancer as Balancer;
  await (nodes[0] as Server).stop();
  for (let position = 0; position < 6; position++) {
    const talk = await SmtpTalk.open(submission, { localAddress: CLIENT });
    assert.match(await talk.say('EHLO client.test'), /node2\.ours\.test/);
    assert.match(await submit(talk, [`after-${position}@x.test`], 'Subject: 3\r\n\r\nHello.\r\n'), /^250 /);
    talk.destroy();
    const response = await fetch(`http://127.0.0.1:${api}/v4/domains`, {
      headers: { authorization: `Basic ${Buffer.from(`api:${KEY}`).toString('base64')}` },
      signal: AbortSignal.timeout(30_000),
    });
    assert.equal(response.status, 200);
    await response.arrayBuffer();
  }
});

function arrivals(): string[] {
  return homes.flatMap((home) => home.sink.transactions.flatMap(({ recipients }) => recipients.map(({ address }) => address)));
}

/** The file as it stands, but for the names and ports of what it speaks to. */
async function startBalancer(): Promise<Balancer> {
  const [submission, other, submissions, inbound, api] = await Promise.all([freePort(), freePort(), freePort(), freePort(), freePort()]);
  const ports = new Map([
    ['587', submission],
    ['2525', other],
    ['465', submissions],
    ['25', inbound],
    ['8080', api],
  ]);
  const text = readFileSync(CONFIGURATION, 'utf8')
    .split('\n')
    .filter((line) => !/^ *server node3 /.test(line))
    .map((line) => {
      const [, bound] = /^ *bind :(\d+)$/.exec(line) ?? [];
      if (bound !== undefined) return `    bind 127.0.0.1:${String(ports.get(bound))}`;
      const [, number, service, rest] = /^ *server node(\d) node\d:(\d+)(.*)$/.exec(line) ?? [];
      if (number === undefined) return line;
      const node = nodes[Number(number) - 1] as Server;
      const door = { 2525: 'submission', 2465: 'submissions', 2526: 'inbound', 8080: 'http' }[service as string] as string;
      return `    server node${number} ${node.program.doors.get(door)?.[0]}${(rest as string).replace('8080', String(portOf(node, 'http')))}`;
    })
    .join('\n');
  const directory = mkdtempSync(join(tmpdir(), 'postrider-haproxy-'));
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(file, text);
  const child = spawn('haproxy', ['-db', '-f', file], { env: { PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = collect(child);
  const ended = once(child, 'exit');
  endings.push(async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`haproxy ended: ${said()}`);
    const talk = await SmtpTalk.open(submission as number).catch(() => undefined);
    talk?.destroy();
    return talk !== undefined;
  }, 'the balancer passes connections on');
  return { submission: submission as number, submissions: submissions as number, inbound: inbound as number, api: api as number };
}

function portOf(node: Server, service: string): number {
  return Number(node.program.doors.get(service)?.[0]?.split(':').at(-1));
}

function collect(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  return () => text;
}
