/** postrider store copy: moves a store to another place, or to the other engine. */
import { dirname, resolve } from 'node:path';
import { type CopyEnd, copyStore } from '#store/copy/copy-store.ts';
import { openSource, openTarget } from '#store/copy/open-side.ts';
import type { Target } from '#store/copy/side.ts';
import { parseStoreUrl, storePlace } from '#store/store-url.ts';
import { type Command, Failure, type Terminal, UsageError } from './command.ts';
import { makeDataDirectory } from './data-directory.ts';
import { count, interruptible, progressBar } from './progress.ts';
import { json, table } from './table.ts';

export const SECRET_GOES_TOO =
  'The store does not hold the secret that its DKIM keys are encrypted with: keep secret.key of the data directory (or the settings secret and secret_file) with it.\n';

export const ANEW = {
  type: 'boolean',
  help: 'throw away what an unfinished copy left in the target, and begin again',
} as const;

export const storeCopy: Command = {
  name: 'store copy',
  parameters: '--from URL --to URL',
  summary: 'Copies a store into an empty one: to another place, or from SQLite to PostgreSQL and back',
  details: [
    'Nobody may serve either store meanwhile. A copy that was interrupted goes on where it was when the same command is given again. At the end both sides',
    'are compared, by count and checksum of each table; only what is equal can be started. The source stays as it is.',
  ].join('\n'),
  examples: [
    'postrider store copy --from sqlite:/var/lib/postrider/postrider.db --to postgres://postrider:secret@db1/postrider',
    'postrider store copy --from postgres://postrider:secret@db1/postrider --to sqlite:/var/lib/postrider/postrider.db',
  ],
  options: {
    from: { type: 'string', value: 'URL', help: 'the store to copy, as in the setting store.url' },
    to: { type: 'string', value: 'URL', help: 'the empty store that becomes its copy' },
    anew: ANEW,
  },
  takes: [0, 0],
  printsData: true,
  async run({ text, flag, json: asJson, terminal }) {
    const [from, to] = [urlOf('--from', text('from')), urlOf('--to', text('to'))];
    if (from === to) throw new UsageError('--from and --to are the same store');
    const bar = progressBar(terminal);
    const end = await interruptible(async (signal) => {
      const source = await openSource(from);
      try {
        return await withTarget(to, (target) =>
          copyStore({ source, target, nowMs: Date.now(), isAnew: flag('anew'), signal, onProgress: bar.show }),
        );
      } finally {
        bar.end();
        await source.close();
      }
    });
    return report(end, { asJson, terminal, what: 'store' });
  },
};

/** Makes what a target of SQLite needs. */
export async function withTarget<T>(url: string, work: (target: Target) => Promise<T>): Promise<T> {
  const place = storePlace(url);
  if (place.kind === 'sqlite') makeDataDirectory(dirname(place.path));
  const target = await openTarget(url);
  try {
    return await work(target);
  } finally {
    await target.close();
  }
}

/** Paths are told in full, so that the same store has the same name next time. */
export function urlOf(option: string, given: string | undefined): string {
  if (given === undefined)
    throw new UsageError(`${option} is missing; it takes a URL such as sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE`);
  const parsed = parseStoreUrl(given);
  if ('expected' in parsed) throw new UsageError(`${option}: expected ${parsed.expected}`);
  return parsed.place.kind === 'sqlite' ? `sqlite:${resolve(parsed.place.path)}` : given;
}

export interface Reporting {
  readonly asJson: boolean;
  readonly terminal: Terminal;
  readonly what: 'store' | 'backup';
}

/** Prints how a copy ended; the exit status. */
export function report(end: CopyEnd, { asJson, terminal, what }: Reporting): number {
  if (end.kind === 'stopped') throw new Failure('it was stopped; the same command goes on where it was');
  if (asJson) {
    const tables = end.tables.map(({ name, source, target }) => ({ name, source, target }));
    terminal.out(
      json({
        result: end.kind === 'done' ? 'copied' : 'different',
        isResumed: end.isResumed,
        ...(end.kind === 'done' && { recovered: end.recovered }),
        tables,
      }),
    );
  }
  if (end.kind === 'different') throw new Failure(differenceOf(end, what));
  if (!asJson) {
    const rows = end.tables.reduce((sum, { source }) => sum + source.rows, 0);
    terminal.out(`The ${what} is copied: ${count(rows)} rows of ${end.tables.length} tables, which are equal on both sides.\n`);
    if (end.recovered > 0)
      terminal.out(`${count(end.recovered)} recipients that were being tried are queued again, each marked as a possible repeat.\n`);
    if (what === 'store') terminal.out(SECRET_GOES_TOO);
  }
  return 0;
}

function differenceOf({ tables, isResumed }: Extract<CopyEnd, { kind: 'different' }>, what: string): string {
  const rows = tables.map(({ name, source, target }) => [name, source.rows, source.sum, target.rows, target.sum]);
  return [
    `the copy is not what the ${what} is, in ${tables.map(({ name }) => name).join(', ')}${isResumed ? ' (was the source used since the copy began?)' : ''}.`,
    'It cannot be started; --anew throws it away and begins again.',
    table(['table', 'rows', 'checksum', 'rows of the copy', 'checksum of the copy'], rows).trimEnd(),
  ].join('\n');
}
