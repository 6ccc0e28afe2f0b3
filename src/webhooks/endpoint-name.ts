/** "https://hooks.example:443": who shares turns, pauses and health. A URL that is none is told when it is tried. */
export function endpointName(url: string): string {
  if (!URL.canParse(url)) return url.slice(0, NAME_MAX);
  const { protocol, hostname, port } = new URL(url);
  return `${protocol}//${hostname}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}`;
}

const NAME_MAX = 255;
