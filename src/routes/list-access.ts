/**
 * Who may write to a mailing list by mail from elsewhere: everybody, its members, or nobody. The sender of the envelope is what a stranger says; a list for members takes it for true unless SPF or DMARC say
 * that it is not. Notifications and automatic answers are never sent to a list.
 */
import { AppError } from '#model/errors.ts';
import type { InboundMail, InboundRcpt, InboundRefusal } from '#model/inbound.ts';
import type { ListStore, MailingList } from '#store/list-store.ts';
import { headerValue } from '#mail/header.ts';

const READ_ONLY: InboundRefusal = {
  code: 550,
  enhanced: '5.7.2',
  text: 'The mailing list takes no mail from here: it is written to by its owner alone',
};
const FOR_MEMBERS: InboundRefusal = { code: 550, enhanced: '5.7.2', text: 'The mailing list takes mail of its members alone' };
const NO_NOTIFICATIONS: InboundRefusal = {
  code: 550,
  enhanced: '5.7.1',
  text: 'A mailing list takes no notifications and automatic answers',
};
const FORGED = 'The mailing list takes mail of its members alone, and the sender is not shown to be one';

/** By the envelope; undefined: they may. */
export async function postingRefusal(
  lists: Pick<ListStore, 'memberOf'>,
  list: MailingList,
  rcpt: InboundRcpt,
): Promise<InboundRefusal | undefined> {
  if (list.accessLevel === 'readonly') return READ_ONLY;
  if (rcpt.sender === '') return NO_NOTIFICATIONS;
  if (list.accessLevel === 'everyone') return undefined;
  const member = await lists.memberOf(list.id, rcpt.sender.toLowerCase());
  return member === undefined ? FOR_MEMBERS : undefined;
}

/** By the message, when the envelope was taken. */
export function letterRefusal(
  list: MailingList,
  { header, authentication }: Pick<InboundMail, 'header' | 'authentication'>,
): AppError | undefined {
  if (/^auto-replied\b/i.test(headerValue(header, 'auto-submitted') ?? ''))
    return new AppError('not-wanted-here', { reason: NO_NOTIFICATIONS.text });
  if ((headerValue(header, 'list-id') ?? '').toLowerCase().includes(`<${list.address.replace('@', '.')}>`))
    return new AppError('delivery-loop', { address: list.address });
  const isForged = authentication.dmarc.result === 'fail' || authentication.spf.result === 'fail';
  return list.accessLevel === 'members' && isForged ? new AppError('not-wanted-here', { reason: FORGED }) : undefined;
}
