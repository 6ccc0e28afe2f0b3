/** Absolute URLs in answers, all built from the public base. */
import type { EventUrls } from '#events/mailgun-json.ts';

export function eventUrls(publicUrl: string): EventUrls {
  return { storage: (domain, key) => `${publicUrl}/v3/domains/${domain}/messages/${key}` };
}
