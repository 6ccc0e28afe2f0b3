/**
 * The crash test as a command (see run.ts).
 *
 *   npm run torture                                  50 cycles
 *   npm run torture -- --cycles 200 --seed 1234      more of them; with the kills of an earlier run
 *   npm run torture -- --store postgres              on a PostgreSQL that is started for it
 *
 * Status 0 when nothing was lost, nothing unknown was delivered and every repetition is marked. Data and log of a run that failed are kept.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '../kit/postgres.ts';
import { type TortureReport, torture } from './run.ts';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    clients: { type: 'string', default: '4' },
    'life-ms': { type: 'string', default: '1500' },
    store: { type: 'string', default: 'sqlite' },
    keep: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
// On the disk of this checkout: the kill is to hit real writes.
const results = join(import.meta.dirname, '../../bench/results');
mkdirSync(results, { recursive: true });
const directory = mkdtempSync(join(results, 'torture-'));
say(`seed ${values.seed} (repeat with: npm run torture -- --cycles ${values.cycles} --seed ${values.seed})`);
const endings: (() => Promise<void>)[] = [];
const storeUrl = await database();
let report: TortureReport;
try {
  report = await torture({
    directory,
    cycles: Number(values.cycles),
    seed: Number(values.seed),
    lifeMsMax: Number(values['life-ms']),
    clients: Number(values.clients),
    ...(storeUrl !== undefined && { storeUrl }),
    say,
  });
} finally {
  for (const end of endings) await end();
}
const { verdict, ledger } = report;
say(
  `accepted: ${report.accepted} messages; delivered: ${report.delivered} recipients; webhooks of ${report.events} events; posted by a route: ${report.routed}`,
);
say(
  `connections refused or cut: ${ledger.cut}; put off: ${ledger.putOff}; delivered without the client having been told: ${verdict.untold}`,
);
say(`delivered more than once: ${verdict.repeated.length}, of which without a mark: ${report.unmarked.length}`);
for (const fault of report.faults) say(`FAULT ${fault}`);
if (report.faults.length === 0 && !values.keep) rmSync(directory, { recursive: true, force: true });
else say(`data and log are in ${directory}`);
say(report.faults.length === 0 ? 'torture: all is well' : 'torture: FAILED');
process.exitCode = report.faults.length === 0 ? 0 : 1;

async function database(): Promise<string | undefined> {
  if (values.store === 'sqlite') return undefined;
  if (values.store !== 'postgres') throw new Error(`--store ${values.store}: expected sqlite or postgres`);
  const postgres = await startPostgres({ after: (end) => void endings.push(end) }, { fsync: true });
  return postgres.newDatabase();
}
