/**
 * /docs: every endpoint as a page for people, made of openapi.json on the server. It needs no key, as openapi.json needs none; nothing of it comes from elsewhere and nothing runs in it but what copies the
 * examples. A page is made when it is first asked for, and kept: there is one of each family of endpoints.
 */
import type { FastifyInstance } from 'fastify';
import { errorAnswer, NotFound } from '#api/conventions/errors.ts';
import { type Endpoint, send } from '#api/endpoint.ts';
import type { Door } from '#api/endpoint.ts';
import { openApi } from '#api/openapi.ts';
import { families, type Family, familyOf } from './api-families.ts';
import { type Html, html } from './html.ts';
import { layout } from './layout.ts';
import { exampleOf, fieldsOf, type FieldRow, type Schema, typeOf } from './schema-words.ts';

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
}
type Contents = Readonly<Record<string, { readonly schema: Schema }>>;
interface Described {
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Contents };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Contents }>>;
}
interface Operation {
  readonly method: string;
  readonly path: string;
  readonly described: Described;
}

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

export function mountApiDocs(app: FastifyInstance, door: Door, endpoints: readonly Endpoint[]): void {
  const made = new Map<string, string>();
  let sorted: ReturnType<typeof byFamily> | undefined;
  const page = (name: string): string => {
    sorted ??= byFamily(endpoints);
    const family = families().find((each) => each.name === name);
    const operations = sorted.get(name);
    if (name !== '' && (family === undefined || operations === undefined)) throw new NotFound('Not found');
    const text = made.get(name) ?? (family === undefined ? overview(sorted) : familyPage(family, operations ?? []));
    made.set(name, text);
    return text;
  };
  for (const url of ['/docs', '/docs/:family']) {
    app.get(url, (request, reply) => {
      try {
        const { family = '' } = request.params as { readonly family?: string };
        return send(reply, { status: 200, body: page(family), contentType: 'text/html; charset=utf-8', headers: HEADERS });
      } catch (error) {
        return send(reply, errorAnswer(error, door.deps.log));
      }
    });
  }
}

function byFamily(endpoints: readonly Endpoint[]): ReadonlyMap<string, readonly Operation[]> {
  const paths = openApi(endpoints)['paths'] as Readonly<Record<string, Readonly<Record<string, Described>>>>;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({ method: method.toUpperCase(), path, described })),
  );
  return Map.groupBy(operations, ({ path }) => familyOf(path).name);
}

function idOf({ method, path }: Operation): string {
  return `${method.toLowerCase()}-${path.replace(/[^\w.]+/g, '-').replace(/^-|-$/g, '')}`;
}

function frame(title: string, main: Html): string {
  return layout(title, main, { isLive: false, nowMs: 0 });
}

function overview(sorted: ReadonlyMap<string, readonly Operation[]>): string {
  const shown = families().filter(({ name }) => sorted.has(name));
  const parts = shown.map((family) => {
    const operations = sorted.get(family.name) ?? [];
    return html`<section>
      <h2><a href="/docs/${family.name}">${family.title}</a><span class="count">${operations.length}</span></h2>
      <p class="muted">${family.about}</p>
      <ul class="ops">
        ${operations.map(
          (operation) =>
            html`<li>
              <a href="/docs/${family.name}#${idOf(operation)}"
                ><span>${verb(operation.method)}</span><code>${operation.path}</code><small>${operation.described.summary}</small></a
              >
            </li>`,
        )}
      </ul>
    </section>`;
  });
  return frame(
    'The API of Postrider',
    html`<section>
        <h1>The API</h1>
        <p>
          Every request has a key: HTTP Basic, user <code>api</code>, the key as the password. Bodies are forms, multipart or urlencoded, or
          JSON where it is said. What is wrong is answered as <code>{"message": "…"}</code>. In the examples <code>$HOST</code> is this
          server and <code>$KEY</code> is <code>api:</code> and your key. <a href="/openapi.json">openapi.json</a> says the same for
          machines.
        </p>
        <p class="families">${shown.map(({ name, title }) => html`<a class="pill plain" href="/docs/${name}">${title}</a> `)}</p>
      </section>
      ${parts}`,
  );
}

