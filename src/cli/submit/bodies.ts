import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { CliError, EXIT } from '../exit-codes.ts';

/** Shown of a file with mistakes; the rest is counted. */
const MAX_MISTAKES_SHOWN = 10;

/** One request to submit, numbered by its line (1 for the only one). */
export interface Body {
  readonly line: number;
  /** The OpenAI request, or the job that wraps one. */
  readonly value: Readonly<Record<string, unknown>>;
}

export interface Bodies {
  readonly count: number;
  /** SHA-256 of the input, to know it again when a run is resumed. */
  readonly sha256: string;
  /** Reads the input once more, so that a large file is never held as a whole. */
  read(): AsyncIterable<Body> | Iterable<Body>;
}

export function promptBody(model: string, prompt: string): Bodies {
  return oneBody({ model, messages: [{ role: 'user', content: prompt }] });
}

/** A *.jsonl or *.ndjson file holds one body a line, any other file one body. Throws a CliError that lists every mistake. */
export async function fileBodies(path: string): Promise<Bodies> {
  if (!existsSync(path)) throw new CliError(EXIT.USAGE, `"${path}" does not exist; name a JSON or JSONL file`);
  if (!/\.(jsonl|ndjson)$/i.test(path)) {
    const body = parseBody(readFileSync(path, 'utf8'));
    if (typeof body === 'string')
      throw new CliError(EXIT.USAGE, `${path}: ${body}; files with a body a line end in .jsonl`);
    return oneBody(body);
  }
  const checked = await checkLines(path);
  return { ...checked, read: () => readLines(path) };
}

function oneBody(value: Record<string, unknown>): Bodies {
  const sha256 = createHash('sha256').update(JSON.stringify(value)).digest('hex');
  return { count: 1, sha256, read: () => [{ line: 1, value }] };
}

async function checkLines(path: string): Promise<{ count: number; sha256: string }> {
  const hash = createHash('sha256');
  const mistakes: string[] = [];
  let count = 0;
  let mistakeCount = 0;
  for await (const { text, line } of numberedLines(path)) {
    hash.update(text).update('\n');
    const body = parseBody(text);
    if (typeof body !== 'string') count += 1;
    else {
      mistakeCount += 1;
      if (mistakes.length < MAX_MISTAKES_SHOWN) mistakes.push(`${path}:${line}: ${body}`);
    }
  }
  if (mistakeCount > mistakes.length) mistakes.push(`… and ${mistakeCount - mistakes.length} more`);
  if (mistakes.length > 0) throw new CliError(EXIT.USAGE, `nothing was submitted:\n${mistakes.join('\n')}`);
  if (count === 0) throw new CliError(EXIT.USAGE, `${path}: has no line; write one JSON body a line`);
  return { count, sha256: hash.digest('hex') };
}

async function* readLines(path: string): AsyncGenerator<Body> {
  for await (const { text, line } of numberedLines(path)) {
    const value = parseBody(text);
    if (typeof value === 'string') throw new CliError(EXIT.FAILED, `${path}:${line}: ${value}; the file was changed`);
    yield { line, value };
  }
}

/** Lines with something in them. */
async function* numberedLines(path: string): AsyncGenerator<{ text: string; line: number }> {
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1;
    if (text.trim() !== '') yield { text, line };
  }
}

/** The body, or what is wrong with it. Everything else is the server's to check. */
function parseBody(text: string): Record<string, unknown> | string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    return 'is not a JSON object';
  } catch {
    return 'is not valid JSON';
  }
}
