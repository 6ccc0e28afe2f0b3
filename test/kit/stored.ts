/** What a store holds, for tests that are about something else: a domain, a message and a recipient with everything that they must have. A test names what it is about. */
import type { MessageInfo, StoredMessage, StoredRecipient } from '#model/message.ts';
import type { Domain } from '#store/store.ts';

/** As it is created. */
export function newDomain(change: Partial<Omit<Domain, 'id'>> = {}): Omit<Domain, 'id'> {
  return {
    accountId: 1,
    name: 'example.org',
    type: 'custom',
    state: 'active',
    createdMs: 0,
    retentionMs: 0,
    requireTls: false,
    skipVerification: false,
    ...change,
  };
}

export function storedDomain(change: Partial<Domain> = {}): Domain {
  return { id: 1, ...newDomain(), ...change };
}

/** Of a message that came by SMTP from here, without anything that is optional. */
export function messageInfo(change: Partial<MessageInfo> = {}): MessageInfo {
  return {
    from: '',
    to: '',
    subject: '',
    sizeBytes: 0,
    attachments: [],
    method: 'SMTP',
    origin: { address: '127.0.0.1' },
    options: { tags: [], variables: {}, testMode: false },
    smtputf8: false,
    body: '7BIT',
    ...change,
  };
}

export type MessageChange = Partial<Omit<StoredMessage, 'info'>> & { readonly info?: Partial<MessageInfo> };

export function storedMessage({ info, ...change }: MessageChange = {}): StoredMessage {
  return {
    id: 7,
    accountId: 1,
    domainId: 2,
    domain: 'example.org',
    messageId: 'id@example.org',
    sender: 'shop@example.org',
    createdMs: 0,
    expiresAtMs: 0,
    priority: 1,
    contentId: 1,
    info: messageInfo(info),
    ...change,
  };
}

/** Of that message: leased, and due at once. */
export function storedRecipient(change: Partial<StoredRecipient> = {}): StoredRecipient {
  return {
    id: 9,
    message: 7,
    address: 'jane@example.net',
    domain: 'example.net',
    state: 'leased',
    dueAtMs: 0,
    wait: 'due',
    attempts: 0,
    epoch: 1,
    possibleDuplicate: false,
    ...change,
  };
}
