/**
 * The fields and files of one request: a form (multipart or urlencoded) or a query string. Names are kept in a Map, so no name
 * (`__proto__`, `constructor`) means anything special. `to[]`, `to[0]` and repeated `to` are all the list `to`.
 * An empty value is "not given" to `get` (SDKs send `limit=`), but `has` sees it.
 */
import type { Buffer } from 'node:buffer';

export interface FilePart {
  readonly name: string;
  readonly filename: string;
  readonly contentType: string;
  /** A view into the request's body. */
  readonly bytes: Buffer;
}

const LIST_SUFFIX = /\[\d{0,6}\]$/;

export class Form {
  readonly #values = new Map<string, string[]>();
  readonly files: FilePart[] = [];

  add(rawName: string, value: string): void {
    const name = rawName.endsWith(']') ? rawName.replace(LIST_SUFFIX, '') : rawName;
    const existing = this.#values.get(name);
    if (existing === undefined) this.#values.set(name, [value]);
    else existing.push(value);
  }

  addFile(file: FilePart): void {
    this.files.push(file.name.endsWith(']') ? { ...file, name: file.name.replace(LIST_SUFFIX, '') } : file);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The first value that is not empty. */
  get(name: string): string | undefined {
    const values = this.#values.get(name);
    if (values === undefined) return undefined;
    for (const value of values) if (value !== '') return value;
    return undefined;
  }

  /** Every value that is not empty. */
  all(name: string): readonly string[] {
    const values = this.#values.get(name);
    if (values === undefined) return [];
    return values.includes('') ? values.filter((value) => value !== '') : values;
  }

  filesNamed(name: string): readonly FilePart[] {
    return this.files.filter((file) => file.name === name);
  }

  /** A text that may come as a field or as a file part (some clients send `text` and `message` as files). */
  text(name: string): string | undefined {
    const value = this.get(name);
    if (value !== undefined) return value;
    for (const file of this.files) if (file.name === name) return file.bytes.toString('utf8');
    return undefined;
  }

  /** Name and value pairs in order of first appearance of each name. */
  *pairs(): Generator<readonly [name: string, value: string]> {
    for (const [name, values] of this.#values) for (const value of values) yield [name, value];
  }

  /** For zod: each name once, a list where it was repeated. Without a prototype, so that no name is special. */
  toObject(): Record<string, string | string[]> {
    const result = Object.create(null) as Record<string, string | string[]>;
    for (const [name, values] of this.#values) {
      const given = values.filter((value) => value !== '');
      if (given.length > 0) result[name] = given.length === 1 ? (given[0] as string) : given;
    }
    return result;
  }
}
