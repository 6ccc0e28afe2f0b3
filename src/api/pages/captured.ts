/** A captured message as a page: headers, text, HTML in a frame that can do nothing but open links in another window, attachments, DKIM. */
import type { ParsedAttachment, ParsedMail } from '#api/conventions/parsed-mail.ts';
import type { DkimResult } from '#api/v1/sandbox/captured.ts';
import type { CapturedMail } from '#store/sandbox-store.ts';
import { scanHtml } from '#tracking/html-scan.ts';
import { html } from './html.ts';
import { layout, pill, size, time } from './layout.ts';

/** Inline images together, before base64. */
const INLINE_BYTES_MAX = 4 * 1024 * 1024;

export function capturedPage(facts: CapturedMail, mail: ParsedMail, dkim: readonly DkimResult[], nowMs: number): string {
  const base = `/-/sandbox/${facts.id}`;
  return layout(
    facts.subject || 'Captured message',
    html`<p class="back"><a href="/">← All messages</a></p>
      <section>
        <h1>${facts.subject || '(no subject)'}</h1>
        <dl class="facts">
          <dt>From</dt>
          <dd>${mail.from}</dd>
          <dt>To</dt>
          <dd>${mail.to}</dd>
          <dt>Envelope</dt>
          <dd class="mono">${facts.sender || '<>'} → ${facts.recipients.join(', ')}</dd>
          <dt>Captured</dt>
          <dd>${time(facts.atMs, nowMs)}, ${size(facts.sizeBytes)}, <a href="${base}/raw">raw</a></dd>
          <dt>DKIM</dt>
          <dd>
            ${dkim.length === 0 ? 'not signed' : dkim.map((result) => html`${pill(result.result)} ${result.selector}._domainkey.${result.domain} <span class="muted">${result.algorithm}${result.comment !== undefined && ` ${result.comment}`}</span><br />`)}
          </dd>
          ${
            mail.attachments.length > 0 &&
            html`<dt>Attached</dt>
              <dd>
                ${mail.attachments.map((item, number) => html`<a class="file" href="${base}/attachments/${number}">${item.filename || `part ${number + 1}`} <small>${item.contentType}, ${size(item.sizeBytes)}</small></a>`)}
              </dd>`
          }
        </dl>
      </section>
      ${
        mail.html !== undefined &&
        html`<section>
          <h2>HTML</h2>
          <iframe
            title="HTML of the message"
            sandbox="allow-popups allow-popups-to-escape-sandbox"
            referrerpolicy="no-referrer"
            src="${base}/html"
          ></iframe>
        </section>`
      }
      ${
        mail.text !== undefined &&
        html`<section>
          <h2>Text</h2>
          <pre class="body">${mail.text}</pre>
        </section>`
      }
      <section>
        <h2>Headers</h2>
        <dl class="headers">
          ${mail.headers.map(
            ([name, value]) =>
              html`<dt>${name}</dt>
                <dd>${value}</dd>`,
          )}
        </dl>
      </section>`,
    { isLive: false, nowMs },
  );
}

/** The message's own HTML, for the frame: images of the message come as data, everything else from outside is blocked by its policy. */
export function frameDocument(mail: ParsedMail): string {
  let room = INLINE_BYTES_MAX;
  const data = new Map<string, string>();
  for (const attachment of mail.attachments) {
    if (attachment.contentId === undefined || attachment.sizeBytes > room || !isImage(attachment)) continue;
    room -= attachment.sizeBytes;
    data.set(attachment.contentId, `data:${attachment.contentType};base64,${attachment.bytes.toString('base64')}`);
  }
  const source = withOtherWindow(mail.html ?? '');
  return data.size === 0 ? source : source.replace(/cid:([^"'\s)>]{1,255})/gi, (whole, id: string) => data.get(decoded(id)) ?? whole);
}

/** Links open in another window: the frame itself goes nowhere. Put where it does not come before the document type. */
function withOtherWindow(source: string): string {
  const { top } = scanHtml(source);
  return `${source.slice(0, top)}<base target="_blank">${source.slice(top)}`;
}

function isImage(attachment: ParsedAttachment): boolean {
  return /^image\/(?:png|jpe?g|gif|webp|avif|bmp)$/.test(attachment.contentType);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
