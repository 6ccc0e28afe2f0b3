/**
 * How much of everything so many messages a day need: pure arithmetic over what was measured (bench/costs.json, written by bench/database.ts) and over what nobody can measure
 * for another (how large the mail is, how it bunches up, what receivers bear). A message is one recipient's copy here: a mailing to a thousand is a
 * thousand messages that share one content.
 */

/** Measured. For one message unless the name says otherwise. */
export interface Costs {
  /** Of a node: taking a message in, keeping it and sending it, without the signature; and for each kilobyte (1,000 octets) of it. */
  readonly nodeCpuMs: number;
  readonly nodeCpuMsPerKb: number;
  /** Of a node: an RSA-2048 signature and what belongs to it. */
  readonly signingCpuMs: number;
  /** Of PostgreSQL; and for each kilobyte of content. */
  readonly databaseCpuMs: number;
  readonly databaseCpuMsPerKb: number;
  /** Write-ahead log: for each message, and for each octet of content. */
  readonly walBytes: number;
  readonly walPerContentByte: number;
  /** Of PostgreSQL, when everything of a message is over its time; the whole day long. */
  readonly retireCpuMs: number;
  readonly retireWalBytes: number;
  /** On disk until the content's retention is over: for each octet of it, and beside it. */
  readonly contentPerByte: number;
  readonly contentBytes: number;
  /** On disk until the events' retention is over: rows and indexes of message, recipient and events. */
  readonly rowBytes: number;
  /** Of `rowBytes`: the index of recipients by address, the only one that is written all over the place. */
  readonly addressIndexBytes: number;
  readonly connectionsPerNode: number;
}

/** Yours. */
export interface Demand {
  readonly messagesPerDay: number;
  /** Of a content, as it is stored. */
  readonly sizeBytes: number;
  /** Messages that share a content. */
  readonly messagesPerContent: number;
  /** The busiest minute against the day's mean. */
  readonly peakFactor: number;
  /** Attempts for each message: 1 and what is deferred. */
  readonly attempts: number;
  /** A delivery, connection included, from the first octet to the reply. */
  readonly deliverySeconds: number;
  readonly isSigned: boolean;
  readonly bodiesDays: number;
  readonly eventsDays: number;
  /** Copies of the database that follow it. */
  readonly replicas: number;
}

/** What one of each is taken to carry. */
export interface Machines {
  /** Of what a processor could do at most, what it does at the peak. */
  readonly utilisation: number;
  readonly nodeCores: number;
  readonly databaseCores: number;
  /** PostgreSQL's checkpoint_timeout, with a max_wal_size that does not come before it. */
  readonly checkpointSeconds: number;
  /** Write-ahead log that a database and its replica keep up with. */
  readonly walBytesPerSecond: number;
  /** Of all databases of one cluster. */
  readonly storageBytes: number;
  /** `delivery.connections_total`. */
  readonly connectionsPerNode: number;
  /** What receivers take from one address that they know. */
  readonly messagesPerAddress: number;
}

export interface Plan {
  readonly meanPerSecond: number;
  readonly peakPerSecond: number;
  /** Cores that nodes keep busy at the peak. */
  readonly nodeCores: number;
  /** Processes: one for each core that a single thread of ours needs, one for what waits at other servers, one to spare. */
  readonly nodes: number;
  readonly nodeMachines: number;
  readonly deliveriesAtOnce: number;
  /** Cores that PostgreSQL keeps busy at the peak, in all clusters. */
  readonly databaseCores: number;
  readonly walBytesPerSecond: number;
  readonly walBytesPerSecondAtPeak: number;
  readonly walBytesPerDay: number;
  /** Log and tables of all clusters. */
  readonly diskBytesPerSecond: number;
  readonly contentBytes: number;
  readonly rowBytes: number;
  /** One cluster is one PostgreSQL with its replicas and its nodes. */
  readonly clusters: number;
  /** What asks for so many. */
  readonly clustersBecause: 'processor' | 'log' | 'storage' | 'one is enough';
  /** Of each cluster's PostgreSQL. */
  readonly connections: number;
  readonly addresses: number;
  /** At the peak, in bits. */
  readonly inBitsPerSecond: number;
  readonly outBitsPerSecond: number;
  readonly databaseBitsPerSecond: number;
}

const DAY_SECONDS = 86_400;
const PAGE_BYTES = 8192;
const BITS = 8;
/** TCP, TLS and SMTP around a content. */
const WIRE_FACTOR = 1.1;

