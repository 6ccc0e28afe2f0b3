/** Nodes that share the work: one takes mail, another delivers it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { apiClient } from '../torture/api-client.ts';
import { smtpClient } from '../torture/smtp-client.ts';
import { TestCluster } from './cluster.ts';

const cluster = await TestCluster.make({ after }, { nodes: 2, services: (n) => (n === 1 ? 'accept,web' : 'deliver,web') });

test('what one node takes the other delivers, and the first never has a lease', async () => {
  const { home } = cluster.node(1);
  const stop = new AbortController();
  const recipient = (): string => 'a@sink1.example';
  const clients = [
    smtpClient(home.smtpPort, cluster.ledger, recipient, stop.signal),
    apiClient({ port: home.httpPort, key: home.key }, cluster.ledger, () => [recipient()], true, stop.signal),
  ];
  const leased = new Set<number>();
  try {
    for (let looks = 0; looks < 10; looks++) {
      await cluster.takesMail(5);
      leased.add((await cluster.row(1)).leased);
    }
  } finally {
    stop.abort();
    await Promise.all(clients);
  }
  assert.deepEqual((await cluster.faults()).faults, []);
  assert.deepEqual([...leased], [0]);
});
