// Renews the page's content while somebody looks at it, and copies the curl. Without script everything but that works.
const LIVE_MS = 2500;

async function renew() {
  const main = document.querySelector('main[data-live]');
  if (main === null || document.hidden || document.querySelector('details[open]') !== null || !getSelection().isCollapsed) return;
  const response = await fetch(location.href, { headers: { accept: 'text/html' } });
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), 'text/html').querySelector('main');
  if (fresh !== null && fresh.innerHTML !== main.innerHTML) main.replaceWith(document.adoptNode(fresh));
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('button[data-copy]');
  if (button === null) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = 'Copied';
  setTimeout(() => (button.textContent = 'Copy'), 1500);
});

// The server may be restarting: the next turn tries again.
setInterval(() => renew().catch(() => undefined), LIVE_MS);
