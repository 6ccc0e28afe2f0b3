/** Shapes of the domain and credential endpoints, for openapi.json. */
import { z } from 'zod';

const domain = z.object({
  created_at: z.string(),
  id: z.string(),
  is_disabled: z.boolean(),
  name: z.string(),
  require_tls: z.boolean(),
  skip_verification: z.boolean(),
  smtp_login: z.string(),
  spam_action: z.string(),
  state: z.enum(['unverified', 'active', 'disabled']),
  type: z.enum(['custom', 'sandbox']),
  use_automatic_sender_security: z.boolean(),
  web_prefix: z.string(),
  web_scheme: z.string(),
  wildcard: z.boolean(),
  tracking_host: z.string(),
  encrypt_incoming_message: z.boolean(),
  message_ttl: z.number(),
  archive_to: z.string().optional(),
  mailfrom_host: z.string().optional(),
  zero_content: z.boolean().optional(),
  disabled: z.object({ code: z.string(), note: z.string(), permanently: z.boolean(), reason: z.string() }).optional(),
});

export const record = z.object({
  is_active: z.boolean(),
  cached: z.array(z.string()),
  name: z.string().optional(),
  priority: z.string().optional(),
  record_type: z.string(),
  valid: z.enum(['unknown', 'valid', 'invalid']),
  value: z.string(),
});

export const domainQuery = z.object({
  limit: z.string().optional(),
  skip: z.string().optional(),
  state: z.string().optional(),
  search: z.string().optional(),
  sort: z.string().optional().describe('name, state, type or created_at, with :asc or :desc'),
  authority: z.string().optional().describe('Only domains that are signed with the keys of this one'),
  include_subaccounts: z.string().optional(),
});

const yesOrNo = z.string().optional().describe('yes or no');
const chosen = {
  smtp_password: z.string().optional().describe('Makes the login postmaster@name'),
  require_tls: yesOrNo,
  skip_verification: yesOrNo,
  spam_action: z.enum(['disabled', 'block', 'tag']).optional(),
  wildcard: yesOrNo,
  web_scheme: z.enum(['http', 'https']).optional(),
  web_prefix: z.string().optional(),
  mailfrom_host: z.string().optional(),
  archive_to: z.string().optional().describe('Copies of delivered mail are posted to this URL'),
  encrypt_incoming_message: yesOrNo,
  use_automatic_sender_security: yesOrNo,
  message_ttl: z.string().optional().describe('Seconds that contents are kept once a message is settled; 0: as the installation does'),
  zero_content: z.string().optional().describe('yes: no content is kept once a message is settled'),
};

export const domainChange = z.object(chosen);

export const domainForm = z.object({
  name: z.string(),
  ...chosen,
  dkim_selector: z.string().optional(),
  dkim_key_size: z.enum(['1024', '2048', '3072', '4096']).optional(),
  ips: z.string().optional().describe('Addresses that the mail of the domain leaves from, with commas'),
  pool_id: z.string().optional(),
});

export const domainList = z.object({ total_count: z.number(), items: z.array(domain) });

export const domainAnswer = z.object({
  message: z.string().optional(),
  domain,
  receiving_dns_records: z.array(record),
  sending_dns_records: z.array(record),
});

const connectionFacts = { require_tls: z.boolean(), skip_verification: z.boolean() };
export const connectionForm = z.object({ require_tls: z.string().optional(), skip_verification: z.string().optional() });
export const connectionAnswer = z.object({
  message: z.string().optional(),
  ...connectionFacts,
  connection: z.object(connectionFacts),
});

export const trackingForm = {
  open: z.object({ active: z.string().optional(), place_at_the_top: z.string().optional() }),
  click: z.object({
    active: z.string().optional().describe('yes, no or htmlonly'),
    utm: z.string().optional().describe('Ours: parameters that counted links get, such as utm_source=news&utm_medium=email'),
  }),
  unsubscribe: z.object({ active: z.string().optional(), html_footer: z.string().optional(), text_footer: z.string().optional() }),
};
export const trackingAnswer = z.object({
  tracking: z.object({
    open: z.object({ active: z.boolean(), place_at_the_top: z.boolean() }),
    click: z.object({ active: z.union([z.boolean(), z.literal('htmlonly')]), utm: z.string().optional() }),
    unsubscribe: z.object({ active: z.boolean(), html_footer: z.string(), text_footer: z.string() }),
    web_scheme: z.string(),
  }),
});

export const webPrefixForm = z.object({ web_prefix: z.string() });
export const dkimAuthorityForm = z.object({ self: z.string() });
export const dkimAuthorityAnswer = z.object({ message: z.string(), sending_dns_records: z.array(record), changed: z.boolean() });
export const dkimSelectorForm = z.object({ dkim_selector: z.string() });

const queue = z.object({ is_disabled: z.boolean(), disabled: z.object({ reason: z.string() }) });
export const sendingQueues = z.object({ regular: queue, scheduled: queue });

export const credentialForm = z.object({
  login: z.string(),
  mailbox: z.string().optional().describe('Another name of login'),
  password: z.string().optional().describe('5 to 32 characters; made here when absent'),
  system: z.string().optional().describe('yes: it is deleted only with its domain'),
});

export const credentialChange = z.object({
  password: z.string().optional().describe('5 to 32 characters; made here when neither it nor `disabled` is given'),
  disabled: z.string().optional().describe('yes: nobody logs in with it, and open connections send no more. no: undoes that'),
});

export const credentialList = z.object({
  items: z.array(
    z.object({
      created_at: z.string(),
      login: z.string(),
      mailbox: z.string(),
      size_bytes: z.null(),
      disabled: z.boolean().optional().describe('Only of those that are switched off'),
    }),
  ),
  total_count: z.number(),
});

export const credentialMade = z.object({
  message: z.string(),
  note: z.string().optional(),
  credentials: z.record(z.string(), z.string()).optional(),
});
