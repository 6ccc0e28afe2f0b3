/** /v1/nodes: the nodes that share the store, and what an operator wants of them. They belong to the whole installation: for admin keys. */
import { json } from '#api/conventions/answer.ts';
import { NotFound } from '#api/conventions/errors.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { nodeAsked, nodeList } from '#api/shapes/nodes.ts';

export function nodes(door: Door): Endpoint[] {
  const { store } = door.deps;
  const ask = async ({ param }: Call, wanted: 'run' | 'drain') => {
    const given = param('id');
    const id = /^\d{1,15}$/.test(given) ? Number(given) : 0;
    if (!(await store.nodes.want(id, wanted))) throw new NotFound(`No node ${given.slice(0, 20)} runs`);
    return json({ message: wanted === 'drain' ? 'The node is asked to drain' : 'The node is asked to go on' });
  };
  return [
    {
      method: 'GET',
      url: '/v1/nodes',
      summary: 'Nodes that run, and those that ended within a day',
      right: 'operate',
      answer: nodeList,
      handle: async () => json({ items: await store.nodes.list() }),
    },
    {
      method: 'POST',
      url: '/v1/nodes/:id/drain',
      summary: 'A node takes no more mail and gives back what waits in it',
      right: 'operate',
      answer: nodeAsked,
      handle: (call) => ask(call, 'drain'),
    },
    {
      method: 'POST',
      url: '/v1/nodes/:id/resume',
      summary: 'A drained node takes and delivers mail again',
      right: 'operate',
      answer: nodeAsked,
      handle: (call) => ask(call, 'run'),
    },
  ];
}
