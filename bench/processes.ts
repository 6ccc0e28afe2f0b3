/**
 * What a process and all its descendants used, from /proc. Linux only: elsewhere `canMeasure` is false and the report says so.
 * CPU of threads and of children that were waited for is included. A process outside the tree (the kernel's journal threads) is not.
 */
import { readFileSync, readdirSync } from 'node:fs';

export interface Usage {
  readonly userSeconds: number;
  readonly systemSeconds: number;
  /** Sum over the tree of each process's highest resident size so far (VmHWM); shared pages count for each. */
  readonly peakRssBytes: number;
  /** Sum over the tree of what each process occupies now, shared pages counted once (PSS). */
  readonly pssBytes: number;
}

export const canMeasure = process.platform === 'linux';

// USER_HZ: fixed at 100 on every Linux that Node runs on.
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly userTicks: number;
  readonly systemTicks: number;
}

function stat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name stands in parentheses and may hold anything: count from behind it (proc(5)).
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const number = (nth: number): number => Number(fields[nth - 3]);
    return { pid, parent: number(4), userTicks: number(14) + number(16), systemTicks: number(15) + number(17) };
  } catch {
    return undefined; // it ended meanwhile
  }
}

/** The process and everything that descends from it, as it is now. */
function tree(root: number): Stat[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => stat(Number(name)))
    .filter((found) => found !== undefined);
  const members = new Set([root]);
  for (let grew = true; grew;) {
    const before = members.size;
    for (const { pid, parent } of all) if (members.has(parent)) members.add(pid);
    grew = members.size > before;
  }
  return all.filter(({ pid }) => members.has(pid));
}

function kilobytes(path: string, name: string): number {
  try {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(path, 'utf8'));
    return found === null ? 0 : Number(found[1]);
  } catch {
    return 0; // it ended meanwhile
  }
}

export function usage(root: number): Usage {
  const members = tree(root);
  const sum = (of: (member: Stat) => number): number => members.reduce((total, member) => total + of(member), 0);
  return {
    userSeconds: sum((member) => member.userTicks) / TICKS_PER_SECOND,
    systemSeconds: sum((member) => member.systemTicks) / TICKS_PER_SECOND,
    peakRssBytes: sum(({ pid }) => kilobytes(`/proc/${pid}/status`, 'VmHWM')) * 1024,
    pssBytes: sum(({ pid }) => kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss')) * 1024,
  };
}