export function plan(demand: Demand, costs: Costs, machines: Machines): Plan {
  const meanPerSecond = demand.messagesPerDay / DAY_SECONDS;
  const peakPerSecond = meanPerSecond * demand.peakFactor;
  const contentsPerMessage = 1 / demand.messagesPerContent;

  const contentKb = (demand.sizeBytes * contentsPerMessage) / 1000;
  // One more attempt is taken for half of what a message costs: it is not accepted again. Its content is read and sent again.
  const further = 1 + (demand.attempts - 1) / 2;
  const ownCpuMs = (costs.nodeCpuMs + (costs.nodeCpuMsPerKb * demand.sizeBytes) / 1000) * further;
  const nodeCores = (peakPerSecond * (ownCpuMs + (demand.isSigned ? costs.signingCpuMs * demand.attempts : 0))) / 1000;
  // All but signatures is done by one thread of each process.
  const threads = (peakPerSecond * ownCpuMs) / 1000 / machines.utilisation;
  const deliveriesAtOnce = peakPerSecond * demand.attempts * demand.deliverySeconds;
  const waiting = deliveriesAtOnce / machines.connectionsPerNode;

  const databaseCpuMs = costs.databaseCpuMs * further + costs.databaseCpuMsPerKb * contentKb;
  const databaseCores = (peakPerSecond * databaseCpuMs + meanPerSecond * costs.retireCpuMs) / 1000;
  const indexPages = (demand.messagesPerDay * demand.eventsDays * costs.addressIndexBytes) / PAGE_BYTES;
  const wholePageBytes = wholePagesPerMessage(indexPages, meanPerSecond * machines.checkpointSeconds) * PAGE_BYTES;
  const walPerMessage = costs.walBytes * further + wholePageBytes + costs.walPerContentByte * demand.sizeBytes * contentsPerMessage;
  const walAtPeak = walPerMessage * peakPerSecond + costs.retireWalBytes * meanPerSecond;
  const walMean = (walPerMessage + costs.retireWalBytes) * meanPerSecond;
  const contentPerMessage = contentsPerMessage * (costs.contentPerByte * demand.sizeBytes + costs.contentBytes);
  const contentBytes = demand.messagesPerDay * demand.bodiesDays * contentPerMessage;
  const rowBytes = demand.messagesPerDay * demand.eventsDays * costs.rowBytes;

  const needs = {
    processor: databaseCores / (machines.databaseCores * machines.utilisation),
    log: walAtPeak / machines.walBytesPerSecond,
    storage: (contentBytes + rowBytes) / machines.storageBytes,
  };
  const clusters = Math.max(1, Math.ceil(Math.max(...Object.values(needs))));
  const reason = (Object.entries(needs) as [keyof typeof needs, number][]).toSorted((a, b) => b[1] - a[1])[0] as [
    keyof typeof needs,
    number,
  ];
  // One to spare in each cluster, so that a node that dies or is replaced is not missed.
  const nodes = Math.max(2 * clusters, Math.ceil(Math.max(threads, waiting)) + clusters);
  const nodeMachines = Math.max(2, Math.ceil(nodeCores / (machines.nodeCores * machines.utilisation)) + 1);
  const contentBits = demand.sizeBytes * WIRE_FACTOR * BITS;
  return {
    meanPerSecond,
    peakPerSecond,
    nodeCores,
    nodes,
    nodeMachines,
    deliveriesAtOnce,
    databaseCores,
    walBytesPerSecond: walMean,
    walBytesPerSecondAtPeak: walAtPeak,
    walBytesPerDay: walMean * DAY_SECONDS,
    // A checkpoint writes the pages that the log has already.
    diskBytesPerSecond: walMean + meanPerSecond * (contentPerMessage + costs.rowBytes + wholePageBytes),
    contentBytes,
    rowBytes,
    clusters,
    clustersBecause: clusters === 1 ? 'one is enough' : reason[0],
    connections: Math.ceil(nodes / clusters) * costs.connectionsPerNode,
    addresses: Math.ceil(demand.messagesPerDay / machines.messagesPerAddress),
    inBitsPerSecond: peakPerSecond * contentsPerMessage * contentBits,
    outBitsPerSecond: peakPerSecond * demand.attempts * contentBits,
    databaseBitsPerSecond: walAtPeak * BITS * (1 + demand.replicas),
  };
}

/** Messages a second that one PostgreSQL carries without more than its share of the processor, and without more log than it keeps up with. */
export function databaseCarries(
  demand: Demand,
  costs: Costs,
  machines: Machines,
): { readonly byProcessor: number; readonly byLog: number } {
  const one = plan(
    {
      ...demand,
      messagesPerDay: DAY_SECONDS,
      peakFactor: 1,
      deliverySeconds: 1,
      isSigned: false,
      bodiesDays: 0,
      eventsDays: 0,
      replicas: 0,
    },
    costs,
    machines,
  );
  return {
    byProcessor: (machines.databaseCores * machines.utilisation) / one.databaseCores,
    byLog: machines.walBytesPerSecond / one.walBytesPerSecond,
  };
}

/**
 * A page that is touched first after a checkpoint is written whole to the log. How many pages that is for each message, when each touches one page of an index at random
 * (1 while the index has far more pages than messages come between two checkpoints, near 0 when it has far fewer).
 */
export function wholePagesPerMessage(indexPages: number, messagesPerCheckpoint: number): number {
  if (indexPages === 0) return 0;
  return (indexPages * (1 - Math.exp(-messagesPerCheckpoint / indexPages))) / messagesPerCheckpoint;
}
