/** Every endpoint of the API, in one list: what is mounted is what openapi.json describes. */
import type { Door, Endpoint } from './endpoint.ts';
import { analyticsLogs } from './mailgun/v1/analytics/logs.ts';
import { analyticsMetrics } from './mailgun/v1/analytics/metrics.ts';
import { analyticsTags } from './mailgun/v1/analytics/tags.ts';
import { bounceClassification } from './mailgun/v2/bounce-classification.ts';
import { domainAggregates } from './mailgun/v3/_domain/aggregates.ts';
import { domainStats } from './mailgun/v3/_domain/stats.ts';
import { tags } from './mailgun/v3/_domain/tags.ts';
import { tagFacets } from './mailgun/v3/domains/_domain/tag-facets.ts';
import { accountStats } from './mailgun/v3/stats.ts';
import { bounces } from './mailgun/v3/_domain/bounces.ts';
import { complaints } from './mailgun/v3/_domain/complaints.ts';
import { deleteEnvelopes } from './mailgun/v3/_domain/envelopes.ts';
import { eventsPage, listEvents } from './mailgun/v3/_domain/events.ts';
import { sendMime } from './mailgun/v3/_domain/messages-mime.ts';
import { sendMessage } from './mailgun/v3/_domain/messages.ts';
import { templates } from './mailgun/v3/_domain/templates.ts';
import { unsubscribes } from './mailgun/v3/_domain/unsubscribes.ts';
import { alerts } from './mailgun/v1/alerts.ts';
import { dkimKeys } from './mailgun/v1/dkim-keys.ts';
import { dkimManagement } from './mailgun/v1/dkim-management.ts';
import { connection } from './mailgun/v3/domains/_domain/connection.ts';
import { whitelists } from './mailgun/v3/_domain/whitelists.ts';
import { credentials } from './mailgun/v3/domains/_domain/credentials.ts';
import { storedMessages } from './mailgun/v3/domains/_domain/messages.ts';
import { sendingQueueStatus } from './mailgun/v3/domains/_domain/sending-queues.ts';
import { dynamicPoolDomains } from './mailgun/v1/dynamic-pools.ts';
import { keys } from './mailgun/v1/keys.ts';
import { domainWebhooks } from './mailgun/v3/domains/_domain/webhooks.ts';
import { forwards } from './mailgun/v3/forwards.ts';
import { routes } from './mailgun/v3/routes.ts';
import { thresholds } from './mailgun/v1/thresholds/thresholds.ts';
import { accountWebhooks } from './mailgun/v1/webhooks.ts';
import { domainWebhooksByUrl } from './mailgun/v4/domains/_domain/webhooks.ts';
import { domainDkim } from './mailgun/v3/domains/_domain/dkim.ts';
import { tracking } from './mailgun/v3/domains/_domain/tracking.ts';
import { webPrefix } from './mailgun/v3/domains/_domain/web-prefix.ts';
import { domainIps } from './mailgun/v3/domains/_domain/ips.ts';
import { ipPoolDelegation } from './mailgun/v3/ip-pool-delegation.ts';
import { ipPools } from './mailgun/v3/ip-pools.ts';
import { dynamicPools } from './mailgun/v3/dynamic-pools.ts';
import { ipWarmups } from './mailgun/v3/ip-warmups.ts';
import { ips } from './mailgun/v3/ips.ts';
import { domainKeys } from './mailgun/v4/domain-keys.ts';
import { domains } from './mailgun/v4/domains.ts';
import { ipWhitelist } from './mailgun/v2/ip-whitelist.ts';
import { x509 } from './mailgun/v2/x509.ts';
import { account } from './mailgun/v5/accounts/account.ts';
import { accountFeatures } from './mailgun/v5/accounts/features.ts';
import { customLimits } from './mailgun/v5/accounts/limit.ts';
import { subaccounts } from './mailgun/v5/accounts/subaccounts.ts';
import { authRecipients } from './mailgun/v5/sandbox/auth-recipients.ts';
import { users } from './mailgun/v5/users.ts';
import { httpSigningKey } from './mailgun/v5/accounts/http-signing-key.ts';
import { bulkValidation } from './mailgun/v4/address-bulk.ts';
import { addressValidation } from './mailgun/v4/address.ts';
import { accountTemplateEndpoints } from './mailgun/v4/templates.ts';
import { listMembers } from './mailgun/v3/lists/members.ts';
import { lists } from './mailgun/v3/lists.ts';
import { domainReports } from './v1/domain-reports.ts';
import { imports } from './v1/imports.ts';
import { messages } from './v1/messages.ts';
import { nodes } from './v1/nodes.ts';
import { queue } from './v1/queue.ts';
import { scheduled } from './v1/scheduled.ts';
import { webhookEndpoints } from './v1/webhook-endpoints.ts';
import { webhookPosts } from './v1/webhook-posts.ts';
import { sandboxMessages } from './v1/sandbox/messages.ts';

export function endpoints(door: Door): Endpoint[] {
  return [
    sendMessage(door),
    sendMime(door),
    listEvents(door),
    eventsPage(door),
    analyticsLogs(door),
    ...analyticsMetrics(door),
    ...analyticsTags(door),
    bounceClassification(door),
    ...accountStats(door),
    ...domainStats(door),
    ...domainAggregates(door),
    ...tags(door),
    ...tagFacets(door),
    deleteEnvelopes(door),
    ...bounces(door),
    ...unsubscribes(door),
    ...complaints(door),
    ...whitelists(door),
    ...imports(door),
    ...lists(door),
    ...listMembers(door),
    ...templates(door),
    ...accountTemplateEndpoints(door),
    ...domainWebhooks(door),
    ...domainWebhooksByUrl(door),
    ...accountWebhooks(door),
    ...routes(door),
    ...forwards(door),
    ...thresholds(door),
    ...alerts(door),
    ...storedMessages(door),
    sendingQueueStatus(door),
    ...credentials(door),
    ...domains(door),
    ...keys(door),
    ...httpSigningKey(door),
    ...account(door),
    ...accountFeatures(door),
    ...customLimits(door),
    ...subaccounts(door),
    ...authRecipients(door),
    ...users(door),
    ...ipWhitelist(door),
    ...connection(door),
    ...tracking(door),
    webPrefix(door),
    ...x509(door),
    ...domainDkim(door),
    ...domainKeys(door),
    ...dkimKeys(door),
    ...dkimManagement(door),
    ...domainIps(door),
    ...ips(door),
    ...ipWarmups(door),
    ...dynamicPools(door),
    ...dynamicPoolDomains(door),
    ...ipPools(door),
    ...ipPoolDelegation(door),
    ...addressValidation(door),
    ...bulkValidation(door),
    ...domainReports(door),
    ...messages(door),
    ...scheduled(door),
    queue(door),
    ...nodes(door),
    ...webhookPosts(door),
    webhookEndpoints(door),
    ...sandboxMessages(door),
  ];
}
