/** Names that may be asked for: lower-case A-labels (RFC 1035 §2.3.4 lengths), underscores as in service names, no trailing dot. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

export function isQueryable(name: string): boolean {
  if (name.length === 0 || name.length > 253) return false;
  const labels = name.split('.');
  if (!labels.every((label) => LABEL.test(label))) return false;
  return !/^\d+$/.test(labels.at(-1) as string); // an IPv4 address is no name
}
