/**
 * Stored templates in the Handlebars dialect of the hosted service: parsed by Handlebars, evaluated by us. Nothing is compiled to
 * JavaScript and nothing of the running program can be reached from a template: values are the own properties of JSON data, helpers are a
 * closed table, partials and decorators do not exist. Everything a template can make grow has a bound (`RenderLimits`), so a template
 * that never ends is refused after some milliseconds.
 *
 * Throws AppError 'template-failed' with a sentence for the template's author; never anything else.
 */
import Handlebars from 'handlebars';
import { BoundedCache } from '#base/bounded-cache.ts';
import { AppError } from '#model/errors.ts';
import { evaluate, TemplateFault } from './evaluate.ts';
import { nestingOf } from './nesting.ts';

export interface RenderLimits {
  /** A version of a template may be this long. */
  readonly sourceBytesMax: number;
  readonly outputBytesMax: number;
  /** Statements, expressions and helper calls evaluated, loops included. */
  readonly stepsMax: number;
  /** Blocks inside blocks, links of an {{else if}} chain, expressions inside expressions. */
  readonly depthMax: number;
  /** Sum of the lengths of the sources whose parsed form (some fifty times as large) is kept. */
  readonly cacheBytesMax: number;
}

export const RENDER_LIMITS: RenderLimits = {
  sourceBytesMax: 100 * 1024,
  outputBytesMax: 2 * 1024 * 1024,
  stepsMax: 200_000,
  depthMax: 100,
  cacheBytesMax: 512 * 1024,
};

export type RenderKind = 'text' | 'html' | 'header';
export type Render = (source: string, context: Readonly<Record<string, unknown>>, kind: RenderKind) => string;

/** html: `{{x}}` is escaped. text: as it is. header: as it is, on one line. */
export function createRenderer(limits: RenderLimits = RENDER_LIMITS): Render {
  const parsed = new BoundedCache<string, Parsed>({ max: limits.cacheBytesMax, weigh: (template) => template.sourceLength });
  return (source, context, kind) => {
    // Subjects and most plain texts have nothing to evaluate.
    if (!source.includes('{{')) return kind === 'header' ? oneLine(source) : source;
    try {
      let template = parsed.get(source, 0);
      if (template === undefined) {
        template = parse(source, limits);
        parsed.set(source, template, 0);
      }
      const text = evaluate(template.program, context, { escape: kind === 'html' ? escapeHtml : asIs, ...limits });
      return kind === 'header' ? oneLine(text) : text;
    } catch (error) {
      throw new AppError('template-failed', { name: 'source', reason: reasonOf(error) }, error);
    }
  };
}

interface Parsed {
  readonly program: hbs.AST.Program;
  readonly sourceLength: number;
}

function parse(source: string, limits: RenderLimits): Parsed {
  if (Buffer.byteLength(source) > limits.sourceBytesMax) throw new TemplateFault(`it is longer than ${limits.sourceBytesMax} bytes`);
  // The parser takes quadratic time in the depth of nesting: minutes for a hostile template of this size.
  if (nestingOf(source, limits.depthMax) > limits.depthMax) throw new TemplateFault(`it is nested deeper than ${limits.depthMax}`);
  return { program: Handlebars.parse(source), sourceLength: source.length };
}

/** The parser's first line says where; its last says what it expected. No stack, and no more of the template than a line. */
function reasonOf(error: unknown): string {
  if (error instanceof TemplateFault) return error.message;
  if (error instanceof RangeError) return 'it is nested too deeply';
  const lines = (error instanceof Error ? error.message : 'unknown trouble').split('\n');
  const text = lines.length > 2 ? `${lines[0] as string} ${lines.at(-1) as string}` : lines.join(' ');
  return text.slice(0, 200).replace(/[\x00-\x1f\x7f-\x9f]/g, ' ');
}

const ESCAPED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escapeHtml(text: string): string {
  return /[&<>"']/.test(text) ? text.replace(/[&<>"']/g, (char) => ESCAPED[char] as string) : text;
}

function asIs(text: string): string {
  return text;
}

/** A header's value must not start another header. */
function oneLine(text: string): string {
  return text
    .replace(/[\r\n\u0085\u2028\u2029]+[ \t]*/g, ' ')
    .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, '')
    .trim();
}
