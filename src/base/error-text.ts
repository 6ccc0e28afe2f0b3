/** What was thrown, in words for a log line: whatever it is. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
