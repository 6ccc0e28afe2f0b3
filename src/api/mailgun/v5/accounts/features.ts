/**
 * PUT /v5/accounts/features: what the account wants, and what it may do. An account decides for itself; a parent that acts for a subaccount (X-Mailgun-On-Behalf-Of) decides for that,
 * and the subaccount's own keys do not change what its parent decided.
 */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { NotFound } from '#api/conventions/errors.ts';
import { featuresGiven, featuresJson, OWN_FEATURES, SUBACCOUNT_FEATURES } from '#api/conventions/features.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { accountFeaturesAnswer, accountFeaturesForm } from '#api/shapes/access.ts';

export function accountFeatures(door: Door): Endpoint[] {
  return [
    {
      method: 'PUT',
      url: '/v5/accounts/features',
      summary: 'What the account wants and may do',
      right: 'administer',
      form: accountFeaturesForm,
      answer: accountFeaturesAnswer,
      handle: (call) => update(door, call),
    },
  ];
}

async function update(door: Door, call: Call): Promise<Answer> {
  const { accountId, parentId } = call.principal;
  const standing = await door.deps.accounts.standingOf(accountId);
  const isDecided = standing?.parentId !== undefined && parentId === undefined;
  const names = isDecided ? OWN_FEATURES : [...OWN_FEATURES, ...SUBACCOUNT_FEATURES];
  const facts = await door.deps.accounts.changeAccount(accountId, { features: featuresGiven(door, call, names) });
  if (facts === undefined) throw new NotFound('Not Found');
  return json({ features: featuresJson(facts, [...OWN_FEATURES, ...SUBACCOUNT_FEATURES]) });
}
