/** /v1/imports: how far files are that were uploaded to be read into lists. */
import { z } from 'zod';
import type { ImportJob } from '#store/suppression-store.ts';
import { json } from '#api/conventions/answer.ts';
import { NotFound } from '#api/conventions/errors.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';

const SHOWN_MAX = 100;

const importShape = z.object({
  id: z.number(),
  list: z.enum(['bounces', 'complaints', 'unsubscribes', 'whitelists']),
  status: z.enum(['processing', 'done']),
  size: z.number().describe('Octets of the file'),
  position: z.number().describe('Octets that are read'),
  added: z.number(),
  failed: z.number(),
  error: z.string().optional().describe('Why the first row that failed did'),
  created_at: z.string(),
  finished_at: z.string().optional(),
});

const LISTS = { bounce: 'bounces', complaint: 'complaints', unsubscribe: 'unsubscribes', allowlist: 'whitelists' } as const;

export function imports(door: Door): Endpoint[] {
  const { store } = door.deps;
  return [
    {
      method: 'GET',
      url: '/v1/imports',
      summary: 'Files that were uploaded to be read into lists, newest first',
      right: 'read',
      answer: z.object({ items: z.array(importShape) }),
      handle: async (call) => json({ items: (await store.imports.listImports(call.principal.accountId, SHOWN_MAX)).map(shown) }),
    },
    {
      method: 'GET',
      url: '/v1/imports/:id',
      summary: 'How far a file is',
      right: 'read',
      answer: importShape,
      async handle(call) {
        const id = Number(call.param('id'));
        const job = Number.isSafeInteger(id) ? await store.imports.importOf(call.principal.accountId, id) : undefined;
        if (job === undefined) throw new NotFound('Import not found');
        return json(shown(job));
      },
    },
  ];
}

function shown(job: ImportJob): z.infer<typeof importShape> {
  return {
    id: job.id,
    list: LISTS[job.kind],
    status: job.finishedMs === undefined ? 'processing' : 'done',
    size: job.sizeBytes,
    position: job.position,
    added: job.added,
    failed: job.failed,
    ...(job.trouble !== undefined && { error: job.trouble }),
    created_at: new Date(job.createdMs).toISOString(),
    ...(job.finishedMs !== undefined && { finished_at: new Date(job.finishedMs).toISOString() }),
  };
}
