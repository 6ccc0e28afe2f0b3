/**
 * Validates uploaded lists in the background: one list at a time on each node, some addresses at a time, their results in one commit together with the position after them. A node that
 * ends in the middle leaves the list to another, which goes on at that position. Memory: one list, and the results of a step.
 */
import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import { repeat } from '#base/repeat.ts';
import type { ValidatedCount, ValidationJob, ValidationStore, ValidationSummary } from '#store/validation-store.ts';
import type { Validate, Validation } from './validate.ts';

const POLL_MS = 10_000;
/** Each step prolongs it; a node that is silent for so long leaves the list to others. */
const HOLD_MS = 60_000;
const STEP_ADDRESSES = 200;
/** Questions to DNS under way. */
const AT_ONCE = 20;
const PURGE_PIECES = 50;
const LF = 0x0a;

export interface ListRunnerOptions {
  readonly validations: ValidationStore;
  readonly validate: Validate;
  readonly clock: Clock;
  readonly log: Log;
  /** False: this node begins nothing now. */
  mayRun?(): boolean;
}

export interface ListRunner {
  /** There may be a list. */
  ring(): void;
  /** Ends after the step in work. */
  stop(): Promise<void>;
}

export function startListRunner(options: ListRunnerOptions): ListRunner {
  const { validations, clock, log } = options;
  return repeat({
    round: async (stopped) =>
      options.mayRun?.() !== false && ((await validateOne(stopped)) || (await validations.purgeValidations(PURGE_PIECES))),
    pauseMs: POLL_MS,
    log,
    trouble: 'a list of addresses cannot be validated at the moment',
  });

  /** False: there was none. */
  async function validateOne(stopped: AbortSignal): Promise<boolean> {
    const nowMs = clock.nowMs();
    let job = await validations.claimValidation(nowMs, nowMs + HOLD_MS);
    if (job === undefined) return false;
    const bytes = Buffer.from((await validations.validationBytes(job.id)) ?? '');
    while (!stopped.aborted) {
      const { addresses, position } = linesFrom(bytes, job.position, STEP_ADDRESSES);
      const results = await validateAll(job.accountId, addresses);
      const next: ValidationJob = {
        ...job,
        position,
        processed: job.processed + results.length,
        summary: results.reduce(counted, job.summary),
      };
      const isDone = position >= bytes.length;
      if (!(await advance(next, results, isDone, stopped)) || isDone) return true;
      job = next;
    }
    // What is left is for whoever is next.
    await advance(job, [], false, stopped);
    return true;
  }

  function advance(
    { id, accountId, epoch, position, processed, summary }: ValidationJob,
    results: readonly Validation[],
    isDone: boolean,
    stopped: AbortSignal,
  ): Promise<boolean> {
    const nowMs = clock.nowMs();
    return validations.advanceValidation({
      id,
      epoch,
      position,
      processed,
      summary,
      ...(results.length > 0 && { results: JSON.stringify(results.map(keptResult)), counts: countsOf(accountId, 'bulk', results) }),
      isDone,
      nowMs,
      heldUntilMs: stopped.aborted ? nowMs : nowMs + HOLD_MS,
    });
  }

  async function validateAll(accountId: number, addresses: readonly string[]): Promise<Validation[]> {
    const results: Validation[] = [];
    for (let from = 0; from < addresses.length; from += AT_ONCE)
      results.push(...(await Promise.all(addresses.slice(from, from + AT_ONCE).map((address) => options.validate(accountId, address)))));
    return results;
  }
}

/** Whole lines, and where the next begins. */
function linesFrom(bytes: Buffer, from: number, max: number): { readonly addresses: readonly string[]; readonly position: number } {
  const addresses: string[] = [];
  let position = from;
  while (addresses.length < max && position < bytes.length) {
    const found = bytes.indexOf(LF, position);
    const end = found === -1 ? bytes.length : found;
    addresses.push(bytes.toString('utf8', position, end));
    position = end + 1;
  }
  return { addresses, position };
}

function counted(summary: ValidationSummary, { result, risk }: Validation): ValidationSummary {
  return {
    result: { ...summary.result, [result]: summary.result[result] + 1 },
    risk: { ...summary.risk, [risk]: summary.risk[risk] + 1 },
  };
}

/** What validating them counts. */
export function countsOf(accountId: number, way: ValidatedCount['way'], results: readonly Validation[]): ValidatedCount[] {
  const valid = results.filter(({ result }) => result === 'deliverable').length;
  const counts = [
    { accountId, way, isValid: true, count: valid },
    { accountId, way, isValid: false, count: results.length - valid },
  ];
  return counts.filter(({ count }) => count > 0);
}

/** A result of a list as it is kept; flags and texts that say nothing are left out. */
export interface KeptResult {
  readonly address: string;
  readonly result: Validation['result'];
  readonly risk: Validation['risk'];
  readonly reasons?: readonly string[];
  readonly isDisposable?: boolean;
  readonly isRole?: boolean;
  readonly didYouMean?: string;
  readonly root?: string;
}

function keptResult({ address, result, risk, reasons, isDisposable, isRole, didYouMean, root }: Validation): KeptResult {
  return {
    address,
    result,
    risk,
    ...(reasons.length > 0 && { reasons }),
    ...(isDisposable && { isDisposable }),
    ...(isRole && { isRole }),
    ...(didYouMean !== undefined && { didYouMean }),
    ...(root !== undefined && { root }),
  };
}
