/**
 * What is decided about unsubscribing when a message is accepted: whether its domain's footers are put below its texts, whether it has variables that become addresses at delivery, whether
 * mailbox providers are told by header fields where to unsubscribe. What the sender wrote stays: a message with a variable in its texts gets no footer, one with a
 * List-Unsubscribe field of its own gets none of ours.
 */
import { findField, rawValue, readHeader } from '#mail/header.ts';
import { UNSUBSCRIBE_PLACEHOLDER } from '#mail/placeholders.ts';
import { rewriteLeaves } from '#mail/text-leaves.ts';
import type { MessageUnsubscribe } from '#model/message.ts';
import type { SubmissionOptions } from '#model/submission.ts';
import type { DomainSettings } from '#store/domain-store.ts';
import { footerPass, footersOf } from './footers.ts';
import { mentionsOf } from './mentions.ts';
import { mayBeOneClick } from './words.ts';

/** What the operator set. */
export interface UnsubscribeWishes {
  /** Which mail gets header fields: that of which unsubscribes are tracked, batches too, none. */
  readonly header: 'tracked' | 'batches' | 'off';
  /** What their one click unsubscribes from. */
  readonly scope: 'all' | 'tags';
}

export interface PreparingDeps {
  readonly wishes: UnsubscribeWishes;
  /** Where what is put in is shown below an HTML document. */
  endOfBody(html: string): number;
}

/** Where addresses to unsubscribe at lead, for a domain. */
export interface UnsubscribePlaces {
  readonly base: string;
  readonly mailDomain?: string;
}

export interface PreparedUnsubscribing {
  /** The given octets where nothing was added; else in memory of their own. */
  readonly bytes: Uint8Array;
  readonly unsubscribe?: MessageUnsubscribe;
}

export interface UnsubscribingOf {
  readonly options: SubmissionOptions;
  readonly settings: DomainSettings;
  readonly isBatch: boolean;
  /** Rendered at delivery: variables of the template may bring the words in. */
  readonly isLate: boolean;
}

/** Whether the footers and fields of its domain are for this message. */
function isTracked({ options, settings }: Pick<UnsubscribingOf, 'options' | 'settings'>): boolean {
  return options.trackingUnsubscribe === undefined ? settings.trackUnsubscribes === true : options.trackingUnsubscribe !== 'no';
}

/** `places` is asked only where something leads there; without an answer nothing is added, and variables stay as they are. */
export function prepareUnsubscribing(
  content: Uint8Array,
  of: UnsubscribingOf,
  { wishes, endOfBody }: PreparingDeps,
  places: () => UnsubscribePlaces | undefined,
): PreparedUnsubscribing {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const tracked = isTracked(of);
  const { inHeader, inTexts, inAmp } = mentionsOf(bytes);
  const inTemplate = of.isLate && UNSUBSCRIBE_PLACEHOLDER.test(JSON.stringify([of.options.variables, of.options.template?.variables]));
  const hasWords = inTexts || inTemplate;
  const isElsewhere = inHeader || inAmp;
  const wantsFields = wishes.header !== 'off' && (tracked || hasWords || isElsewhere || (of.isBatch && wishes.header === 'batches'));
  if (!tracked && !hasWords && !isElsewhere && !wantsFields) return { bytes: content };
  const known = places();
  if (known === undefined) return { bytes: content };
  const footers = footersOf(of.settings);
  const footed = tracked && !hasWords ? rewriteLeaves(bytes, [footerPass(footers, endOfBody)]) : bytes;
  const hasVariables = isElsewhere || hasWords || (footed !== bytes && UNSUBSCRIBE_PLACEHOLDER.test(footers.html + footers.text));
  const fields = wantsFields ? fieldsFor(bytes, wishes.scope, known) : undefined;
  if (!hasVariables && fields === undefined) return { bytes: owned(footed, bytes, content) };
  return {
    bytes: owned(footed, bytes, content),
    unsubscribe: { ...known, ...(hasVariables && { variables: true }), ...(fields !== undefined && { fields }) },
  };
}

/** Of mail to a mailing list, each page of which is a message: it can always be left. `before`: what was decided of the message to the list. */
export function listUnsubscribing(
  content: Buffer,
  before: MessageUnsubscribe | undefined,
  wishes: UnsubscribeWishes,
  places: UnsubscribePlaces,
): MessageUnsubscribe | undefined {
  const fields = wishes.header === 'off' ? undefined : fieldsFor(content, 'all', places);
  const variables = before?.variables;
  if (fields === undefined && variables === undefined) return undefined;
  return { ...places, ...(variables !== undefined && { variables }), ...(fields !== undefined && { fields }) };
}

/** It is handed to the store with its memory. */
function owned(footed: Buffer, bytes: Buffer, content: Uint8Array): Uint8Array {
  return footed === bytes ? content : new Uint8Array(footed);
}

const OUR_LINK = /<%(?:tag_|mailing_list_)?unsubscribe_url%>/;

function fieldsFor(bytes: Buffer, scope: UnsubscribeWishes['scope'], places: UnsubscribePlaces): MessageUnsubscribe['fields'] {
  const header = readHeader(bytes);
  const own = findField(header, 'list-unsubscribe');
  if (own === undefined) return scope;
  const isOurs = OUR_LINK.test(rawValue(header, own).replace(/\s/g, ''));
  return isOurs && mayBeOneClick(places) && findField(header, 'list-unsubscribe-post') === undefined ? 'post' : undefined;
}
