/** Shapes of the sending endpoints, for openapi.json. The handlers read these forms field by field, because Mailgun's errors are exact. */
import { z } from 'zod';

const list = z.union([z.string(), z.array(z.string())]);
const yesNo = z.string().describe('yes or no; true, false, 1, 0, on and off are understood too');

const options = {
  'o:tag': list.optional().describe('Up to 3 tags of at most 128 ASCII characters; more are dropped'),
  'o:dkim': yesNo.optional(),
  'o:secondary-dkim': z.string().optional().describe('signing_domain/selector'),
  'o:secondary-dkim-public': z.string().optional(),
  'o:deliverytime': z.string().optional().describe('RFC 2822 date or Unix time'),
  'o:deliver-within': z.string().optional().describe('From 5m to 24h, such as 1h30m'),
  'o:deliverytime-optimize-period': z.string().optional(),
  'o:time-zone-localize': z.string().optional(),
  'o:testmode': yesNo.optional().describe('Events happen, delivery does not'),
  'o:tracking': z.string().optional().describe('yes, no or htmlonly'),
  'o:tracking-clicks': z.string().optional(),
  'o:tracking-opens': z.string().optional(),
  'o:tracking-pixel-location-top': z.string().optional(),
  'o:tracking-unsubscribe': z.string().optional().describe('yes or no: footers and header fields to unsubscribe'),
  'o:require-tls': yesNo.optional(),
  'o:skip-verification': yesNo.optional(),
  'o:sending-ip': z.string().optional(),
  'o:sending-ip-pool': z.string().optional(),
  'o:archive-to': z.string().optional(),
  'o:suppress-headers': z.string().optional(),
  template: z.string().optional(),
  't:version': z.string().optional(),
  't:variables': z.string().optional().describe('JSON object'),
  't:text': yesNo.optional(),
  'recipient-variables': z
    .string()
    .optional()
    .describe('JSON: {"address": {"key": "value"}}; its presence makes one message per recipient'),
};

const file = z.string().meta({ format: 'binary' });

export const messageForm = z
  .object({
    from: list,
    to: list,
    cc: list.optional(),
    bcc: list.optional(),
    subject: z.string().optional(),
    text: z.string().optional(),
    html: z.string().optional(),
    'amp-html': z.string().optional(),
    attachment: z.union([file, z.array(file)]).optional(),
    inline: z
      .union([file, z.array(file)])
      .optional()
      .describe('Its Content-ID is its file name'),
    ...options,
  })
  .describe('Also h:NAME for headers and v:NAME for variables. All o:, h:, v: and t: parameters together: 16 kB.');

export const mimeForm = z.object({ to: list, message: file, ...options });

export const queuedAnswer = z.object({
  id: z.string().describe('Message-ID with angle brackets'),
  message: z.string(),
});

export const resendForm = z.object({ to: list });

export const storedMessage = z
  .object({
    sender: z.string(),
    recipients: z.string(),
    from: z.string(),
    subject: z.string(),
    'body-plain': z.string().optional(),
    'body-html': z.string().optional(),
    'body-mime': z.string().optional().describe('With Accept: message/rfc2822'),
    'message-headers': z.array(z.array(z.string())).optional(),
    attachments: z.array(z.object({ url: z.string(), 'content-type': z.string(), name: z.string(), size: z.number() })).optional(),
    'content-id-map': z.record(z.string(), z.unknown()).optional(),
  })
  .catchall(z.unknown());
