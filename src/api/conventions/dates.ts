/** Dates as each family of endpoints writes them. The zone's spelling matters: some SDKs parse with a fixed pattern. */

/** "Mon, 24 Feb 2025 22:44:03 GMT": domains. */
export function gmtDate(ms: number): string {
  return new Date(ms).toUTCString();
}

/** "Sun, 26 Jan 2025 07:29:04 UTC": suppressions, templates. */
export function utcDate(ms: number): string {
  return `${new Date(ms).toUTCString().slice(0, -3)}UTC`;
}

/** "Wed, 08 Mar 2023 23:34:57 +0000": credentials. */
export function offsetDate(ms: number): string {
  return `${new Date(ms).toUTCString().slice(0, -3)}+0000`;
}
/** "2006-01-02T15:04:05", UTC without saying so: keys. */
export function zonelessDate(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

/** "Sun, 26 Jan 2025 07:29:23 -0000": logs, mailing lists. */
export function listDate(ms: number): string {
  return `${new Date(ms).toUTCString().slice(0, -3)}-0000`;
}

/** "2023-01-02T02:14:27Z" (RFC 3339): tags of the older API, thresholds. */
export function isoDate(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
