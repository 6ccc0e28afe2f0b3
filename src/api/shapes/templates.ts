/** Shapes of the template endpoints, for openapi.json. */
import { z } from 'zod';

const version = z.object({
  tag: z.string(),
  template: z.string().optional(),
  engine: z.string(),
  mjml: z.string(),
  createdAt: z.string(),
  comment: z.string(),
  active: z.boolean(),
  id: z.string(),
  headers: z.record(z.string(), z.string()).optional(),
});

const template = z.object({
  name: z.string(),
  description: z.string(),
  createdAt: z.string(),
  createdBy: z.string(),
  id: z.string(),
  version: version.optional(),
});

export const versionForm = z.object({
  template: z.string().describe('Handlebars source, at most 100 KB'),
  tag: z.string(),
  comment: z.string().optional(),
  active: z.string().optional().describe('yes: from now on this is the version that is sent'),
  headers: z.string().optional().describe('JSON object with From, Subject, Reply-To'),
  engine: z.string().optional(),
});

export const templateForm = z.object({
  name: z.string(),
  description: z.string().optional(),
  template: z.string().optional(),
  tag: z.string().optional(),
  comment: z.string().optional(),
  headers: z.string().optional(),
  engine: z.string().optional(),
});

export const templateAnswer = z.object({ message: z.string().optional(), template });

export const templateList = z.object({
  items: z.array(template),
  paging: z.object({ first: z.string(), last: z.string(), next: z.string(), previous: z.string() }),
});
