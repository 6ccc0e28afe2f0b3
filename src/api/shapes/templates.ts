/** Shapes of the template endpoints, for openapi.json. */
import { z } from 'zod';

const listed = {
  tag: z.string(),
  engine: z.string(),
  mjml: z.string(),
  createdAt: z.string(),
  comment: z.string(),
  active: z.boolean(),
  id: z.string(),
};

const version = z.object({ ...listed, template: z.string(), headers: z.record(z.string(), z.string()).optional() });

const facts = {
  name: z.string(),
  description: z.string(),
  createdAt: z.string(),
  createdBy: z.string(),
  id: z.string(),
};

const paging = z.object({ first: z.string(), last: z.string(), next: z.string(), previous: z.string() });

export const pageQuery = z.object({
  page: z.string().optional().describe('next, previous or last'),
  limit: z.string().optional().describe('100 unless it says otherwise'),
  p: z.string().optional().describe('The name that the page comes after or before'),
});

export const activeQuery = z.object({
  active: z.string().optional().describe('yes: with the version that is sent'),
  version_name: z.string().optional().describe('The tag of a version: with that one'),
});
export const copyQuery = z.object({ comment: z.string().optional() });

const headers = z.string().optional().describe('JSON object with From, Subject, Reply-To');
const active = z.string().optional().describe('yes: from now on this is the version that is sent');
const source = z.string().describe('Handlebars source, at most 100 KB');

export const versionForm = z.object({
  template: source,
  tag: z.string(),
  comment: z.string().optional(),
  active,
  headers,
  engine: z.string().optional(),
});

export const versionChangeForm = z.object({ template: source.optional(), comment: z.string().optional(), active, headers });

export const templateForm = z.object({
  name: z.string(),
  description: z.string().optional(),
  createdBy: z.string().optional(),
  template: source.optional(),
  tag: z.string().optional().describe('Of the first version; initial unless it says otherwise'),
  comment: z.string().optional(),
  headers,
  engine: z.string().optional(),
});

export const describeForm = z.object({ description: z.string() });

export const templateAnswer = z.object({
  message: z.string().optional(),
  template: z.object({ ...facts, version: version.optional() }),
});

export const templateNamed = z.object({ message: z.string(), template: z.object({ name: z.string() }) });

export const versionNamed = z.object({
  message: z.string(),
  template: z.object({ name: z.string(), version: z.object({ tag: z.string() }) }),
});

export const versionCopied = z.object({ message: z.string(), version, template: version });

export const versionList = z.object({ template: z.object({ ...facts, versions: z.array(z.object(listed)) }), paging });

export const templateList = z.object({ items: z.array(z.object(facts)), paging });
