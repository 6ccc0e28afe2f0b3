/**
 * The MIME that one recipient of a message was to get, before it is signed. A batch keeps one content for all; each recipient's copy is made from it with the recipient's
 * values, and where the message has a template that is rendered late, with that.
 */
import { compileExpansion } from '#mail/expand.ts';
import { MailError } from '#mail/mail-error.ts';
import type { StoredMessage, StoredRecipient } from '#model/message.ts';
import { recipientValues, renderContext } from '#model/recipient-values.ts';
import { AppError } from '#model/errors.ts';
import type { Door } from '#api/endpoint.ts';

export function ownCopy({ deps }: Door, message: StoredMessage, recipient: StoredRecipient, bytes: Buffer): Buffer {
  if (message.info.batchId === undefined) return bytes;
  const values = recipientValues(recipient);
  try {
    const expansion = compileExpansion(bytes);
    if (message.info.renderLate === undefined) return expansion.expand(values);
    const context = renderContext(message, recipient, values);
    return expansion.expand(values, (source, kind) => deps.render(source, context, kind));
  } catch (error) {
    if (error instanceof MailError) throw new AppError('bad-content', { reason: `the message cannot be made: ${error.message}` }, error);
    throw error;
  }
}
