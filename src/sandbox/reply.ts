/**
 * What a person writes who answers a message: thanks above, the message quoted below, in the thread of what it answers (RFC 5322 §3.6.4), and no sign of a program. It answers the first
 * message of a conversation and not what comes back for its own answer, so that an application that answers everything talks to it once.
 */
import { parseAddressList } from '#mail/address.ts';
import { compose } from '#mail/compose.ts';
import { formatDate } from '#mail/date.ts';
import { readMail } from '#mail/read-mail.ts';

export interface ReplyFacts {
  /** The mailbox that answers. */
  readonly from: string;
  /** Without angle brackets. */
  readonly messageId: string;
  /** Right of the @ in `messageId`, and in no Message-ID of others. */
  readonly host: string;
  readonly dateMs: number;
}

/** A larger message is not looked into. */
const READ_MAX = 1024 * 1024;
const QUOTED_MAX = 16 * 1024;
const ADDRESSES_MAX = 20;
const REFERENCES_MAX = 20;

/** Undefined: there is nobody to answer, or it answers us. */
export function replyTo(original: Buffer, facts: ReplyFacts): { readonly to: string; readonly bytes: Buffer } | undefined {
  const mail = readMail(original.subarray(0, READ_MAX));
  const [whom] = ['reply-to', 'from'].flatMap((name) => parseAddressList(mail.header(name) ?? '', ADDRESSES_MAX) ?? []);
  if (whom === undefined) return undefined;
  const thread = idsIn(`${mail.header('references') ?? ''} ${mail.header('in-reply-to') ?? ''}`);
  if (thread.some((id) => id.endsWith(`@${facts.host}>`))) return undefined;
  const [answered] = idsIn(mail.header('message-id') ?? '');
  const subject = mail.header('subject') ?? '';
  const said = mail.text ?? '(It has no plain text.)';
  const bytes = compose(
    {
      from: facts.from,
      to: [whom.address],
      cc: [],
      subject: /^re:/i.test(subject) ? subject : `Re: ${subject}`,
      text: `Thank you, that is what I wanted to know.\n\nOn ${mail.header('date') ?? formatDate(facts.dateMs)}, ${whom.address} wrote:\n${quoted(said)}`,
      headers:
        answered === undefined
          ? []
          : [
              ['In-Reply-To', answered],
              ['References', [...new Set([...thread, answered])].slice(-REFERENCES_MAX).join(' ')],
            ],
      attachments: [],
    },
    facts,
  );
  return { to: whom.address, bytes };
}

function idsIn(text: string): string[] {
  return text.match(/<[^<>\s]{3,250}>/g) ?? [];
}

function quoted(text: string): string {
  const lines = text.slice(0, QUOTED_MAX).trimEnd().split('\n');
  return lines.map((line) => (line === '' || line.startsWith('>') ? `>${line}` : `> ${line}`)).join('\n');
}
