/** A form or a JSON object as the fields of an entry: one value, or several as an array or repeated. */
import { parseEventTime } from '#events/event-time.ts';
import type { EntryContext, Fields } from '#lists/entries.ts';
import type { Door } from '#api/endpoint.ts';
import { Form } from './form.ts';

export function entryContext(door: Door): EntryContext {
  return { nowMs: door.deps.clock.nowMs(), parseTime: parseEventTime };
}

export function entryFields(given: unknown): Fields {
  if (given instanceof Form) return formFields(given);
  const all = (name: string): string[] => {
    if (typeof given !== 'object' || given === null || !Object.hasOwn(given, name)) return [];
    const value = (given as Readonly<Record<string, unknown>>)[name];
    return (Array.isArray(value) ? (value as unknown[]) : [value]).flatMap(textOf);
  };
  return { all, one: (name) => all(name)[0] };
}

/** As the hosted service has it: a form says `tag`; `tags`, which some clients send beside it, means nothing there. */
function formFields(form: Form): Fields {
  return { one: (name) => form.get(name), all: (name) => (name === 'tags' ? [] : form.all(name)) };
}

function textOf(value: unknown): string[] {
  if (typeof value === 'number') return [String(value)];
  return typeof value === 'string' && value !== '' ? [value] : [];
}
