/** /v4/address/validate/bulk: lists of addresses that are validated in the background, and what came of them as CSV or JSON. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { csvRow, downloadPieces } from '#api/conventions/download.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { assertFeature } from '#api/conventions/features.ts';
import { fieldsOf, wholeNumber } from '#api/conventions/fields.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { bulkForm, bulkJob, bulkList, bulkListQuery, bulkMade } from '#api/shapes/validation.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { ValidationJob } from '#store/validation-store.ts';
import { readAddressList } from '#validation/list-file.ts';
import type { KeptResult } from '#validation/list-runner.ts';

const MEGABYTE = 1024 * 1024;
const FILE_MAX_MEGABYTES = 25;
const NAME_MAX = 255;
/** P9: of one account that are not done, and how long what is done is kept. */
const OPEN_MAX = 10;
const KEPT_MS = 30 * 86_400_000;
const PAGE_DEFAULT = 100;
const PAGE_MAX = 500;
/** Pieces of results that are in memory at once, of some hundred addresses each. */
const PIECES_AT_ONCE = 4;

export function bulkValidation(door: Door): Endpoint[] {
  const url = '/v4/address/validate/bulk';
  const one = `${url}/:id`;
  return [
    {
      method: 'GET',
      url,
      summary: 'Lists of addresses that were validated, or are to be',
      right: 'read',
      query: bulkListQuery,
      answer: bulkList,
      handle: (call) => list(door, call),
    },
    {
      method: 'POST',
      url: one,
      summary: 'Validate a list of addresses in the background',
      right: 'write',
      form: bulkForm,
      answer: bulkMade,
      handle: (call) => create(door, call),
    },
    {
      method: 'GET',
      url: one,
      summary: 'How far a list is, and what came of it',
      right: 'read',
      answer: bulkJob,
      handle: async (call) => json(shown(call, await required(door, call))),
    },
    {
      method: 'DELETE',
      url: one,
      summary: 'Delete a list, also while it is validated',
      right: 'write',
      answer: messageAnswer,
      handle: (call) => remove(door, call),
    },
    ...(['csv', 'json'] as const).map((form): Endpoint => ({
      method: 'GET',
      url: `${one}/results.${form}`,
      summary: `What came of each address of a list, as ${form.toUpperCase()}`,
      right: 'read',
      handle: (call) => results(door, call, form),
    })),
  ];
}

function nameOf(call: Call): string {
  const name = call.param('id');
  if (name.length > NAME_MAX || /\p{Cc}/u.test(name))
    throw badParameter(`the id of a list has ${NAME_MAX} characters at most, without control characters`);
  return name;
}

async function required(door: Door, call: Call): Promise<ValidationJob> {
  const job = await door.deps.store.validations.validationOf(call.principal.accountId, nameOf(call).toWellFormed());
  if (job === undefined) throw new NotFound('Validation job not found');
  return job;
}

async function create(door: Door, call: Call): Promise<Answer> {
  await assertFeature(door, call, 'validations');
  await assertFeature(door, call, 'validations_bulk');
  const { store, clock, ringValidations } = door.deps;
  const name = nameOf(call).toWellFormed();
  const text = call.body.form.get('file');
  const bytes =
    (call.body.form.filesNamed('file')[0] ?? call.body.form.files[0])?.bytes ?? (text === undefined ? undefined : Buffer.from(text));
  if (bytes === undefined) throw badParameter('file parameter is missing');
  if (bytes.length > FILE_MAX_MEGABYTES * MEGABYTE) throw badParameter(`the file is too big, max allowed size is ${FILE_MAX_MEGABYTES} MB`);
  const found = await readAddressList(bytes);
  if (typeof found === 'string') throw badParameter(found);
  if (found.quantity === 0) throw badParameter('the file has no addresses');
  const nowMs = clock.nowMs();
  const job = { accountId: call.principal.accountId, name, quantity: found.quantity, createdMs: nowMs };
  const made = await store.validations.createValidation(job, OPEN_MAX, nowMs - KEPT_MS, found.bytes);
  if (made === 'taken') throw badParameter(`A validation job with the id ${name} already exists`);
  if (made === 'full') throw new AppError('rate-limited', { what: `${OPEN_MAX} lists in progress`, seconds: 60 });
  ringValidations?.();
  return json({ id: name, message: 'The validation job was submitted.' }, 202);
}

