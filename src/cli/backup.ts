/** postrider backup and restore: a store as one file, taken while it is served. */
import { resolve } from 'node:path';
import { openInstanceSecret, SecretError } from '#accounts/instance-secret.ts';
import type { Config } from '#app/config.ts';
import { backupStore } from '#store/copy/open-side.ts';
import { restoreBackup } from '#store/copy/restore.ts';
import { openStore, withPassword } from '#store/open.ts';
import { type Command, Failure, UsageError } from './command.ts';
import { makeDataDirectory } from './data-directory.ts';
import { count, interruptible, progressBar, size } from './progress.ts';
import { ANEW, report, SECRET_GOES_TOO, urlOf, withTarget } from './store-copy.ts';
import { json } from './table.ts';

export const backup: Command = {
  name: 'backup',
  parameters: '--to FILE',
  summary: 'Saves the store in one file, while servers run or not',
  details: [
    'The file is the store as it was at one moment: every message with its content, recipients and events. What was being tried at that moment is queued in it and marked as',
    'a possible repeat. It can be restored into either engine. Keep secret.key of the data directory with it, which is not in the store.',
  ].join('\n'),
  examples: ['postrider backup --to /backup/postrider-2026-11-23.db', 'postrider backup --config /etc/postrider.toml --to today.db --json'],
  options: { to: { type: 'string', value: 'FILE', help: 'the file to make; it must not exist' } },
  takes: [0, 0],
  printsData: true,
  async run({ config, text, json: asJson, terminal }) {
    const file = fileOf('--to', text('to'));
    const settings = config();
    const bar = progressBar(terminal);
    const end = await interruptible((signal) =>
      backupStore(ownUrl(settings), { file, nowMs: Date.now(), signal, onProgress: bar.show }).finally(bar.end),
    );
    if (end.kind === 'stopped') throw new Failure('it was stopped; no file was made');
    const { manifest, sizeBytes, recovered } = end;
    const rows = manifest.tables.reduce((sum, saved) => sum + saved.rows, 0);
    if (asJson) {
      const tables = manifest.tables.map(({ name, rows: saved, sum }) => ({ name, rows: saved, sum }));
      terminal.out(json({ file, madeMs: manifest.madeMs, sizeBytes, recovered, tables }));
    } else {
      terminal.out(`The store is saved in ${file}: ${count(rows)} rows of ${manifest.tables.length} tables, ${size(sizeBytes)}.\n`);
      terminal.out(SECRET_GOES_TOO);
    }
    return 0;
  },
};

export const restore: Command = {
  name: 'restore',
  parameters: '--from FILE [--to URL]',
  summary: 'Loads a backup into an empty store',
  details: [
    'The file is checked against what it says of itself before anything is written. The store must be empty, and nobody may serve it; a restore that was interrupted goes on',
    'when the same command is given again. The file stays as it is.',
  ].join('\n'),
  examples: [
    'postrider restore --from /backup/postrider-2026-11-23.db --data /var/lib/postrider',
    'postrider restore --from today.db --to postgres://postrider:secret@db1/postrider',
  ],
  options: {
    from: { type: 'string', value: 'FILE', help: 'a file that "postrider backup" made' },
    to: { type: 'string', value: 'URL', help: 'the store; default: the setting store.url' },
    anew: ANEW,
  },
  takes: [0, 0],
  printsData: true,
  async run({ config, text, flag, json: asJson, terminal }) {
    const file = fileOf('--from', text('from'));
    const given = text('to');
    const settings = config();
    const url = given === undefined ? ownUrl(settings) : urlOf('--to', given);
    makeDataDirectory(settings.data);
    const bar = progressBar(terminal);
    const end = await interruptible((signal) =>
      withTarget(url, (target) =>
        restoreBackup({
          file,
          target,
          nowMs: Date.now(),
          isAnew: flag('anew'),
          signal,
          onProgress: bar.show,
          scratchDirectory: settings.data,
        }),
      ).finally(bar.end),
    );
    const status = report(end, { asJson, terminal, what: 'backup' });
    const missing = await secretTrouble(settings, url);
    if (missing !== undefined) terminal.error(`warning: ${missing}\n`);
    return status;
  },
};

function fileOf(option: string, given: string | undefined): string {
  if (given === undefined || given === '') throw new UsageError(`${option} is missing; it takes the name of a file`);
  return resolve(given);
}

/** The setting's, with the password that stands in a file. */
function ownUrl({ store: { url, passwordFile } }: Config): string {
  return passwordFile === undefined ? url : withPassword(url, passwordFile);
}

/** The restored store may have been made with another secret than the one that is here. */
async function secretTrouble(settings: Config, url: string): Promise<string | undefined> {
  const store = await openStore({ url });
  try {
    await openInstanceSecret(settings, store.accounts);
    return undefined;
  } catch (error) {
    if (error instanceof SecretError) return error.message;
    throw error;
  } finally {
    await store.close();
  }
}
