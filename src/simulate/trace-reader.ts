import { createReadStream } from 'node:fs';
import type { TraceRequest } from './trace.ts';

/** A line or a field of a trace file that cannot be read. Lines and columns count from 1, the header is line 1. */
export class TraceFormatError extends Error {
  override readonly name = 'TraceFormatError';
  readonly line: number;
  readonly column: number;

  constructor(problem: string, line: number, column: number) {
    super(`line ${line}, column ${column}: ${problem}`);
    this.line = line;
    this.column = column;
  }
}

const HEADER = ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'] as const;
/** 2023-11-16 18:15:46.6805900, with or without a fraction and an offset (none = UTC). */
const TIMESTAMP = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$/;
/** A real line has about 40 characters; this bounds the memory that a file without line ends can take. */
const MAX_LINE_CHARS = 4_096;
const MAX_TOKENS = 100_000_000;

/**
 * The requests of a CSV file in the format of the Azure traces, one by one, the first at 0 ms. The file is never held as a
 * whole. Throws a TraceFormatError, and what the file system throws.
 */
export async function* readTrace(path: string): AsyncGenerator<TraceRequest> {
  yield* parseTrace(createReadStream(path, { encoding: 'utf8' }));
}

/** The same from pieces of text, cut anywhere. */
export async function* parseTrace(pieces: AsyncIterable<string> | Iterable<string>): AsyncGenerator<TraceRequest> {
  let number = 0;
  let firstMs: number | null = null;
  let lastMs = 0;
  for await (const line of lines(pieces)) {
    number += 1;
    if (number === 1) checkHeader(line);
    if (number === 1 || line === '') continue;
    const row = parseRow(line, number);
    firstMs ??= row.epochMs;
    const arrivalMs = row.epochMs - firstMs;
    if (arrivalMs < lastMs) throw new TraceFormatError('the time is before that of the line above', number, 1);
    lastMs = arrivalMs;
    yield { arrivalMs, contextTokens: row.contextTokens, generatedTokens: row.generatedTokens };
  }
  if (number === 0) throw new TraceFormatError(`the file is empty; it must begin with ${HEADER.join(',')}`, 1, 1);
}

async function* lines(pieces: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string> {
  let rest = '';
  let number = 1;
  for await (const piece of pieces) {
    const complete = (rest + piece).split('\n');
    rest = complete.pop() ?? '';
    for (const line of complete) {
      yield checkLength(line, number);
      number += 1;
    }
    checkLength(rest, number);
  }
  if (rest !== '') yield checkLength(rest, number);
}

function checkLength(line: string, number: number): string {
  if (line.length > MAX_LINE_CHARS) {
    throw new TraceFormatError(`the line is longer than ${MAX_LINE_CHARS} characters`, number, MAX_LINE_CHARS + 1);
  }
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

function checkHeader(line: string): void {
  const text = line.startsWith('\uFEFF') ? line.slice(1) : line; // some editors put a byte order mark
  if (text !== HEADER.join(',')) throw new TraceFormatError(`the first line must be ${HEADER.join(',')}`, 1, 1);
}

function parseRow(line: string, number: number): { epochMs: number; contextTokens: number; generatedTokens: number } {
  const fields = line.split(',');
  const columns = fields.map((_field, index) => 1 + fields.slice(0, index).join(',').length + (index > 0 ? 1 : 0));
  if (fields.length !== HEADER.length) {
    throw new TraceFormatError(
      `expected ${HEADER.length} fields (${HEADER.join(',')}), found ${fields.length}`,
      number,
      1,
    );
  }
  return {
    epochMs: parseTime(fields[0] ?? '', number),
    contextTokens: parseTokens('ContextTokens', fields[1] ?? '', number, columns[1] ?? 1),
    generatedTokens: parseTokens('GeneratedTokens', fields[2] ?? '', number, columns[2] ?? 1),
  };
}

function parseTime(text: string, line: number): number {
  const match = TIMESTAMP.exec(text);
  const wholeMs = match ? Date.parse(`${match[1] ?? ''}T${match[2] ?? ''}${match[4] ?? 'Z'}`) : Number.NaN;
  if (Number.isNaN(wholeMs)) {
    throw new TraceFormatError(`TIMESTAMP "${text}" is not a time like 2023-11-16 18:15:46.6805900`, line, 1);
  }
  return wholeMs + Number(match?.[3] ?? 0) * 1_000;
}

function parseTokens(name: string, text: string, line: number, column: number): number {
  const tokens = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (tokens >= 1 && tokens <= MAX_TOKENS) return tokens;
  throw new TraceFormatError(`${name} "${text}" is not a whole number from 1 to ${MAX_TOKENS}`, line, column);
}
