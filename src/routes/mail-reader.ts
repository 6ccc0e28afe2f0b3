/**
 * What is posted and shown of kept mail beside the octets: its structure, and its texts with and without what was quoted. They are made once for a message that is posted to many, in steps
 * between which everything else has its turn: a stranger decides how long a message takes to be read.
 */
import { BoundedCache } from '#base/bounded-cache.ts';
import { InFlight } from '#base/in-flight.ts';
import { Turns } from '#base/turns.ts';
import { type ReadMail, readMail } from '#mail/read-mail.ts';
import { strippedHtml } from './stripped-html.ts';
import { strippedText } from './stripped-text.ts';

export interface MailTexts {
  /** Of the HTML where there is no text. */
  readonly plain: string;
  readonly strippedText: string;
  /** '' where there is none. */
  readonly signature: string;
  readonly strippedHtml?: string;
}

export interface MadeMail {
  readonly mail: ReadMail;
  readonly texts: MailTexts;
}

/** What is held of messages that are remembered, in octets. A message that takes more is read for each post. */
const REMEMBERED_BYTES = 64 * 1024 * 1024;
/** Posts of one message come one upon another; what is posted again later is read again. */
const REMEMBERED_MS = 30_000;

export class MailReader {
  readonly #htmlToText: (html: string) => string;
  readonly #turns = new Turns();
  readonly #making = new InFlight<number, MadeMail>();
  readonly #made = new BoundedCache<number, MadeMail & { readonly bytes: number }>({ max: REMEMBERED_BYTES, weigh: ({ bytes }) => bytes });
  #forgetting: NodeJS.Timeout | undefined;

  constructor(htmlToText: (html: string) => string) {
    this.#htmlToText = htmlToText;
  }

  /** `contentId` names the octets, which never change. */
  async read(contentId: number, bytes: Buffer): Promise<MadeMail> {
    return this.#made.get(contentId, 0) ?? this.#making.once(contentId, () => this.#make(contentId, bytes));
  }

  /** A step that is long where a message is large, such as writing it down. */
  turn<T>(step: () => T): Promise<T> {
    return this.#turns.take(step);
  }

  async #make(contentId: number, bytes: Buffer): Promise<MadeMail> {
    const mail = await this.#turns.take(() => readMail(bytes));
    const made = { mail, texts: await this.#textsOf(mail) };
    const characters = [mail.text, mail.html, ...Object.values(made.texts)].reduce((sum, text) => sum + (text?.length ?? 0), 0);
    this.#made.set(contentId, { ...made, bytes: bytes.length + 2 * characters }, 0);
    if (this.#forgetting === undefined) this.#forgetting = setTimeout(() => this.#forget(), REMEMBERED_MS).unref();
    return made;
  }

  #forget(): void {
    this.#forgetting = undefined;
    this.#made.clear();
  }

  async #textsOf({ text, html }: ReadMail): Promise<MailTexts> {
    const plain = text ?? (html === undefined ? '' : await this.#turns.take(() => this.#htmlToText(html)));
    const stripped = await this.#turns.take(() => strippedText(plain));
    return {
      plain,
      strippedText: stripped.text,
      signature: stripped.signature,
      ...(html !== undefined && { strippedHtml: await this.#turns.take(() => strippedHtml(html)) }),
    };
  }
}
