/** Content ready to be kept, with what events show of it: what both ways (`mime.ts`, `parts.ts`) lead to. */
import type { Mailbox } from '#mail/address.ts';
import type { AttachmentFact, MessageInfo } from '#model/message.ts';

export interface Prepared {
  /** Owns its ArrayBuffer. */
  readonly bytes: Uint8Array;
  /** Without angle brackets. */
  readonly messageId: string;
  /** Mailboxes of From and Sender, whose domains must be the caller's. */
  readonly authors: readonly Mailbox[];
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly attachments: readonly AttachmentFact[];
  readonly renderLate?: MessageInfo['renderLate'];
  readonly unsubscribe?: MessageInfo['unsubscribe'];
  /** It came with a DKIM signature, which a change of its texts would break. */
  readonly isSigned?: boolean;
}
