/** The shape of a row about bounces that are no report of RFC 3464: by what such mail is known, and where its recipients stand. */
export interface BounceFormat {
  readonly name: string;
  /** Every condition that is given must hold: one of the phrases (lower case) is in the author's address, in the subject, in a line of the text. */
  readonly from?: readonly string[];
  readonly subject?: readonly string[];
  readonly text?: readonly string[];
  /** The header has this field, lower case. */
  readonly field?: string;
  /** What it tells; by default that delivery failed. */
  readonly action?: 'delayed';
  /** Phrases in the line after which the returned message follows. */
  readonly until?: readonly string[];
  /** Lines beginning so are an address, or tell of one: "-- jane@example.org". */
  readonly before?: readonly string[];
}

/** Why mail that came to a return path is no bounce. */
export interface ReplyFormat {
  readonly name: string;
  /** auto-reply: of a program for an absent reader. challenge: wants its sender to prove to be human. receipt: tells that mail was read or deleted. */
  readonly kind: 'auto-reply' | 'challenge' | 'receipt';
  /** One of these phrases (lower case) is in the subject, or begins it where `isPrefix`. */
  readonly subject?: readonly string[];
  readonly isPrefix?: true;
  /** The header has the field, with one of the values (lower case, as a prefix); without values: at all. */
  readonly field?: readonly [name: string, ...values: string[]];
  /** One of these is in a line of the text. */
  readonly text?: readonly string[];
}
