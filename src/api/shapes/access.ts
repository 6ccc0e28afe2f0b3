/** Shapes of the endpoints about who may come in, for openapi.json. */
import { z } from 'zod';

const key = z.object({
  id: z.string(),
  description: z.string(),
  kind: z.enum(['domain', 'user', 'web']),
  role: z.enum(['admin', 'basic', 'developer', 'sending']),
  created_at: z.string(),
  updated_at: z.string(),
  expires_at: z.string().optional(),
  last_used_at: z.string().optional().describe('To the minute'),
  is_disabled: z.boolean(),
  disabled_reason: z.string().optional(),
  domain_name: z.string().nullable(),
  requestor: z.string().nullable(),
  user_name: z.string().nullable(),
});

export const keyQuery = z.object({ domain_name: z.string().optional(), kind: z.enum(['domain', 'user', 'web']).optional() });

export const keyForm = z.object({
  role: z.enum(['admin', 'basic', 'developer', 'sending']),
  kind: z.enum(['domain', 'user', 'web']).optional().describe('domain when domain_name is given, else user; web ends after a day'),
  domain_name: z.string().optional(),
  description: z.string().optional(),
  expiration: z.string().optional().describe('Seconds until it ends; 0: never'),
  user_id: z.string().optional().describe('Whose key it is: it ends with them'),
  user_name: z.string().optional(),
  email: z.string().optional(),
});

export const keyList = z.object({ total_count: z.number(), items: z.array(key) });
export const keyMade = z.object({ message: z.string(), key: key.extend({ secret: z.string() }) });
export const publicKeyMade = z.object({ key: z.string(), message: z.string() });

export const signingKey = z.object({ message: z.string(), http_signing_key: z.string() });
export const credentialsGone = z.object({ message: z.string(), count: z.number() });

export const accountQuery = z.object({
  name: z.string().optional(),
  inactive_session_timeout: z.string().optional().describe('Seconds'),
  absolute_session_timeout: z.string().optional().describe('Seconds'),
  logout_redirect_url: z.string().optional(),
});

const feature = z.object({ enabled: z.boolean() });
const features = z.object({
  email_preview: feature,
  inbox_placement: feature,
  sending: feature,
  validations: feature,
  validations_bulk: feature,
});
const subaccount = z.object({
  id: z.string(),
  name: z.string(),
  status: z.enum(['open', 'disabled', 'closed']),
  created_at: z.string(),
  updated_at: z.string(),
  features,
});
export const subaccountOne = z.object({ subaccount });
export const subaccountList = z.object({ subaccounts: z.array(subaccount), total: z.number() });
export const subaccountQuery = z.object({
  sort: z.enum(['asc', 'desc']).optional().describe('By name'),
  filter: z.string().optional().describe('Part of the name'),
  limit: z.string().optional(),
  skip: z.string().optional(),
  enabled: z.string().optional(),
  closed: z.string().optional().describe('Closed ones instead of the others'),
});
export const subaccountForm = z.object({ name: z.string() });
export const disableQuery = z.object({ reason: z.string().optional(), note: z.string().optional() });
export const featuresForm = z.object({
  email_preview: z.string().optional().describe('JSON: {"enabled": true}; likewise below'),
  inbox_placement: z.string().optional(),
  sending: z.string().optional().describe('Without it nothing is accepted from the account'),
  validations: z.string().optional().describe('Without it no address is validated for the account'),
  validations_bulk: z.string().optional(),
});
export const featuresAnswer = z.object({ features });
export const accountFeaturesForm = featuresForm.extend({
  webhooks_redact_pii: z.string().optional(),
  ai_insights: z.string().optional(),
});
export const accountFeaturesAnswer = z.object({ features: features.extend({ webhooks_redact_pii: feature, ai_insights: feature }) });

export const limitQuery = z.object({ limit: z.string().describe('Recipients in a month of the calendar (UTC), at least 1000') });
export const limitAnswer = z.object({ limit: z.number(), current: z.number(), period: z.string() });
export const success = z.object({ success: z.boolean() });

export const networkForm = z.object({
  address: z.string().describe('An address or a network in CIDR notation'),
  description: z.string().optional(),
});
export const networkQuery = z.object({ address: z.string() });
export const networkList = z.object({ addresses: z.array(z.object({ ip_address: z.string(), description: z.string() })) });

const recipient = z.object({ email: z.string(), activated: z.boolean() });
export const authRecipientQuery = z.object({ email: z.string() });
export const authRecipientList = z.object({ recipients: z.array(recipient) });
export const authRecipientAdded = z.object({ recipient });

export const user = z.object({
  id: z.string(),
  activated: z.boolean(),
  name: z.string(),
  is_disabled: z.boolean(),
  email: z.string(),
  email_details: z.object({
    address: z.string(),
    is_valid: z.boolean(),
    reason: z.string(),
    parts: z.object({ domain: z.string(), local_part: z.string(), display_name: z.string() }),
  }),
  role: z.enum(['admin', 'basic', 'developer']),
  account_id: z.string(),
  opened_ip: z.string(),
  is_master: z.boolean(),
  metadata: z.object({}),
  tfa_enabled: z.boolean(),
  tfa_active: z.boolean(),
  preferences: z.object({ time_zone: z.string(), time_format: z.string(), programming_language: z.string() }),
  auth: z.object({ method: z.string() }),
  migration_status: z.string(),
});
export const userQuery = z.object({ role: z.string().optional(), limit: z.string().optional(), skip: z.string().optional() });
export const userList = z.object({ users: z.array(user), total: z.number() });
