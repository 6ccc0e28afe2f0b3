/**
 * What was said on a connection since the last mark, kept as references and made into lines only when somebody wants to see it:
 * a delivery that succeeds pays for a few array pushes. Bodies and secrets are never noted. Bounded in lines and line length.
 */
import type { Reply } from '#model/outcome.ts';

export const DIALOGUE_LINES_MAX = 120;
export const DIALOGUE_LINE_MAX = 300;
const ENTRIES_MAX = 400;

export class Dialogue {
  #entries: (string | Reply)[] = [];

  /** Forgets what was said: a new transaction begins. */
  mark(): void {
    this.#entries.length = 0;
  }

  /** Commands as they went out; several lines in one string are fine. */
  said(commands: string): void {
    if (this.#entries.length < ENTRIES_MAX) this.#entries.push(commands);
  }

  heard(reply: Reply): void {
    if (this.#entries.length < ENTRIES_MAX) this.#entries.push(reply);
  }

  /** Lines with "C: " or "S: " before them; the middle of a long one is left out. */
  lines(): string[] {
    const lines = this.#entries.flatMap((entry) => (typeof entry === 'string' ? commandLines(entry) : replyLines(entry)));
    if (lines.length <= DIALOGUE_LINES_MAX) return lines;
    const half = DIALOGUE_LINES_MAX / 2;
    return [...lines.slice(0, half), `… ${lines.length - 2 * half} lines left out …`, ...lines.slice(-half)];
  }
}

function commandLines(commands: string): string[] {
  return commands
    .split('\r\n')
    .filter((line) => line !== '')
    .map((line) => `C: ${line.slice(0, DIALOGUE_LINE_MAX)}`);
}

function replyLines({ code, enhanced, text }: Reply): string[] {
  const parts = text.split('\n');
  return parts.map((part, index) => {
    const separator = index === parts.length - 1 ? ' ' : '-';
    return `S: ${code}${separator}${enhanced === undefined ? '' : `${enhanced} `}${part}`.slice(0, DIALOGUE_LINE_MAX);
  });
}
