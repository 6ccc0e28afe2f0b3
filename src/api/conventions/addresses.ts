/** The address parameters of a sending call: lists, repeated or with commas, each mailbox parsed once. */
import { parseAddressList } from '#mail/address.ts';
import type { Mailbox } from '#mail/address.ts';
import { AppError } from '#model/errors.ts';
import type { Form } from './form.ts';

const FROM_MAX = 20;

export function readFrom(values: readonly string[]): Mailbox[] {
  const mailboxes = values.flatMap((value) => parseOne('from', value, FROM_MAX));
  if (mailboxes.length > FROM_MAX) throw new AppError('bad-address', { field: 'from' });
  return mailboxes;
}

export interface Recipients {
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
}

/**
 * Who is named twice is a recipient once, in the first place where they stand. Local parts are compared as written: two spellings
 * may be two mailboxes. More than `max` together is refused.
 */
export function readRecipients(form: Form, max: number): Recipients {
  const seen = new Set<string>();
  let named = 0;
  const read = (field: string): Mailbox[] => {
    const result: Mailbox[] = [];
    for (const value of form.all(field)) {
      for (const mailbox of parseOne(field, value, max)) {
        if (++named > max) throw new AppError('too-many-recipients', { max });
        if (seen.has(mailbox.address)) continue;
        seen.add(mailbox.address);
        result.push(mailbox);
      }
    }
    return result;
  };
  return { to: read('to'), cc: read('cc'), bcc: read('bcc') };
}

function parseOne(field: string, value: string, max: number): Mailbox[] {
  const list = parseAddressList(value, max);
  if (list === undefined) throw new AppError('bad-address', { field });
  return list;
}
