/**
 * The pages for unsubscribing as HTML: one page that says how things stand and offers what can be changed, as forms. Without a script, a picture or anything from elsewhere; the style
 * stands in the page and is allowed by its digest. The address is shown so that its owner knows it, and nobody else learns it.
 */
import { hash } from 'node:crypto';
import type { Scope } from '#unsubscribe/tokens.ts';
import type { ChosenTexts } from '#unsubscribe/texts.ts';
import type { Subscriber, SubscriberState } from '#unsubscribe/unsubscriber.ts';
import { Html, html } from './html.ts';

/** What was just done. */
export type Done = 'subscribed' | 'saved' | undefined;

const STYLE = `
:root{color-scheme:light dark;--ground:#f4f3f0;--sheet:#fff;--ink:#1d1c1a;--muted:#625f59;--line:#dcd8d0;--key:#1f4f8f;--on-key:#fff}
@media (prefers-color-scheme:dark){:root{--ground:#151412;--sheet:#1f1d1b;--ink:#ece9e3;--muted:#a8a298;--line:#3b3733;--key:#9cc4ff;--on-key:#10233c}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:24px 16px;background:var(--ground);color:var(--ink);font:17px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;overflow-wrap:anywhere}
main{width:100%;max-width:27rem;background:var(--sheet);border:1px solid var(--line);border-radius:16px;padding:28px 24px}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 6px;text-wrap:balance}
p,ul{margin:0 0 16px}
ul{padding-inline-start:1.25em}
.quiet{color:var(--muted);font-size:.9rem}
main>p:last-child,form{margin:0}
form+form,section{margin-top:12px}
section{border-top:1px solid var(--line);margin-top:24px;padding-top:20px}
h2,legend{font-size:1rem;font-weight:600;margin:0 0 8px;padding:0}
fieldset{border:0;margin:0 0 10px;padding:0}
label{display:flex;gap:12px;align-items:center;min-height:44px;cursor:pointer}
input{width:20px;height:20px;margin:0;flex:none;accent-color:var(--key)}
button{width:100%;min-height:48px;padding:10px 16px;border-radius:10px;border:1px solid var(--line);background:transparent;color:inherit;font:inherit;cursor:pointer}
button.key{background:var(--key);border-color:var(--key);color:var(--on-key);font-weight:600}
button:hover{border-color:var(--key)}
:focus-visible{outline:3px solid var(--key);outline-offset:2px}
@media (prefers-reduced-motion:no-preference){button{transition:border-color .15s}}
`;

export const STYLE_DIGEST = `'sha256-${hash('sha256', STYLE, 'base64')}'`;

/** Names of the forms' fields, and what they say. */
export const FIELD = { action: 'do', keep: 'keep' } as const;
export const ACTIONS = ['unsubscribe', 'unsubscribe-all', 'subscribe', 'choose'] as const;
export type Action = (typeof ACTIONS)[number];

export function statePage(texts: ChosenTexts, subscriber: Subscriber, state: SubscriberState, done: Done): string {
  const isOff = isOffFor(subscriber.scope, state);
  const heading =
    done === 'saved' ? texts.saved : isOff ? texts.unsubscribed : done === 'subscribed' ? texts.subscribedAgain : texts.unsubscribe;
  const scope = state.isOffAll ? ({ kind: 'all' } as const) : subscriber.scope;
  const says =
    done === 'saved' ? undefined : isOff ? stopped(texts, subscriber, scope) : done === undefined ? willStop(texts, subscriber) : undefined;
  return document(
    texts,
    heading,
    html`<p class="quiet">${filled(texts.for, { address: masked(subscriber.address) })}</p>
      ${says} ${done === 'saved' ? undefined : isOff ? offForms(texts) : onForms(texts, subscriber)}
      ${subscriber.tags.length > 0 && choices(texts, subscriber, state)}`,
  );
}

/** Says something, and offers nothing. */
export function wordPage(texts: ChosenTexts, heading: string, text?: string): string {
  return document(texts, heading, text === undefined ? undefined : html`<p>${text}</p>`);
}

