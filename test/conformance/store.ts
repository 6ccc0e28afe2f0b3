/**
 * What every driver of the store must do, as one suite: the tests call only `#store/store.ts`, so that a second driver passes the same ones or is not done.
 * `open` makes a new, empty store.
 */
import { describe } from 'node:test';
import { accountsConformance } from './store-accounts.ts';
import { accessConformance } from './store-access.ts';
import { alertsConformance } from './store-alerts.ts';
import { acceptConformance } from './store-accept.ts';
import { domainsConformance } from './store-domains.ts';
import { certificatesConformance } from './store-certificates.ts';
import { contentionConformance } from './store-contention.ts';
import { egressConformance } from './store-egress.ts';
import { eventsConformance } from './store-events.ts';
import { factsConformance } from './store-facts.ts';
import { grantsConformance } from './store-grants.ts';
import { lifeConformance } from './store-life.ts';
import { listsConformance } from './store-lists.ts';
import { nodesConformance } from './store-nodes.ts';
import { outboxConformance } from './store-outbox.ts';
import { outboxOrderConformance } from './store-outbox-order.ts';
import { pursesConformance } from './purses.ts';
import { receptionsConformance } from './store-receptions.ts';
import { postsConformance } from './store-posts.ts';
import { queueConformance } from './store-queue.ts';
import { reportsConformance } from './store-reports.ts';
import { retentionConformance } from './store-retention.ts';
import { rulesConformance } from './store-rules-of-accounts.ts';
import { scheduledConformance } from './store-scheduled.ts';
import { templatesConformance } from './store-templates.ts';
import { suppressionsConformance } from './store-suppressions.ts';
import { statsConformance } from './store-stats.ts';
import type { Open } from './tenant.ts';
import { validationsConformance } from './store-validations.ts';

export function storeConformance(name: string, open: Open): void {
  describe(`store on ${name}`, () => {
    accountsConformance(open);
    accessConformance(open);
    domainsConformance(open);
    egressConformance(open);
    acceptConformance(open);
    lifeConformance(open);
    queueConformance(open);
    scheduledConformance(open);
    eventsConformance(open);
    retentionConformance(open);
    nodesConformance(open);
    contentionConformance(open);
    outboxConformance(open);
    outboxOrderConformance(open);
    postsConformance(open);
    factsConformance(open);
    receptionsConformance(open);
    templatesConformance(open);
    rulesConformance(open);
    grantsConformance(open);
    statsConformance(open);
    suppressionsConformance(open);
    listsConformance(open);
    validationsConformance(open);
    alertsConformance(open);
    certificatesConformance(open);
    reportsConformance(open);
    pursesConformance(open);
  });
}