function familyPage(family: Family, operations: readonly Operation[]): string {
  return frame(
    `${family.title}: the API of Postrider`,
    html`<p class="back"><a href="/docs">All of the API</a></p>
      <section>
        <h1>${family.title}</h1>
        <p class="muted">${family.about}</p>
        <ul class="ops">
          ${operations.map(
            (operation) =>
              html`<li>
                <a href="#${idOf(operation)}"
                  ><span>${verb(operation.method)}</span><code>${operation.path}</code><small>${operation.described.summary}</small></a
                >
              </li>`,
          )}
        </ul>
      </section>
      ${operations.map(operationPart)}`,
  );
}

const TONES: Readonly<Record<string, string>> = { GET: 'good', POST: 'busy', PUT: 'wait', PATCH: 'wait', DELETE: 'bad' };

function verb(method: string): Html {
  return html`<span class="pill verb ${TONES[method] ?? 'plain'}">${method}</span>`;
}

function operationPart(operation: Operation): Html {
  const { method, path, described } = operation;
  const { parameters = [], requestBody, responses } = described;
  const [type, body] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const rows = (where: string): FieldRow[] =>
    parameters
      .filter((parameter) => parameter.in === where)
      .map(({ name, required, description = '', schema }) => ({ name, type: typeOf(schema), isRequired: required === true, description }));
  const answer = responses['200']?.content?.['application/json']?.schema;
  const id = idOf(operation);
  return html`<section id="${id}" class="op">
    <h2>
      ${verb(method)}<a href="#${id}"><code>${path}</code></a>
    </h2>
    <p>${described.summary}</p>
    ${fieldTable('In the path', rows('path'))} ${fieldTable('In the query', rows('query'))}
    ${body && fieldTable(type === 'application/json' ? 'In the body, as JSON' : 'In the body, as a form', fieldsOf(body.schema))}
    <h3>Example</h3>
    <div class="code">
      <pre id="${id}.curl">${curlOf(operation, type, body?.schema)}</pre>
      <button data-copy="${id}.curl">Copy</button>
    </div>
    ${answer && answerPart(answer)}
  </section>`;
}

function fieldTable(title: string, rows: readonly FieldRow[]): Html | undefined {
  if (rows.length === 0) return undefined;
  return html`${title !== '' && html`<h3>${title}</h3>`}
    <div class="scroll">
      <table class="fields">
        ${rows.map(
          ({ name, type, isRequired, description }) =>
            html`<tr>
              <td class="field"><code>${name}</code>${isRequired && html`<small class="needed">required</small>`}</td>
              <td><span class="type">${type}</span>${description !== '' && html`<small>${description}</small>`}</td>
            </tr>`,
        )}
      </table>
    </div>`;
}

function answerPart(schema: Schema): Html {
  return html`<h3>Answer, 200</h3>
    <pre>${JSON.stringify(exampleOf(schema), undefined, 2)}</pre>
    <details>
      <summary>Its fields</summary>
      ${fieldTable('', fieldsOf(schema))}
    </details>`;
}

/** With what is required; where nothing is, with the first field. */
function curlOf({ method, path, described }: Operation, type: string | undefined, body: Schema | undefined): string {
  const query = (described.parameters ?? []).filter((parameter) => parameter.in === 'query' && parameter.required === true);
  const asked = query.map(({ name, schema }) => `${name}=${encodeURIComponent(String(exampleOf(schema, name)))}`).join('&');
  const where = path.replace('{domain}', '$DOMAIN') + (asked === '' ? '' : `?${asked}`);
  const first = `curl --user "$KEY" ${method === 'GET' || (method === 'POST' && body !== undefined) ? '' : `-X ${method} `}"$HOST${where}"`;
  if (body === undefined) return first;
  if (type === 'application/json')
    return `${first} \\\n  -H 'content-type: application/json' \\\n  --data '${JSON.stringify(exampleOf(needed(body)))}'`;
  const fields = Object.entries(needed(body)['properties'] ?? {}) as [string, Schema][];
  return [first, ...fields.map(([name, schema]) => `-F ${name}=${quoted(String(exampleOf(schema, name)))}`)].join(' \\\n  ');
}

function needed(schema: Schema): Schema {
  const properties = Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, Schema>>);
  const required = (schema['required'] ?? []) as readonly string[];
  const kept = properties.filter(([name]) => required.includes(name));
  return { ...schema, properties: Object.fromEntries(kept.length > 0 ? kept : properties.slice(0, 1)) };
}

function quoted(value: string): string {
  return /^[\w@.:/+-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
