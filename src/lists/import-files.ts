/** How the files that are read into lists look: a CSV whose first row names the columns. Made of octets that a stranger sent. */
import type { CsvReader } from '#base/csv.ts';
import type { ImportKind } from '#store/suppression-store.ts';
import type { Fields } from './entries.ts';

const COLUMNS_MAX = 50;

/** Column names in lower case; undefined when the first row does not name what such a list needs. */
export function readColumns(reader: CsvReader, kind: ImportKind): string[] | undefined {
  const columns = (reader.next() ?? []).map((name) => name.trim().toLowerCase());
  const isNamed = columns.includes('address') || (kind === 'allowlist' && columns.includes('domain'));
  return isNamed && columns.length <= COLUMNS_MAX ? columns : undefined;
}

export function rowFields(columns: readonly string[], row: readonly string[]): Fields {
  const one = (name: string): string | undefined => {
    const value = row[columns.indexOf(name)]?.trim();
    return value === '' ? undefined : value;
  };
  return { one, all: (name) => listed(one(name)) };
}

/** Several in one field: as a JSON array, or with commas. */
function listed(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  const inner = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1).replaceAll('"', '') : text;
  return inner.split(',');
}
