/** The frame of every page, and the small pieces that several pages show: times, states, sizes. */
import { Html, html } from './html.ts';

export function layout(title: string, main: Html, options: { readonly isLive: boolean; readonly nowMs: number }): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="robots" content="noindex" />
        <title>${title}</title>
        <link rel="stylesheet" href="/-/app.css" />
        <script src="/-/app.js" defer></script>
      </head>
      <body>
        <header class="top">
          <div class="wrap">
            <a class="brand" href="/">${mark()}<b>Postrider</b></a>
            <nav>
              <a href="/docs">API</a><a href="/openapi.json">openapi.json</a><a href="/metrics">metrics</a><a href="/readyz">ready</a>
            </nav>
          </div>
        </header>
        <main class="wrap" ${options.isLive ? new Html(' data-live') : undefined}>${main}</main>
        <footer class="wrap">Times are UTC. ${options.isLive && 'This page renews itself while you look at it.'}</footer>
      </body>
    </html> `.text;
}

/** A post horn, drawn. */
function mark(): Html {
  return new Html(
    '<svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" d="M3 13.5h9.5a3.5 3.5 0 1 0-3.5-3.5c0 4.500 3.500 6 7 6.500l4.500 2.500V5.500L17 8"/></svg>',
  );
}

export function time(ms: number, nowMs: number): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}" title="${iso.replace('T', ' ').slice(0, 19)}">${distance(ms - nowMs)}</time>`;
}

export function clockTime(ms: number): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(11, 23)}</time>`;
}

const UNITS: readonly (readonly [ms: number, name: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
];

function distance(ms: number): string {
  const size = Math.abs(ms);
  const [unitMs, name] = UNITS.find(([unit]) => size >= unit) ?? [1000, 's'];
  const amount = Math.round(size / unitMs);
  if (amount === 0) return 'now';
  return ms > 0 ? `in ${amount} ${name}` : `${amount} ${name} ago`;
}

const TONES: Readonly<Record<string, string>> = {
  delivered: 'good',
  pass: 'good',
  running: 'good',
  failed: 'bad',
  fail: 'bad',
  expired: 'bad',
  suppressed: 'bad',
  suspended: 'bad',
  deferred: 'wait',
  waiting: 'wait',
  queued: 'wait',
  starting: 'wait',
  leased: 'busy',
  'in-progress': 'busy',
};

export function pill(state: string): Html {
  return html`<span class="pill ${TONES[state] ?? 'plain'}">${state}</span>`;
}

export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
