/** The first page: how to send, what came in, what the sandbox captured, and the lanes. */
import type { OpenPage } from '#api/deps.ts';
import type { LaneReport } from '#lanes/lane.ts';
import type { StoredRecipient } from '#model/message.ts';
import { WAIT_REASONS } from '#model/wait-reason.ts';
import type { CapturedMail } from '#store/sandbox-store.ts';
import type { MessageView } from '#store/store.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { layout, pill, size, time } from './layout.ts';

export interface HomeFacts {
  readonly nowMs: number;
  /** Ready to paste; development mode only. */
  readonly tryIt: Pick<OpenPage, 'curl' | 'smtp'> | undefined;
  readonly messages: readonly MessageView[];
  /** undefined: this installation does not capture. */
  readonly captured: readonly CapturedMail[] | undefined;
  readonly lanes: readonly LaneReport[] | undefined;
  /** Of all accounts together; only for who operates the installation. */
  readonly depth: { readonly queued: number; readonly leased: number } | undefined;
}

const ADDRESSEES_MAX = 3;
/** Recipients of one message whose states stand in its row. */
const STATES_MAX = 3;

export function homePage(facts: HomeFacts): string {
  return layout(
    'Postrider',
    html`${facts.tryIt !== undefined && tryIt(facts.tryIt)}
      <section>
        <h2>
          What came in
          ${facts.depth !== undefined && html`<span class="count">${facts.depth.queued} queued, ${facts.depth.leased} on the way</span>`}
        </h2>
        ${messagesTable(facts)}
      </section>
      ${
        facts.captured !== undefined &&
        html`<section>
          <h2>Captured by the sandbox</h2>
          ${capturedList(facts.captured, facts.nowMs)}
        </section>`
      }
      ${
        facts.lanes !== undefined &&
        html`<section>
          <h2>Lanes</h2>
          ${lanesTable(facts.lanes, facts.nowMs)}
        </section>`
      }`,
    { isLive: true, nowMs: facts.nowMs },
  );
}

function tryIt({ curl, smtp }: Pick<OpenPage, 'curl' | 'smtp'>): Html {
  return html`<section class="try">
    <h1>Send something.</h1>
    <p>It is accepted, signed, delivered over real SMTP to the sandbox, and shown below. Nothing leaves this machine.</p>
    <div class="code">
      <pre id="curl">${curl}</pre>
      <button type="button" data-copy="curl">Copy</button>
    </div>
    ${
      smtp !== undefined &&
      html`<p class="hint">
        By SMTP: host <code>${smtp.host}</code>, port <code>${smtp.port}</code>, login <code>${smtp.login}</code>, password
        <code>${smtp.password}</code>
      </p>`
    }
    <p class="hint">
      To see failures: <code>bounce@</code>, <code>defer-2@</code>, <code>slow@</code>, <code>later-bounce@</code> or
      <code>complain@</code> any domain; to be answered: <code>reply@</code>.
    </p>
  </section>`;
}

function messagesTable({ messages, nowMs }: HomeFacts): Html {
  if (messages.length === 0) return html`<p class="empty">No message yet.</p>`;
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th>Message</th>
          <th>State</th>
          <th class="num">Came</th>
        </tr>
      </thead>
      <tbody>
        ${messages.map((view) => messageRow(view, nowMs))}
      </tbody>
    </table>
  </div>`;
}

function messageRow({ message, recipients }: MessageView, nowMs: number): Html {
  const waiting = recipients.find((recipient) => recipient.state === 'queued');
  return html`<tr>
    <td class="main">
      <a href="/-/messages/${message.id}">${message.info.subject || '(no subject)'}</a>
      <small>${message.info.from} → ${addressees(recipients)}</small>
    </td>
    <td class="state">
      ${states(recipients.map((recipient) => recipient.ending ?? recipient.state))}
      ${waiting !== undefined && html`<small>${WAIT_REASONS[waiting.wait]}, ${time(waiting.dueAtMs, nowMs)}</small>`}
    </td>
    <td class="num">${time(message.createdMs, nowMs)}</td>
  </tr> `;
}

/** Who gets it, as the envelope says: the header of a batch names nobody. */
function addressees(recipients: readonly StoredRecipient[]): string {
  const shown = recipients.slice(0, ADDRESSEES_MAX).map((recipient) => recipient.address);
  return recipients.length > shown.length ? `${shown.join(', ')} and more` : shown.join(', ');
}

function states(all: readonly string[]): Html[] {
  const counts = new Map<string, number>();
  for (const state of all) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].slice(0, STATES_MAX).map(([state, count]) => html`${pill(state)}${count > 1 && html` ×${count} `}`);
}

function capturedList(mails: readonly CapturedMail[], nowMs: number): Html {
  if (mails.length === 0) return html`<p class="empty">Nothing captured yet.</p>`;
  return html`<ul class="mails">
    ${mails.map(
      (mail) =>
        html`<li>
          <a href="/-/sandbox/${mail.id}"
            ><b>${mail.subject || '(no subject)'}</b>
            <span>${mail.from || mail.sender || '<>'} → ${mail.recipients.join(', ')}</span>
            <small>${size(mail.sizeBytes)} · ${time(mail.atMs, nowMs)}</small></a
          >
        </li>`,
    )}
  </ul>`;
}

function lanesTable(lanes: readonly LaneReport[], nowMs: number): Html {
  if (lanes.length === 0) return html`<p class="empty">No lane is open: nothing was sent lately.</p>`;
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th>Destination</th>
          <th>Source</th>
          <th>State</th>
          <th class="num">Connections</th>
          <th class="num">Waiting</th>
          <th class="num">Delivered</th>
          <th>Last trouble</th>
        </tr>
      </thead>
      <tbody>
        ${lanes.map(
          (lane) =>
            html`<tr>
              <td class="main">${lane.site}</td>
              <td>${lane.source}</td>
              <td>${pill(lane.state)}${lane.suspendedUntilMs !== undefined && html` until ${time(lane.suspendedUntilMs, nowMs)}`}</td>
              <td class="num">${lane.connections} / ${lane.connectionsMax}</td>
              <td class="num">${lane.waitingInMemory}</td>
              <td class="num">${lane.delivered}</td>
              <td>${lane.lastTrouble ?? ''}</td>
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`;
}
