/** What the account used: of these only mail exists here, the rest is nothing. */
import type { Tally } from './tally.ts';

export const USAGE_METRICS: readonly string[] = [
  'processed_count',
  'email_validation_count',
  'email_validation_public_count',
  'email_validation_valid_count',
  'email_validation_single_count',
  'email_validation_bulk_count',
  'email_validation_list_count',
  'email_validation_mailgun_count',
  'email_validation_mailjet_count',
  'email_preview_count',
  'email_preview_failed_count',
  'link_validation_count',
  'link_validation_failed_count',
  'seed_test_count',
  'ip_blocklist_monitoring_count',
  'domain_blocklist_monitoring_count',
];

export function usageOf(tally: Tally, names: readonly string[]): Record<string, number> {
  const { processed_count: processed = 0 } = tally.counts();
  return Object.fromEntries(names.map((name) => [name, name === 'processed_count' ? processed : 0]));
}
