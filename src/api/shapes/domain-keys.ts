/** Shapes of the DKIM key endpoints, for openapi.json. */
import { z } from 'zod';
import { record } from './domains.ts';

export const domainKey = z.object({ signing_domain: z.string(), selector: z.string(), dns_record: record });
export const domainKeyList = z.object({ items: z.array(domainKey) });

const page = z.string().describe('An absolute URL');
export const domainKeyPage = z.object({
  items: z.array(domainKey),
  paging: z.object({ previous: page, first: page, next: page, last: page }),
});

export const domainKeyQuery = z.object({
  page: z.string().optional(),
  limit: z.string().optional(),
  signing_domain: z.string().optional(),
  selector: z.string().optional(),
});

export const domainKeyForm = z.object({
  signing_domain: z.string(),
  selector: z.string(),
  bits: z.enum(['1024', '2048', '3072', '4096']).optional(),
  pem: z.string().optional().describe('An RSA private key; one is made when absent'),
});

export const domainKeyDelete = z.object({ signing_domain: z.string(), selector: z.string() });

export const domainKeyState = z.object({ message: z.string(), authority: z.string(), selector: z.string(), active: z.boolean() });

export const rotationForm = z.object({
  rotation_enabled: z.string(),
  rotation_interval: z.string().optional().describe('As 120d'),
});

export const rotationAnswer = z.object({
  domain: z.object({
    id: z.string(),
    account_id: z.string(),
    sid: z.string(),
    name: z.string(),
    state: z.string(),
    active_selector: z.string(),
    rotation_enabled: z.boolean(),
    rotation_interval: z.string().optional(),
    records: z.array(record.extend({ type: z.string(), identifier: z.string(), comment: z.string() })),
  }),
});
