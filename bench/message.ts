/** The mail that benchmarks and the crash test send: 10 KB of text, each with an id of its own that survives to the sink. */

export const SENDER_DOMAIN = 'bench.example';
export const SENDER = `sender@${SENDER_DOMAIN}`;
export const ID_HEADER = 'X-Bench-Id';

const LINE = 'The quick brown fox jumps over the lazy dog while the post rider waits.\r\n';

/** Lines of text, `sizeBytes` long, ending with CRLF. */
export function text(sizeBytes: number): string {
  const whole = LINE.repeat(Math.ceil(sizeBytes / LINE.length));
  return `${whole.slice(0, sizeBytes - 2)}\r\n`;
}

/** Header of a message with this id. No line of it or of `text` begins with a dot, so nothing needs stuffing. */
export function header(id: string, recipient: string): string {
  return (
    `From: Bench <${SENDER}>\r\nTo: <${recipient}>\r\nSubject: Your receipt ${id}\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n` +
    `Message-ID: <${id}@${SENDER_DOMAIN}>\r\n${ID_HEADER}: ${id}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n`
  );
}

/** Recipients are spread over so many mailboxes of the sink's domain. */
export function recipientOf(n: number): string {
  return `user${n % 10_000}@sink.example`;
}
