/** A message's timeline as a page: the same data as `GET /v1/messages/{id}`. */
import type { AttemptEntry, RecipientTimeline, Timeline, TimelineEntry } from '#events/timeline.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { clockTime, layout, pill, size, time } from './layout.ts';

export function messagePage(story: Timeline, nowMs: number): string {
  const isOpen = story.recipients.some((recipient) => recipient.next !== undefined);
  return layout(
    story.subject || 'Message',
    html`<p class="back"><a href="/">← All messages</a></p>
      <section>
        <h1>${story.subject || '(no subject)'}</h1>
        <dl class="facts">
          <dt>From</dt>
          <dd>${story.from}</dd>
          <dt>To</dt>
          <dd>${story.to}</dd>
          <dt>Message-ID</dt>
          <dd class="mono">${story.messageId}</dd>
          <dt>Accepted</dt>
          <dd>
            ${time(story.createdMs, nowMs)} by ${story.accepted.method},
            ${story.accepted.by}${story.accepted.address !== '' && html`, from ${story.accepted.address}`}
          </dd>
          <dt>Size</dt>
          <dd>${size(story.sizeBytes)}</dd>
          ${
            story.tags.length > 0 &&
            html`<dt>Tags</dt>
              <dd>${story.tags.join(', ')}</dd>`
          }
        </dl>
      </section>
      ${story.entries.length > 0 && html`<section>${entries(story.entries)}</section>`}
      ${story.recipients.map((recipient) => recipientSection(recipient, nowMs))}`,
    { isLive: isOpen, nowMs },
  );
}

function recipientSection(recipient: RecipientTimeline, nowMs: number): Html {
  return html`<section>
    <h2>
      ${recipient.address}
      ${pill(recipient.status)}${recipient.possibleDuplicate && html` <span class="pill wait">possible duplicate</span>`}
    </h2>
    ${entries(recipient.entries)}
    ${recipient.next !== undefined && html`<p class="next"><b>Next</b> ${recipient.next.text}, ${time(recipient.next.atMs, nowMs)}; given up ${time(recipient.next.expiresAtMs, nowMs)}.</p>`}
  </section>`;
}

function entries(all: readonly TimelineEntry[]): Html {
  return html`<ol class="timeline">
    ${all.map(
      (entry) =>
        html`<li class="${entry.kind}">
          ${clockTime(entry.atMs)}
          <div>${words(entry)}</div>
        </li>`,
    )}
  </ol>`;
}

function words(entry: TimelineEntry): Html {
  if (entry.kind === 'attempt') return attempt(entry);
  if (entry.kind === 'wait') return html`<span class="muted">waited ${seconds(entry.untilMs - entry.atMs)}: ${entry.text}</span>`;
  return html`${entry.text}${entry.code !== undefined && html` <code>${entry.code}</code>`}`;
}

function attempt(entry: AttemptEntry): Html {
  const where = placeOf(entry);
  const tls = entry.tls === undefined ? 'no TLS' : `${entry.tls.version}, certificate ${entry.tls.verified ? 'verified' : 'not verified'}`;
  return html`<p>
      ${pill(entry.result)} Attempt
      ${entry.number}${where !== '' && html` at <b>${where}</b>`}${entry.host !== undefined && html` <span class="muted">(${tls})</span>`}
    </p>
    ${entry.reply !== '' && html`<p class="reply mono">${entry.code !== undefined && `${entry.code} `}${entry.enhanced !== undefined && `${entry.enhanced} `}${entry.reply}</p>`}
    ${entry.steps.length > 0 && html`<p class="steps">${entry.steps.map((step) => html`<span>${step.step} <b>${Math.round(step.ms)}</b> ms</span>`)}</p>`}
    ${
      entry.dialogue !== undefined &&
      html`<details>
        <summary>Dialogue</summary>
        <pre>${entry.dialogue.join('\n')}</pre>
      </details>`
    }`;
}

/** "mx.example.net [192.0.2.1]:25"; an address that is its own name stands once. */
function placeOf({ host, site, address, port }: AttemptEntry): string {
  const name = host === address ? undefined : (host ?? site);
  const at = address === undefined ? undefined : `[${address}]${port === undefined ? '' : `:${port}`}`;
  return [name, at].filter((part) => part !== undefined).join(' ');
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
