/**
 * A reporter for Node's runner: tests that failed, each with its file and its error, and nothing when none did. What is printed at the end of a run of many minutes is seen; what the first
 * of two passes printed is thousands of lines above.
 */
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** Lines of an error that are told; all of it stands where the test ran. */
const LINES = 60;

// oxlint-disable-next-line import/no-default-export -- the runner takes it from there
export default async function* failures(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type !== 'test:fail') continue;
    const { name, file, line, details, todo, skip } = event.data;
    const error = details.error as Error & { failureType?: string; cause?: unknown };
    // Of tests within tests only the innermost says why.
    if (error.failureType === 'subtestsFailed' || todo !== undefined || skip !== undefined) continue;
    const text = inspect(error.cause ?? error).split('\n');
    const told = text.length > LINES ? [...text.slice(0, LINES), '…'] : text;
    const place = file === undefined ? '' : ` (${relative(process.cwd(), file)}:${line ?? 1})`;
    yield `✖ ${name}${place}\n${told.map((row) => `    ${row}`).join('\n')}\n\n`;
  }
}
