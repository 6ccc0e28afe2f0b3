/** What the account used: of these mail and validated addresses exist here, the rest is nothing. */
import type { Whose } from './metrics.ts';
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
  'image_validation_count',
  'image_validation_failed_count',
  'accessibility_count',
  'accessibility_failed_count',
  'seed_test_count',
  'ip_blocklist_monitoring_count',
  'domain_blocklist_monitoring_count',
];

/** With what was counted for no domain, as validated addresses are. */
export function withoutDomain({ below, ...own }: Whose): Whose {
  return { ...own, domains: new Map([[0, ''], ...own.domains]), ...(below !== undefined && { below: below.map(withoutDomain) }) };
}

export function usageOf(tally: Tally, names: readonly string[]): Record<string, number> {
  const { processed_count: processed = 0 } = tally.counts();
  const { single, bulk, valid } = tally.validated;
  const known = new Map([
    ['processed_count', processed],
    ['email_validation_count', single + bulk],
    ['email_validation_valid_count', valid],
    ['email_validation_single_count', single],
    ['email_validation_bulk_count', bulk],
    ['email_validation_mailgun_count', single + bulk],
  ]);
  return Object.fromEntries(names.map((name) => [name, known.get(name) ?? 0]));
}
