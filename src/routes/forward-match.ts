/** The patterns of /v3/forwards: an address in which `*` stands for any text, without regard to case. Matched in linear time for each star's text, without a regular expression. */

/** Of a whole address, or of its local part where the pattern names no domain. */
export function matchesWildcard(pattern: string, address: string): boolean {
  const text = (pattern.includes('@') ? address : address.slice(0, address.lastIndexOf('@'))).toLowerCase();
  const [first = '', ...rest] = pattern.toLowerCase().split('*');
  if (rest.length === 0) return text === first;
  const last = rest.pop() ?? '';
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
