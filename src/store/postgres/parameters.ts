/** Parameters of a statement by name: a statement that takes thirty arrays is not to be read by their numbers. */
import type { Value } from './database.ts';

/** `sql`: each parameter as it stands in the text, with its type. `values`: in the order of the numbers. */
export interface Parameters<Name extends string> {
  readonly sql: Readonly<Record<Name, string>>;
  values(given: Readonly<Record<Name, Value>>): Value[];
}

/** Names and types, such as "bigint[]". */
export function parameters<Name extends string>(types: Readonly<Record<Name, string>>): Parameters<Name> {
  const names = Object.keys(types) as Name[];
  const sql = Object.fromEntries(names.map((name, position) => [name, `$${position + 1}::${types[name]}`])) as Record<Name, string>;
  return { sql, values: (given) => names.map((name) => given[name]) };
}
