/**
 * Paths of the hosted service that belong to what is not offered here. A client that asks for them learns why, and what to use instead; they are not
 * part of openapi.json. A key is asked for first, as everywhere.
 */
import { json } from '#api/conventions/answer.ts';
import type { Endpoint } from '#api/endpoint.ts';

interface Refusal {
  readonly paths: readonly string[];
  readonly status: 403 | 404;
  readonly message: string;
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const satisfies readonly Endpoint['method'][];

const below = (...paths: readonly string[]): string[] => paths.flatMap((path) => [path, `${path}/*`]);

const REFUSALS: readonly Refusal[] = [
  {
    paths: ['/v4/inbox/*'],
    status: 404,
    message: 'Inbox placement is not offered: it needs mailboxes at every provider',
  },
  {
    paths: below('/v1/preview/tests', '/v2/preview/tests', '/v1/inspect'),
    status: 404,
    message: 'Previews and inspection of content are not offered',
  },
  {
    paths: below(
      '/v1/inboxready',
      '/v1/monitoring',
      '/v1/dmarc',
      '/v1/reputationanalytics',
      '/v1/maverick-score',
      '/v2/spamtraps',
      '/v3/domains/:domain/blocklists',
    ),
    status: 404,
    message: 'Monitoring of reputation is not offered: it rests on data that others collect',
  },
  {
    paths: ['/v3/ips/request/new', '/v3/ips/:ip/ip_band'],
    status: 403,
    message: 'Addresses cannot be ordered here: those that mail leaves from are named in the configuration (delivery.sources)',
  },
  {
    paths: ['/v5/accounts/resend_activation_email'],
    status: 403,
    message: 'Accounts need no activation here',
  },
  {
    paths: below('/v1/bounce-classification'),
    status: 404,
    message: 'This version of bounce classification is not offered; use POST /v2/bounce-classification/metrics',
  },
  {
    paths: ['/v3/lists/:address/validate', ...below('/v4/address/validate/preview')],
    status: 404,
    message: 'Addresses are validated one by one (GET /v4/address/validate) or as a list (POST /v4/address/validate/bulk/{id}) here',
  },
  {
    paths: below('/v3/exports'),
    status: 404,
    message: 'Exports are not offered; use POST /v1/analytics/logs or GET /v3/{domain}/events',
  },
  {
    paths: below('/v3/:domain/mailboxes'),
    status: 404,
    message: 'Mailboxes are not offered; logins for SMTP are under /v3/domains/{domain}/credentials',
  },
  {
    paths: below('/v1/alerts/slack'),
    status: 404,
    message: 'Slack is not offered for alerts; use a webhook or an address',
  },
];

export function notOffered(): Endpoint[] {
  return REFUSALS.flatMap(({ paths, status, message }) =>
    paths.flatMap((url) =>
      METHODS.map((method): Endpoint => ({ method, url, summary: message, right: 'read', handle: () => json({ message }, status) })),
    ),
  );
}
