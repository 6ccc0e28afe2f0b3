/** Tables and JSON for the terminal. What strangers wrote (replies, names) cannot move the cursor or forge a row. */
import { formatDuration } from '#base/units.ts';

/** Columns aligned to their widest cell; numbers to the right. '' when there is no row. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  if (rows.length === 0) return '';
  const cells = rows.map((row) => row.map((cell) => plain(String(cell))));
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => (row[i] ?? '').length)));
  const isNumber = head.map((_, i) => rows.every((row) => typeof row[i] === 'number'));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (isNumber[i] === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return `${[head, ...cells].map(line).join('\n')}\n`;
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

export function plain(text: string): string {
  return text.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, ' ');
}

export function stamp(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19);
}

/** "3m", "2h", "in 40s": whole units, the largest that fits. */
export function roughly(ms: number): string {
  for (const unit of [86_400_000, 3_600_000, 60_000, 1000]) if (ms >= 2 * unit) return formatDuration(Math.floor(ms / unit) * unit);
  return formatDuration(Math.max(0, Math.round(ms / 1000)) * 1000).replace('0ms', '0s');
}
