import { type Document, isMap, isNode, isScalar, LineCounter, type Pair, parseAllDocuments } from 'yaml';
import { asError } from '../core/errors.ts';
import type { PathSegment, Problem } from './problem.ts';

/** Larger files are refused before parsing: objects are small, and a wrong file should fail at once. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Aliases are resolved at most this often a document, so that a few lines cannot expand into gigabytes. */
const MAX_ALIASES = 100;

/** One document of a YAML file, as plain data that knows where each field was written. */
export interface YamlDocument {
  readonly file: string;
  readonly value: unknown;
  /** "file:line:column" of the field, or of its nearest ancestor that was written. A key itself when `onKey`. */
  locate(path: readonly PropertyKey[], onKey?: boolean): string;
}

export interface ParsedYaml {
  readonly documents: readonly YamlDocument[];
  readonly problems: readonly Problem[];
}

/** Every document of a YAML (or JSON) text; empty documents are left out. Never throws. */
export function parseYaml(file: string, text: string): ParsedYaml {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, stringKeys: true, prettyErrors: false });
  const documents: YamlDocument[] = [];
  const problems: Problem[] = [];
  for (const document of parsed) {
    const found = [...document.errors, ...document.warnings];
    for (const error of found) problems.push(syntaxProblem(position(file, lines, error.pos[0]), error.message));
    if (found.length > 0 || document.contents === null || isEmpty(document)) continue;
    try {
      const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
      documents.push({ file, value, locate: locator(file, lines, document) });
    } catch (thrown) {
      // An alias to nothing, or more aliases than MAX_ALIASES.
      problems.push(syntaxProblem(position(file, lines, document.range[0]), asError(thrown).message));
    }
  }
  return { documents, problems };
}

function isEmpty(document: Document): boolean {
  return isScalar(document.contents) && document.contents.value === null;
}

function locator(file: string, lines: LineCounter, document: Document): YamlDocument['locate'] {
  return (path, onKey = false) => {
    let offset = startOf(document.contents) ?? 0;
    for (let depth = 0; depth < path.length; depth += 1) {
      const parent: unknown = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
      const segment = path[depth] as PathSegment;
      const pair = isMap(parent) ? parent.items.find((item) => keyOf(item) === segment) : undefined;
      const value: unknown = document.getIn(path.slice(0, depth + 1), true);
      const next = onKey && depth === path.length - 1 ? startOf(pair?.key) : (startOf(value) ?? startOf(pair?.key));
      if (next === undefined) break;
      offset = next;
    }
    return position(file, lines, offset);
  };
}

function keyOf(pair: Pair): unknown {
  return isScalar(pair.key) ? pair.key.value : pair.key;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node.range?.[0] ?? undefined) : undefined;
}

function position(file: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${file}:${line}:${col}`;
}

function syntaxProblem(source: string, message: string): Problem {
  return { severity: 'error', source, object: null, path: '', message: `not valid YAML: ${message}` };
}
