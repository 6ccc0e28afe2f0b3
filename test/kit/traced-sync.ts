/** What strace tells of a program's writing: whether the store's log was made durable. */

/** A sync of the write-ahead log begins and ends with success in these lines. */
export function isSynced(lines: readonly string[]): boolean {
  return lines.some((line, at) => {
    const [, thread, rest = ''] = /^(\d+)\s+f(?:data)?sync\(\d+<[^>]*-wal>(.*)$/.exec(line) ?? [];
    if (thread === undefined) return false;
    const resumed = new RegExp(`^${thread}\\s+<\\.\\.\\. f(data)?sync resumed>.*= 0`);
    return /\)\s*= 0/.test(rest) || lines.slice(at + 1).some((later) => resumed.test(later));
  });
}
