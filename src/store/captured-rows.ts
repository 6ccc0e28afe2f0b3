/** Rows of mail that the sandbox captured to our noun, the same for both drivers. Stored JSON was written by us: it is trusted. */
import type { Row } from './rows-json.ts';
import type { CapturedMail } from './sandbox-store.ts';

/** All of one but its octets. */
export const CAPTURED_COLUMNS = 'id, at_ms, sender, recipients, size_bytes, subject, from_header';

export function capturedOf(row: Row): CapturedMail {
  return {
    id: Number(row['id']),
    atMs: Number(row['at_ms']),
    sender: String(row['sender']),
    recipients: JSON.parse(String(row['recipients'])) as string[],
    sizeBytes: Number(row['size_bytes']),
    subject: String(row['subject']),
    from: String(row['from_header']),
  };
}
