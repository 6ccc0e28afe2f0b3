/**
 * What one core of this machine takes for the parts of the work that nobody can save: an RSA-2048 signature differs by a factor of four between processors of
 * one name, and with it every figure of a signed workload.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { text } from './message.ts';

/** CPU milliseconds of one call. */
function cost(times: number, work: () => void): number {
  for (let i = 0; i < times / 10; i++) work();
  const before = process.cpuUsage();
  for (let i = 0; i < times; i++) work();
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1000 / times;
}

export function floors(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const header = Buffer.alloc(600, 'h');
  const body = Buffer.from(text(10_240));
  const rsa = cost(500, () => void sign('sha256', header, privateKey));
  const hash = cost(5000, () => void createHash('sha256').update(body).digest());
  return `On one core: an RSA-2048 signature ${rsa.toFixed(3)} CPU-ms, SHA-256 of 10 KB ${hash.toFixed(3)} CPU-ms`;
}
