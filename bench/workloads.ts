/** What is measured: how mail is handed in, and whether it is signed. */
import type { ApiLoad } from './load-api.ts';
import type { SmtpLoad } from './load-smtp.ts';

export interface WorkloadSize {
  readonly messages: number;
  readonly connections: number;
  readonly sizeBytes: number;
}

export interface Workload {
  readonly name: string;
  readonly door: 'smtp' | 'api';
  readonly sign: boolean;
  /** Peers can do it too. */
  readonly isForPeers: boolean;
  readonly recipientsPerCall: number;
}

export const WORKLOADS: readonly Workload[] = [
  { name: 'smtp unsigned', door: 'smtp', sign: false, isForPeers: true, recipientsPerCall: 1 },
  { name: 'smtp signed', door: 'smtp', sign: true, isForPeers: false, recipientsPerCall: 1 },
  { name: 'api unsigned', door: 'api', sign: false, isForPeers: false, recipientsPerCall: 1 },
  { name: 'api signed', door: 'api', sign: true, isForPeers: false, recipientsPerCall: 1 },
  { name: 'batch unsigned', door: 'api', sign: false, isForPeers: false, recipientsPerCall: 1000 },
];

export function smtpLoad(ports: readonly number[], size: WorkloadSize, prefix: string): SmtpLoad {
  return { ports, messages: size.messages, connections: size.connections, sizeBytes: size.sizeBytes, prefix };
}

/** A batch is as many calls of 1,000 as make `messages` or a little more. */
export function apiLoad(
  api: { readonly ports: readonly number[]; readonly key: string },
  workload: Workload,
  size: WorkloadSize,
  prefix: string,
): ApiLoad {
  const calls = Math.ceil(size.messages / workload.recipientsPerCall);
  return {
    ports: api.ports,
    key: api.key,
    calls,
    connections: Math.min(calls, workload.recipientsPerCall > 1 ? 4 : size.connections),
    sizeBytes: size.sizeBytes,
    prefix,
    form: 'multipart',
    recipientsPerCall: workload.recipientsPerCall,
  };
}

/** Recipients that a load of this size has. */
export function recipientsOf(workload: Workload, size: WorkloadSize): number {
  return Math.ceil(size.messages / workload.recipientsPerCall) * workload.recipientsPerCall;
}
