/**
 * Milliseconds of the processor: what a bound on the cost of work is compared with. The clock on the wall goes on while other processes have the
 * processor, so on a loaded machine a bound on it fails for work that costs nothing.
 */
const MICROS_PER_MS = 1000;

/** Of this thread: for work that is done in one go. */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / MICROS_PER_MS;
}

/** Of all threads of the process: for work that other threads do for it. */
export function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / MICROS_PER_MS;
}