async function remove(door: Door, call: Call): Promise<Answer> {
  const { name, accountId } = await required(door, call);
  if (!(await door.deps.store.validations.deleteValidation(accountId, name, door.deps.clock.nowMs())))
    throw new NotFound('Validation job not found');
  door.deps.ringValidations?.();
  return json({ message: 'Validation job canceled.' });
}

function shown({ publicUrl }: Call, job: ValidationJob): Record<string, unknown> {
  const base = `${publicUrl}/v4/address/validate/bulk/${encodeURIComponent(job.name)}`;
  const isDone = job.finishedMs !== undefined;
  return {
    id: job.name,
    created_at: Math.floor(job.createdMs / 1000),
    quantity: job.quantity,
    records_processed: job.processed,
    status: isDone ? 'uploaded' : job.epoch > 0 ? 'processing' : 'created',
    summary: job.summary,
    download_url: isDone ? { csv: `${base}/results.csv`, json: `${base}/results.json` } : null,
  };
}

async function list(door: Door, call: Call): Promise<Answer> {
  const { validations } = door.deps.store;
  const { accountId } = call.principal;
  const fields = fieldsOf(call);
  const limit = Math.min(wholeNumber(fields, 'limit', 1, 999_999) ?? PAGE_DEFAULT, PAGE_MAX);
  const pivot = wholeNumber(fields, 'pivot', 0, 999_999_999_999);
  const around = pivot === undefined ? undefined : /^prev/i.test(fields.get('page') ?? '') ? { after: pivot } : { before: pivot };
  const isLast = fields.get('page')?.toLowerCase() === 'last';
  const [jobs, total] = await Promise.all([
    isLast ? validations.validationPage(accountId, limit, { after: 0 }) : validations.validationPage(accountId, limit, around),
    validations.countValidations(accountId),
  ]);
  const base = `${call.publicUrl}/v4/address/validate/bulk?limit=${limit}`;
  const at = (page: string, id: number | undefined): string => `${base}&page=${page}&pivot=${id ?? pivot ?? 0}`;
  const paging = { first: base, last: `${base}&page=last`, next: at('next', jobs.at(-1)?.id), previous: at('previous', jobs[0]?.id) };
  return json({ jobs: jobs.map((job) => shown(call, job)), total, paging });
}

const COLUMNS = [
  'address',
  'is_role_address',
  'is_disposable_address',
  'did_you_mean',
  'result',
  'reason',
  'risk',
  'root_address',
] as const;

async function results(door: Door, call: Call, form: 'csv' | 'json'): Promise<Answer> {
  const job = await required(door, call);
  if (job.finishedMs === undefined) throw new NotFound('the list is not validated yet');
  const pieces = form === 'csv' ? csvPieces(door, job) : jsonPieces(door, job);
  return downloadPieces(pieces, `${job.name}.${form}`, form === 'csv' ? 'text/csv' : 'application/json');
}

async function* resultsOf(door: Door, job: ValidationJob): AsyncGenerator<readonly KeptResult[]> {
  let after = 0;
  for (;;) {
    const pieces = await door.deps.store.validations.validationResults(job.id, after, PIECES_AT_ONCE);
    for (const { results: kept, number } of pieces) {
      yield JSON.parse(kept) as KeptResult[];
      after = number;
    }
    if (pieces.length < PIECES_AT_ONCE) return;
  }
}

function record({ address, result, risk, reasons = [], isDisposable = false, isRole = false, didYouMean, root }: KeptResult) {
  return {
    address,
    is_role_address: isRole,
    is_disposable_address: isDisposable,
    did_you_mean: didYouMean ?? null,
    result,
    reason: reasons,
    risk,
    root_address: root ?? null,
  };
}

async function* csvPieces(door: Door, job: ValidationJob): AsyncGenerator<string> {
  yield csvRow(COLUMNS);
  for await (const some of resultsOf(door, job)) {
    const rows = some.map((kept) => {
      const values = record(kept);
      return csvRow(COLUMNS.map((name) => (name === 'reason' ? values.reason.join('; ') : String(values[name] ?? ''))));
    });
    yield rows.join('');
  }
}

async function* jsonPieces(door: Door, job: ValidationJob): AsyncGenerator<string> {
  let isFirst = true;
  yield '[';
  for await (const some of resultsOf(door, job)) {
    yield `${isFirst ? '' : ','}${some.map((kept) => JSON.stringify(record(kept))).join(',\n')}`;
    isFirst = false;
  }
  yield ']\n';
}
