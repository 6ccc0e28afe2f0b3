/** What an account may do, switched on and off one by one: `{"enabled": true}` under each name, as text in a form or as it is in JSON. */
import { AppError, badParameter } from '#model/errors.ts';
import type { AccountFacts, Features } from '#store/access-store.ts';
import type { Call, Door } from '#api/endpoint.ts';
import { readBoolean } from './booleans.ts';
import { fieldOf } from './fields.ts';
import { parseJson } from './json.ts';

/** What a parent decides for its subaccounts. All are on for an account that nothing was said of. */
export const SUBACCOUNT_FEATURES = ['email_preview', 'inbox_placement', 'sending', 'validations', 'validations_bulk'] as const;

/** What an account decides for itself; off when nothing was said. */
export const OWN_FEATURES = ['webhooks_redact_pii', 'ai_insights'] as const;

export function featuresGiven(door: Door, call: Call, names: readonly string[]): Record<string, boolean> {
  const change: Record<string, boolean> = {};
  for (const name of names) {
    const isEnabled = enabledOf(door, call, name);
    if (isEnabled !== undefined) change[name] = isEnabled;
  }
  if (Object.keys(change).length === 0) throw badParameter('No valid updates provided');
  return change;
}

export function featuresJson({ features }: AccountFacts, names: readonly string[]): Record<string, { readonly enabled: boolean }> {
  return Object.fromEntries(names.map((name) => [name, { enabled: isOn(features, name) }]));
}

function isOn(features: Features, name: string): boolean {
  return features[name] ?? !(OWN_FEATURES as readonly string[]).includes(name);
}

/** Throws AppError 'feature-disabled'. */
export async function assertFeature(door: Door, { principal }: Call, name: (typeof SUBACCOUNT_FEATURES)[number]): Promise<void> {
  const standing = await door.deps.accounts.standingOf(principal.accountId);
  if (!isOn(standing?.features ?? {}, name)) throw new AppError('feature-disabled', { feature: name });
}

function enabledOf(door: Door, call: Call, name: string): boolean | undefined {
  const body = call.body.json;
  const isInJson = typeof body === 'object' && body !== null && Object.hasOwn(body, name);
  const text = isInJson ? undefined : fieldOf(call, name);
  if (!isInJson && text === undefined) return undefined;
  const given = isInJson ? (body as Readonly<Record<string, unknown>>)[name] : text;
  const value = typeof given === 'string' ? (parseJson(given, door.limits) ?? readBoolean(given)) : given;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, 'enabled')) {
    const { enabled } = value as { readonly enabled: unknown };
    if (typeof enabled === 'boolean') return enabled;
  }
  throw badParameter(`'${name}' parameter looks like {"enabled": true}`);
}
