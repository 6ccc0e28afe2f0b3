/**
 * The fields and files of one request: a form (multipart or urlencoded) or a query string. They are kept as a list, so no name
 * (`__proto__`, `constructor`) means anything special; the list is short and bounded, and looking through it costs less than an index.
 * `to[]`, `to[0]` and repeated `to` are all the list `to`. An empty value is "not given" (SDKs send `limit=`).
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
  readonly #pairs: (readonly [name: string, value: string])[] = [];
  readonly files: FilePart[] = [];

  add(rawName: string, value: string): void {
    this.#pairs.push([plainName(rawName), value]);
  }

  addFile(file: FilePart): void {
    this.files.push({ ...file, name: plainName(file.name) });
  }

  /** The first value that is not empty. */
  get(name: string): string | undefined {
    for (const pair of this.#pairs) if (pair[0] === name && pair[1] !== '') return pair[1];
    return undefined;
  }

  /** Every value that is not empty. */
  all(name: string): readonly string[] {
    const values: string[] = [];
    for (const pair of this.#pairs) if (pair[0] === name && pair[1] !== '') values.push(pair[1]);
    return values;
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

  /** Everything, in the order it came. */
  get pairs(): readonly (readonly [name: string, value: string])[] {
    return this.#pairs;
  }
}

function plainName(name: string): string {
  return name.endsWith(']') ? name.replace(LIST_SUFFIX, '') : name;
}
