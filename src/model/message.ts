/** Our nouns for what is kept: a message, its recipients, and what the events show about them. */
import type { Method, Notify, Origin, SubmissionOptions } from './submission.ts';
import type { WaitReason } from './wait-reason.ts';

/** 0 urgent (a single recipient), 1 normal, 2 bulk (batches): lower goes first. */
export type Priority = 0 | 1 | 2;

export interface AttachmentFact {
  readonly filename: string;
  readonly 'content-type': string;
  readonly size: number;
}

/** What is counted of a message when it is read. Decided when it was accepted. */
export interface MessageTracking {
  /** What links and pixels begin with, without a slash at the end. */
  readonly base: string;
  /** Where the pixel stands. */
  readonly opens?: 'top' | 'bottom';
  /** In which texts links lead through us. */
  readonly clicks?: 'all' | 'html';
  /** Parameters that counted links get when they do not have them. */
  readonly utm?: string;
}

/** How its recipients unsubscribe. Decided when it was accepted. */
export interface MessageUnsubscribe {
  /** What links begin with, without a slash at the end. */
  readonly base: string;
  /** Its texts or header fields have variables that become addresses to unsubscribe at. */
  readonly variables?: true;
  /**
   * Header fields that mailbox providers act upon are added (RFC 2369, RFC 8058): to unsubscribe from what; of mail to a list from the list, whatever stands here.
   * post: the sender's own field is one of ours, and lacks what says that one click suffices.
   */
  readonly fields?: 'all' | 'tags' | 'post';
  /** Domain of addresses that mail to unsubscribe goes to. Absent: none comes in. */
  readonly mailDomain?: string;
}

/** What events and timelines show about a message, stored as JSON with it. */
export interface MessageInfo {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  /** Octets of the MIME as kept. */
  readonly sizeBytes: number;
  readonly attachments: readonly AttachmentFact[];
  readonly method: Method;
  readonly origin: Origin;
  readonly keyId?: string;
  readonly login?: string;
  readonly options: SubmissionOptions;
  /** A notification that we wrote ourselves: the message that it tells of; 0: another's, passed on. */
  readonly notifiesOf?: number;
  /** The envelope's DSN wishes and encoding. */
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
  readonly smtputf8: boolean;
  readonly body: '7BIT' | '8BITMIME' | 'BINARYMIME';
  /** Batch: content is expanded for each recipient when it is delivered. */
  readonly batchId?: string;
  /** It came in, or is sent on, because of these rules; `recipient`: whose mail it is. */
  readonly routes?: readonly { readonly id: string; readonly expression: string; readonly recipient: string }[];
  /** It was made of a message to a mailing list, for some of its members. */
  readonly mailingList?: { readonly address: string; readonly listId: string; readonly sid: string };
  /** o:deliverytime-optimize-period was asked for, and nothing told when the recipients read: it was not made to wait. */
  readonly isUnoptimized?: true;
  /** Its links and pixel are each recipient's own. Absent: nothing of it is counted. */
  readonly tracking?: MessageTracking;
  /** Absent: nothing of it leads to where they unsubscribe. */
  readonly unsubscribe?: MessageUnsubscribe;
  /** The template is rendered for each recipient when it is delivered (its source stands in the content). */
  readonly renderLate?: { readonly name: string; readonly version: string };
}

/** A message as kept. `accountId` and `domainId` bind it to its tenant. */
export interface StoredMessage {
  readonly id: number;
  readonly accountId: number;
  readonly domainId: number;
  readonly domain: string;
  /** Message-ID without angle brackets. */
  readonly messageId: string;
  readonly sender: string;
  readonly createdMs: number;
  readonly expiresAtMs: number;
  readonly priority: Priority;
  /** 0 when the content is gone. */
  readonly contentId: number;
  readonly info: MessageInfo;
}

/** queued: due at some time. leased: a node has it. done: settled for good. */
export type RecipientState = 'queued' | 'leased' | 'done';
/** How it ended. received: it came in, and was not to be delivered. */
export type Ending = 'delivered' | 'failed' | 'expired' | 'suppressed' | 'cancelled' | 'received';

export interface StoredRecipient {
  readonly id: number;
  readonly message: number;
  readonly address: string;
  /** Receiving domain, lower case, A-labels. */
  readonly domain: string;
  readonly name?: string;
  readonly state: RecipientState;
  readonly ending?: Ending;
  readonly dueAtMs: number;
  readonly wait: WaitReason;
  readonly attempts: number;
  readonly epoch: number;
  readonly possibleDuplicate: boolean;
  readonly notify?: readonly Notify[];
  readonly orcpt?: string;
  readonly variables?: Readonly<Record<string, unknown>>;
  /** When it is given up, where that is not its message's time. */
  readonly expiresAtMs?: number;
  /** It was scheduled for a local time there. */
  readonly timeZone?: string;
}
