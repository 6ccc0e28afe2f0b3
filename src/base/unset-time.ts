/** What Go writes for a time that was never set. Mailgun's SDK for Go sends it wherever its caller gave no time, so it says as much as an empty text does. */
const UNSET = /^(?:Mon, 0?1 Jan 0001 00:00:00 (?:[+-]0000|UTC|GMT)|0001-01-01T00:00:00(?:Z|\+00:00)?)$/;

export function isUnsetTime(text: string): boolean {
  return UNSET.test(text.trim());
}
