/** postrider nodes: the servers that share the store, and how they fare; drain and resume one of them, wherever it runs. It learns of it with its next beat. */
import type { Config } from '#app/config.ts';
import type { NodeRow, Store } from '#store/store.ts';
import { withStore } from './administration.ts';
import type { Call, Command } from './command.ts';
import { Failure } from './command.ts';
import { json, roughly, stamp, table } from './table.ts';

const ENDED: ReadonlySet<NodeRow['state']> = new Set(['stopped', 'lost']);

export const nodes: Command = {
  name: 'nodes',
  parameters: '',
  summary: 'Lists the nodes that share the store: those that run, and those that ended within a day',
  details: `"beat" is how long ago a node was last heard of, by the store's clock: it beats four times in the time of \`store.lease\`, and is given up as lost when it was silent for all of it.
"leased" is the mail that it has in work. What a lost node had leased, the others deliver; it is marked as a possible repeat.`,
  examples: ['postrider nodes', 'postrider nodes --json'],
  options: {},
  takes: [0, 0],
  printsData: true,
  async run({ config, json: asJson, terminal }) {
    const settings = config();
    const list = await withStore(settings, (store) => store.nodes.list());
    terminal.out(asJson ? json({ items: list }) : textOf(list, settings.store.leaseMs));
    return 0;
  },
};

export const nodesDrain: Command = {
  name: 'nodes drain',
  parameters: 'ID|NAME',
  summary: 'Asks a node to take no more mail, to give back what waits in it and to finish what it is sending',
  details:
    'It answers new SMTP connections with 421 and submissions with 503, and is not ready any more, so that a load balancer turns away. It is drained when nothing is leased by it. It goes on when it is resumed, or started again.',
  examples: ['postrider nodes drain mail-2', 'postrider nodes drain 17'],
  options: {},
  takes: [1, 1],
  printsData: false,
  run: (call) => ask(call, 'drain'),
};

export const nodesResume: Command = {
  name: 'nodes resume',
  parameters: 'ID|NAME',
  summary: 'Asks a drained node to take and deliver mail again',
  examples: ['postrider nodes resume mail-2'],
  options: {},
  takes: [1, 1],
  printsData: false,
  run: (call) => ask(call, 'run'),
};

async function ask({ config, positionals, terminal }: Call, wanted: 'run' | 'drain'): Promise<number> {
  const given = positionals[0] ?? '';
  const settings: Config = config();
  const { name, id } = await withStore(settings, async (store) => {
    const node = await runningNode(store, given);
    if (!(await store.nodes.want(node.id, wanted))) throw new Failure(`node ${given} has just ended`);
    return node;
  });
  terminal.out(`node ${id} (${name}) is asked to ${wanted === 'drain' ? 'drain' : 'go on'}; "postrider nodes" shows how far it is\n`);
  return 0;
}

async function runningNode(store: Store, given: string): Promise<NodeRow> {
  const running = (await store.nodes.list()).filter(({ state }) => !ENDED.has(state));
  const byId = running.find(({ id }) => String(id) === given);
  const named = running.filter(({ name }) => name === given);
  if (byId === undefined && named.length > 1)
    throw new Failure(`${named.length} nodes are called ${given}; give the id of one: ${named.map(({ id }) => id).join(', ')}`);
  const found = byId ?? named[0];
  if (found === undefined) throw new Failure(`no node ${given} runs; "postrider nodes" lists them`);
  return found;
}

function textOf(list: readonly NodeRow[], leaseMs: number): string {
  if (list.length === 0) return 'No node runs, or ran within a day.\n';
  const rows = list.map((node) => [
    node.id,
    node.name,
    // Nobody is there to declare the last one lost.
    ENDED.has(node.state) || node.silentMs <= leaseMs ? node.state : `${node.state}, silent`,
    node.services.join(','),
    node.sources.join(','),
    node.leased,
    `${roughly(node.silentMs)} ago`,
    stamp(node.startedMs),
    node.version,
  ]);
  return table(['id', 'name', 'state', 'services', 'sources', 'leased', 'beat', 'started (UTC)', 'version'], rows);
}
