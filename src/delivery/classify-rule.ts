/** The shape of a classification rule. Every condition that is given must hold; the first rule that holds counts. */
import type { BounceClass } from '#model/outcome.ts';
import type { Provider } from './provider.ts';

/** Where in the dialogue a reply came. */
export type Stage = 'connect' | 'greeting' | 'ehlo' | 'tls' | 'auth' | 'mail' | 'rcpt' | 'data' | 'dot';

export interface Rule {
  readonly name: string;
  readonly provider?: Provider;
  readonly codes?: readonly number[];
  readonly stages?: readonly Stage[];
  /** Subject and detail of the enhanced code ("1.1"), or a subject ("1."); the first number is the code's business. */
  readonly enhanced?: readonly string[];
  /** One of these occurs in the text (lower case, white space joined), beginning where a word begins. */
  readonly phrases?: readonly string[];
  readonly class: BounceClass;
  /** Against the reply code: a 5xx that is not about now and for ever, or not about this mail. A 4xx stays temporary. */
  readonly disposition?: 'deferred';
  /** It says clearly that there is no such mailbox. */
  readonly suppress?: true;
  readonly explanation: string;
  /** A reply that this rule, and no earlier one, is for. */
  readonly sample: {
    readonly code: number;
    readonly enhanced?: string;
    readonly text: string;
    readonly provider?: Provider;
    readonly stage?: Stage;
  };
}

/** Phrases written as "this | that". */
export function oneOf(phrases: string): readonly string[] {
  return phrases.split('|').map((phrase) => phrase.trim());
}