function isOffFor(scope: Scope, { isOffAll, offTags, isOffList }: SubscriberState): boolean {
  if (isOffAll || scope.kind === 'all') return isOffAll;
  if (scope.kind === 'list') return isOffList;
  return scope.tags.every((tag) => offTags.some((off) => off.toLowerCase() === tag.toLowerCase()));
}

function willStop(texts: ChosenTexts, { scope, domain }: Subscriber): Html {
  if (scope.kind === 'list') return html`<p>${filled(texts.willLeaveList, { list: scope.list })}</p>`;
  if (scope.kind === 'all') return html`<p>${filled(texts.willStopAll, { domain: domain.name })}</p>`;
  return html`<p>${filled(texts.willStopTags, { domain: domain.name })}</p>
    ${tagList(scope.tags)}`;
}

function stopped(texts: ChosenTexts, { domain }: Subscriber, scope: Scope): Html {
  const later = html`<p class="quiet">${texts.onItsWay}</p>`;
  if (scope.kind === 'list')
    return html`<p>${filled(texts.leftList, { list: scope.list })}</p>
      ${later}`;
  if (scope.kind === 'all')
    return html`<p>${filled(texts.stoppedAll, { domain: domain.name })}</p>
      ${later}`;
  return html`<p>${filled(texts.stoppedTags, { domain: domain.name })}</p>
    ${tagList(scope.tags)}${later}`;
}

function tagList(tags: readonly string[]): Html {
  return html`<ul>
    ${tags.map((tag) => html`<li><bdi>${tag}</bdi></li>`)}
  </ul>`;
}

function onForms(texts: ChosenTexts, { scope }: Subscriber): Html {
  return html`${button('unsubscribe', texts.unsubscribe, true)}
  ${scope.kind !== 'all' && button('unsubscribe-all', texts.unsubscribeAll, false)}`;
}

function offForms(texts: ChosenTexts): Html {
  return html`<section>
    <h2>${texts.byMistake}</h2>
    ${button('subscribe', texts.subscribeAgain, false)}
  </section>`;
}

function button(action: Action, text: string, isKey: boolean): Html {
  return html`<form method="post">
    <button name="${FIELD.action}" value="${action}" ${isKey && new Html(' class="key"')}>${text}</button>
  </form>`;
}

function choices(texts: ChosenTexts, { tags }: Subscriber, { isOffAll, offTags }: SubscriberState): Html {
  const checkbox = (tag: string): Html => {
    const isOn = !isOffAll && !offTags.includes(tag);
    return html`<label
      ><input type="checkbox" name="${FIELD.keep}" value="${tag}" ${isOn && new Html(' checked')} /><bdi>${tag}</bdi></label
    >`;
  };
  return html`<section>
    <form method="post">
      <fieldset>
        <legend>${texts.choose}</legend>
        ${tags.map(checkbox)}
      </fieldset>
      <button name="${FIELD.action}" value="choose">${texts.save}</button>
    </form>
  </section>`;
}

function document(texts: ChosenTexts, heading: string, content: Html | undefined): string {
  return html`<!doctype html>
    <html lang="${texts.language}" dir="${texts.isRightToLeft === true ? 'rtl' : 'ltr'}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex, nofollow" />
        <title>${heading}</title>
        ${new Html(`<style>${STYLE}</style>`)}
      </head>
      <body>
        <main>
          <h1>${heading}</h1>
          ${content}
        </main>
      </body>
    </html>`.text;
}

/** With what stands in braces put in, whatever its direction. */
function filled(text: string, values: Readonly<Record<string, string>>): Html {
  const pieces = text.split(/\{(\w+)\}/);
  return html`${pieces.map((piece, position) => (position % 2 === 0 ? piece : html`<bdi>${values[piece]}</bdi>`))}`;
}

/** "a…@example.com" */
function masked(address: string): string {
  const at = address.lastIndexOf('@');
  return `${/^./su.exec(address.slice(0, at))?.[0] ?? ''}…${address.slice(at)}`;
}
