/** Links of mail on several nodes: each node understands what another made, and they lead on while the database is away. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { SENDER, SENDER_DOMAIN } from '../../bench/message.ts';
import { until } from '../kit/until.ts';
import { TestCluster } from './cluster.ts';

/** Who waited for the database would wait for twice as long. */
const WITHIN_MS = 15_000;
const settings = 'http.public_url = "https://links.example"\ntracking.human_after = "0s"\n';
const cluster = await TestCluster.make({ after }, { nodes: 2, settings });

/** The path of the link in a message that the first node took. */
async function sentLink(): Promise<string> {
  const { home } = cluster.node(1);
  const response = await fetch(`http://127.0.0.1:${home.httpPort}/v3/${SENDER_DOMAIN}/messages`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`api:${home.key}`).toString('base64')}` },
    body: new URLSearchParams({ from: SENDER, to: 'a@sink1.example', subject: 'x', text: 'https://shop.example/', 'o:tracking': 'yes' }),
  });
  assert.equal(response.status, 200);
  const found = (): string | undefined => {
    const text = cluster.acknowledged().at(-1)?.bytes.toString('latin1').replaceAll('=\r\n', '') ?? '';
    return /https:\/\/links\.example(\/c\/[\w-]+)/.exec(text)?.[1];
  };
  return until(found, 'the message');
}

async function follow(
  n: number,
  path: string,
): Promise<{ readonly status: number; readonly location: string | null; readonly tookMs: number }> {
  const startMs = performance.now();
  const response = await fetch(`http://127.0.0.1:${cluster.node(n).home.httpPort}${path}`, {
    redirect: 'manual',
    signal: AbortSignal.timeout(20_000),
  });
  return { status: response.status, location: response.headers.get('location'), tookMs: performance.now() - startMs };
}

/** undefined: the store cannot be asked yet. */
async function clicks(): Promise<number | undefined> {
  const { status, body } = await cluster.node(1).get(`/v3/${SENDER_DOMAIN}/events?event=clicked`);
  return status === 200 ? (body['items'] as unknown[]).length : undefined;
}

test('every node serves the links of all, also while there is no database, and what was followed then is written down later', async () => {
  const link = await sentLink();
  for (const n of [1, 2])
    assert.deepEqual({ ...(await follow(n, link)), tookMs: 0 }, { status: 302, location: 'https://shop.example/', tookMs: 0 });
  await until(async () => (await clicks()) === 2, 'two clicks');
  await cluster.postgres.stop('immediate');
  for (const n of [1, 2]) {
    const { status, location, tookMs } = await follow(n, link);
    assert.deepEqual([status, location], [302, 'https://shop.example/']);
    assert.ok(tookMs < WITHIN_MS, `answered after ${tookMs} ms`);
  }
  await cluster.postgres.start();
  await until(async () => (await clicks()) === 4, 'the clicks of that time');
});
