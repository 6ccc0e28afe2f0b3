/** A caller's mistake in what mail is to be made of. The sentence is fit to be shown to the caller; the doors give it their protocol's form. */
export class MailError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'MailError';
  }
}
