/**
 * What is to become of mail for one recipient, by the rules of its account: at RCPT whether there is a rule that may take it, at the end of the message what the rules that match want done.
 * Routes are tried in their order until one says stop. Decides, and does nothing; the work is bounded and goes on in slices, so that no account's rules hold up others.
 */
import type { Header } from '#mail/header.ts';
import { decodeWords, rawValue } from '#mail/header.ts';
import type { ForwardRule } from '#store/forward-store.ts';
import type { Arrival } from './expression.ts';
import { filledAddress, filledUrl, NOTHING_CAUGHT, type Caught } from './fill.ts';
import { matchesWildcard } from './forward-match.ts';
import { caughtBy, possibility } from './matching.ts';
import { MatchingWork } from './matching-work.ts';
import type { Rules } from './route-book.ts';
import type { Action } from './action.ts';

export interface Prospect {
  /** maybe: the message decides. */
  readonly isTaken: 'yes' | 'no' | 'maybe';
  /** A rule that may match sends it on by mail. */
  readonly mayGoOn: boolean;
}

export interface Matched {
  readonly id: string;
  readonly expression: string;
}

export interface Plan {
  /** Rules that matched, in their order. None: nobody wants it. */
  readonly matched: readonly Matched[];
  /** Each URL once. */
  readonly posts: readonly { readonly kind: 'forward' | 'notify'; readonly url: string; readonly rule: string }[];
  /** Each address once, in lower case but for its local part. */
  readonly addresses: readonly string[];
  readonly isStored: boolean;
}

const POSTS_MAX = 100;
const ADDRESSES_MAX = 100;
const HEADERS_MAX = 500;

export async function prospectOf(rules: Rules, recipient: string): Promise<Prospect> {
  const work = new MatchingWork();
  let isTaken: Prospect['isTaken'] = 'no';
  let mayGoOn = false;
  for (const rule of rules.forwards) {
    await work.pause();
    work.spend(rule.match.length + recipient.length);
    if (!matchesWildcard(rule.match, recipient)) continue;
    isTaken = 'yes';
    mayGoOn ||= rule.recipients.length > 0;
  }
  for (const { expression, actions } of rules.routes) {
    await work.pause();
    const possible = possibility(expression, recipient, work.spend);
    if (possible === 'no') continue;
    if (isTaken !== 'yes') isTaken = possible;
    mayGoOn ||= actions.some((action) => action.kind === 'forward' && !isUrl(action.to[0]));
  }
  return { isTaken, mayGoOn };
}

export async function planOf(rules: Rules, recipient: string, header: Header): Promise<Plan> {
  const work = new MatchingWork();
  const headers = headersOf(header);
  const draft: Draft = { matched: [], posts: new Map(), addresses: new Map(), isStored: false };
  for (const rule of rules.forwards) {
    await work.pause();
    work.spend(rule.match.length + recipient.length);
    if (matchesWildcard(rule.match, recipient)) apply(draft, { id: rule.id, expression: rule.match }, actionsOf(rule), NOTHING_CAUGHT);
  }
  for (const route of rules.routes) {
    await work.pause();
    const arrival: Arrival = { recipient, headers, isCaught: draft.matched.length > 0 };
    const caught = caughtBy(route.expression, arrival, work.spend);
    if (caught === undefined) continue;
    apply(draft, { id: route.id, expression: route.text }, route.actions, caught);
    if (route.actions.some(({ kind }) => kind === 'stop')) break;
  }
  return {
    matched: draft.matched,
    posts: [...draft.posts.values()].slice(0, POSTS_MAX),
    addresses: [...draft.addresses.values()].slice(0, ADDRESSES_MAX),
    isStored: draft.isStored,
  };
}

function actionsOf({ urls, recipients, store }: ForwardRule): Action[] {
  return [
    ...[...urls, ...recipients].map((to) => ({ kind: 'forward', to: [to] }) as const),
    ...(store === undefined ? [] : [{ kind: 'store', ...(store !== '' && { notify: store }) } as const]),
  ];
}

interface Draft {
  readonly matched: Matched[];
  readonly posts: Map<string, Plan['posts'][number]>;
  readonly addresses: Map<string, string>;
  isStored: boolean;
}

function apply(draft: Draft, rule: Matched, actions: readonly Action[], caught: Caught): void {
  draft.matched.push(rule);
  const post = (kind: 'forward' | 'notify', text: string): void => {
    const url = filledUrl(text, caught);
    const key = `${kind} ${url}`;
    if (url !== undefined && !draft.posts.has(key)) draft.posts.set(key, { kind, url, rule: rule.id });
  };
  for (const action of actions) {
    if (action.kind === 'store') {
      draft.isStored = true;
      if (action.notify !== undefined) post('notify', action.notify);
    }
    if (action.kind !== 'forward') continue;
    for (const to of action.to) {
      if (isUrl(to)) post('forward', to);
      else {
        const address = filledAddress(to, caught);
        const key = address?.toLowerCase();
        if (address !== undefined && key !== undefined && !draft.addresses.has(key)) draft.addresses.set(key, address);
      }
    }
  }
}

function isUrl(to: string | undefined): boolean {
  return to !== undefined && /^https?:/i.test(to);
}

function headersOf(header: Header): Arrival['headers'] {
  const fields = header.fields.slice(0, HEADERS_MAX).filter(({ name }) => name !== '');
  const byName = Map.groupBy(fields, ({ name }) => name.toLowerCase());
  return new Map(byName.entries().map(([name, all]) => [name, all.map((field) => decodeWords(rawValue(header, field)))]));
}
