/**
 * The crash test as a command (see run.ts).
 *
 *   npm run torture                                  50 cycles
 *   npm run torture -- --cycles 200 --seed 1234      more of them; with the kills of an earlier run
 *
 * Status 0 when nothing was lost, nothing unknown was delivered and every repetition is marked. Data and log of a run that failed are kept.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { torture } from './run.ts';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    clients: { type: 'string', default: '4' },
    'life-ms': { type: 'string', default: '1500' },
    keep: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);
// On the disk of this checkout: the kill is to hit real writes.
const results = join(import.meta.dirname, '../../bench/results');
mkdirSync(results, { recursive: true });
const directory = mkdtempSync(join(results, 'torture-'));
say(`seed ${values.seed} (repeat with: npm run torture -- --cycles ${values.cycles} --seed ${values.seed})`);
const report = await torture({
  directory,
  cycles: Number(values.cycles),
  seed: Number(values.seed),
  lifeMsMax: Number(values['life-ms']),
  clients: Number(values.clients),
  say,
});
const { verdict, ledger } = report;
say(`accepted: ${report.accepted} messages; delivered: ${report.delivered} recipients`);
say(
  `connections refused or cut: ${ledger.cut}; put off: ${ledger.putOff}; delivered without the client having been told: ${verdict.untold}`,
);
say(`delivered more than once: ${verdict.repeated.length}, of which without a mark: ${report.unmarked.length}`);
for (const fault of report.faults) say(`FAULT ${fault}`);
if (report.faults.length === 0 && !values.keep) rmSync(directory, { recursive: true, force: true });
else say(`data and log are in ${directory}`);
say(report.faults.length === 0 ? 'torture: all is well' : 'torture: FAILED');
process.exitCode = report.faults.length === 0 ? 0 : 1;
