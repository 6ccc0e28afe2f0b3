/** Shapes of our own endpoints, for openapi.json. */
import { z } from 'zod';

export const messageQuery = z.object({
  recipient: z.string().optional(),
  limit: z.string().optional().describe('At most 300; 50 when absent'),
});

const recipient = z.object({
  address: z.string(),
  state: z.enum(['queued', 'leased', 'done', 'delivered', 'failed', 'expired', 'suppressed', 'cancelled', 'received']),
  attempts: z.number(),
  wait: z.string().optional().describe('Why it is not being tried now'),
  nextMs: z.number().optional().describe('When it is looked at next, Unix milliseconds'),
});

export const messageList = z.object({
  items: z.array(
    z.object({
      id: z.number(),
      messageId: z.string(),
      domain: z.string(),
      from: z.string(),
      to: z.string(),
      subject: z.string(),
      createdMs: z.number(),
      recipients: z.array(recipient),
    }),
  ),
});

export const timelineAnswer = z
  .object({
    id: z.number(),
    messageId: z.string(),
    domain: z.string(),
    sender: z.string(),
    subject: z.string(),
    createdMs: z.number(),
    recipients: z.array(
      z
        .object({
          address: z.string(),
          status: z.string(),
          attempts: z.number(),
          possibleDuplicate: z.boolean(),
          entries: z.array(z.object({ kind: z.enum(['wait', 'attempt', 'fact']), atMs: z.number() }).catchall(z.unknown())),
          next: z.object({ atMs: z.number(), reason: z.string(), text: z.string(), expiresAtMs: z.number() }).optional(),
        })
        .catchall(z.unknown()),
    ),
  })
  .catchall(z.unknown());

export const cancelled = z.object({ message: z.string(), cancelled: z.number() });

export const queueAnswer = z.object({
  queued: z.number(),
  leased: z.number(),
  lanes: z.array(z.object({ lane: z.string(), site: z.string(), source: z.string(), state: z.string() }).catchall(z.unknown())),
  domains: z.array(
    z.object({
      domain: z.string(),
      queued: z.number(),
      leased: z.number(),
      oldestMs: z.number(),
      nextDueAtMs: z.number(),
      wait: z.string(),
    }),
  ),
});

const captured = z.object({
  id: z.number(),
  atMs: z.number(),
  sender: z.string(),
  recipients: z.array(z.string()),
  sizeBytes: z.number(),
  subject: z.string(),
  from: z.string(),
});

export const sandboxQuery = z.object({ limit: z.string().optional(), before: z.string().optional().describe('Id; older ones follow') });
export const sandboxList = z.object({ items: z.array(captured) });

export const sandboxMessage = captured.extend({
  headers: z.array(z.array(z.string())),
  text: z.string().optional(),
  html: z.string().optional(),
  attachments: z.array(z.object({ number: z.number(), filename: z.string(), contentType: z.string(), sizeBytes: z.number() })),
  dkim: z.array(
    z.object({ domain: z.string(), selector: z.string(), algorithm: z.string(), result: z.string(), comment: z.string().optional() }),
  ),
});

export const cleared = z.object({ message: z.string(), deleted: z.number() });
