/** Files that are read into a list in the background: the answer comes when the file is durable, and names where to ask how far it is. */
import { CsvReader } from '#base/csv.ts';
import { readColumns } from '#lists/import-files.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { ImportKind } from '#store/suppression-store.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { json } from './answer.ts';
import type { Answer } from './answer.ts';

const MEGABYTE = 1024 * 1024;
const FILE_MAX_MEGABYTES = 25;
/** Files of one account that are not read yet. */
const OPEN_MAX = 20;
const KEPT_MS = 30 * 86_400_000;

export async function importFile(door: Door, call: Call, kind: ImportKind, domainId: number): Promise<Answer> {
  const { store, clock, ringImports } = door.deps;
  const { form } = call.body;
  // Some clients name the file after the list.
  const bytes = form.filesNamed('file')[0]?.bytes ?? textBytes(form.get('file')) ?? form.files[0]?.bytes;
  if (bytes === undefined) throw badParameter('Missing mandatory parameter: file');
  if (bytes.length > FILE_MAX_MEGABYTES * MEGABYTE) throw badParameter(`CSV file is too big, max allowed size is ${FILE_MAX_MEGABYTES} MB`);
  if (readColumns(new CsvReader(bytes), kind) === undefined) throw badParameter('while reading csv header');
  const nowMs = clock.nowMs();
  const job = { accountId: call.principal.accountId, kind, target: domainId, options: {}, createdMs: nowMs };
  const id = await store.imports.createImport(job, OPEN_MAX, nowMs - KEPT_MS, bytes);
  if (id === undefined) throw new AppError('rate-limited', { what: `${OPEN_MAX} files in progress`, seconds: 60 });
  ringImports?.();
  return json({ message: 'file uploaded successfully for processing. standby...' }, 202, {
    location: `${call.publicUrl}/v1/imports/${id}`,
  });
}

function textBytes(text: string | undefined): Buffer | undefined {
  return text === undefined ? undefined : Buffer.from(text, 'utf8');
}
