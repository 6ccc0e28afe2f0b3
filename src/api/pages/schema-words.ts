/** A JSON schema as people read it: its type in a few words, its fields as rows, and an example of it. The schemas are ours (openapi.json); what they nest is bounded all the same. */

export type Schema = Readonly<Record<string, unknown>>;

export interface FieldRow {
  /** With dots for what is inside, `[]` for each of a list. */
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly description: string;
}

const DEPTH_MAX = 6;
const ROWS_MAX = 200;

export function typeOf(schema: Schema): string {
  const words = listOf(schema['enum']).map((value) => JSON.stringify(value));
  if (words.length > 0) return words.join(' | ');
  if ('const' in schema) return JSON.stringify(schema['const']);
  const choices = choicesOf(schema);
  if (choices.length > 0) return [...new Set(choices.map(typeOf))].join(' or ');
  if (schema['type'] === 'array') return `list of ${plural(typeOf(schemaAt(schema, 'items')))}`;
  if (schema['type'] === 'object') return 'object';
  return typeof schema['type'] === 'string' ? schema['type'] : 'anything';
}

function plural(type: string): string {
  return /^[a-z]+$/.test(type) && type !== 'anything' ? `${type}s` : type;
}

/** What an object has, and what is inside of that. */
export function fieldsOf(schema: Schema): FieldRow[] {
  const rows: FieldRow[] = [];
  gather(schema, '', rows, 0);
  return rows.slice(0, ROWS_MAX);
}

function gather(schema: Schema, prefix: string, rows: FieldRow[], depth: number): void {
  if (depth >= DEPTH_MAX || rows.length >= ROWS_MAX) return;
  const required = listOf(schema['required']);
  for (const [name, given] of Object.entries(schemaAt(schema, 'properties'))) {
    const field = given as Schema;
    const full = prefix + name;
    rows.push({ name: full, type: typeOf(field), isRequired: required.includes(name), description: String(field['description'] ?? '') });
    gather(field, `${full}.`, rows, depth + 1);
  }
  if (schema['type'] === 'array')
    gather(schemaAt(schema, 'items'), `${prefix.replace(/\.$/, '')}[].`.replace(/^\[\]\./, '[].'), rows, depth);
  for (const choice of choicesOf(schema)) gather(choice, prefix, rows, depth + 1);
}

/** Values that a reader recognises, by the last part of a name. */
const KNOWN: readonly (readonly [name: RegExp, value: string])[] = [
  [/^(?:address|recipient|recipients|to|email|member)$/, 'alice@example.com'],
  [/^(?:from|sender)$/, 'Shop <shop@mail.example.org>'],
  [/^(?:domain|domains|name|signing_domain)$/, 'mail.example.org'],
  [/^(?:subject)$/, 'Your receipt'],
  [/^(?:text)$/, 'Thank you.'],
  [/^expression$/, 'catch_all()'],
  [/^actions?$/, 'stop()'],
  [/^(?:html)$/, '<p>Thank you.</p>'],
  [/(?:url|urls|next|previous|first|last)$/, 'https://example.com/hook'],
  [/(?:_at|deliverytime|^at|begin|end|start|date|^since)$/, 'Tue, 24 Nov 2026 09:00:00 GMT'],
  [/^(?:ip|ips|ip_address)$/, '192.0.2.10'],
  [/^(?:tag|tags|o:tag)$/, 'receipts'],
  [/(?:id|key|token)$/i, '4b1f9c'],
];

export function exampleOf(schema: Schema, name = '', depth = 0): unknown {
  if (depth > DEPTH_MAX) return null;
  const [word] = listOf(schema['enum']);
  if (word !== undefined) return word;
  if ('const' in schema) return schema['const'];
  const [choice] = choicesOf(schema).filter((each) => each['type'] !== 'null');
  if (choice !== undefined) return exampleOf(choice, name, depth + 1);
  switch (schema['type']) {
    case 'object':
      return exampleObject(schema, depth);
    case 'array':
      return [exampleOf(schemaAt(schema, 'items'), name, depth + 1)];
    case 'number':
    case 'integer':
      return /ms$/i.test(name) ? 1_795_510_800_000 : 1;
    case 'boolean':
      return true;
    case 'null':
      return null;
    case 'string':
      return KNOWN.find(([pattern]) => pattern.test(name))?.[1] ?? 'text';
    default:
      return {};
  }
}

function exampleObject(schema: Schema, depth: number): Record<string, unknown> {
  const named = Object.entries(schemaAt(schema, 'properties')).map(([key, field]) => [key, exampleOf(field as Schema, key, depth + 1)]);
  const other = schema['additionalProperties'];
  const isMap = named.length === 0 && typeof other === 'object' && other !== null;
  return Object.fromEntries(isMap ? [['name', exampleOf(other as Schema, 'name', depth + 1)]] : named);
}

function choicesOf(schema: Schema): Schema[] {
  return [...listOf(schema['anyOf']), ...listOf(schema['oneOf']), ...listOf(schema['allOf'])] as Schema[];
}

function schemaAt(schema: Schema, name: string): Schema {
  const value = schema[name];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
