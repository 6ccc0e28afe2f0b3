/** openapi.json, made from the endpoints themselves: their paths, rights and zod shapes. Pure: the same endpoints give the same text. */
import { z } from 'zod';
import type { Endpoint } from './endpoint.ts';

type Json = Record<string, unknown>;

export function openApi(endpoints: readonly Endpoint[]): Json {
  const paths: Record<string, Json> = {};
  for (const endpoint of endpoints) {
    const path = endpoint.url.replace(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[endpoint.method.toLowerCase()] = operation(endpoint);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Postrider',
      version: '1',
      description: 'Send mail and see what happened to it. Paths under /v3 and /v4 are those of the Mailgun API; /v1 is our own.',
    },
    security: [{ key: [] }],
    paths,
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'basic', description: 'User "api", the key as the password' } },
      schemas: { Error: { type: 'object', required: ['message'], properties: { message: { type: 'string' } } } },
    },
  };
}

function operation(endpoint: Endpoint): Json {
  const inPath = [...endpoint.url.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = endpoint.query === undefined ? [] : queryParameters(schemaOf(endpoint.query));
  return {
    summary: endpoint.summary,
    ...(inPath.length + inQuery.length > 0 && { parameters: [...inPath, ...inQuery] }),
    ...(endpoint.form !== undefined && { requestBody: requestBody(schemaOf(endpoint.form)) }),
    ...(endpoint.json !== undefined && {
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(endpoint.json) } } },
    }),
    responses: {
      200: {
        description: 'Done',
        ...(endpoint.answer !== undefined && { content: { 'application/json': { schema: schemaOf(endpoint.answer) } } }),
      },
      401: { description: 'The text "Forbidden"', content: { 'text/plain': { schema: { type: 'string' } } } },
      default: { description: 'What is wrong', content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } },
    },
  };
}

function queryParameters(schema: Json): Json[] {
  const properties = (schema['properties'] ?? {}) as Record<string, Json>;
  const required = (schema['required'] ?? []) as readonly string[];
  return Object.entries(properties).map(([name, { description, ...rest }]) => ({
    name,
    in: 'query',
    ...(required.includes(name) && { required: true }),
    ...(description !== undefined && { description }),
    schema: rest,
  }));
}

function requestBody(schema: Json): Json {
  return { required: true, content: { 'multipart/form-data': { schema }, 'application/x-www-form-urlencoded': { schema } } };
}

function schemaOf(type: z.ZodType): Json {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(type, { io: 'input' }) as Json;
  return schema;
}
