/**
 * Loaded before the program by NODE_OPTIONS=--import: what it takes for the wall clock, in each of its threads, is shifted by as many milliseconds as the
 * file says that TEST_CLOCK_FILE names. The file may change at any time, as NTP or an operator steps a clock. Monotonic time is left alone.
 */
import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 20;
const path = process.env['TEST_CLOCK_FILE'];
const RealDate = Date;
let shiftMs = 0;

function look(): void {
  try {
    const text = readFileSync(path ?? '', 'utf8');
    // Empty while it is being written: as before.
    if (text !== '') shiftMs = Number(text);
  } catch {
    // Not written yet: no shift.
  }
}

const now = (): number => RealDate.now() + shiftMs;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, given: unknown[], made) => Reflect.construct(target, given.length === 0 ? [now()] : given, made) as object,
  apply: () => new RealDate(now()).toString(),
  get: (target, name, receiver) => (name === 'now' ? now : (Reflect.get(target, name, receiver) as unknown)),
});

look();
setInterval(look, LOOK_EVERY_MS).unref();
