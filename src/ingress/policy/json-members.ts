/** Where values stand in a JSON text, so that one can be cut out or replaced and every other byte stays as sent. */

interface Span {
  readonly start: number;
  readonly end: number;
}

interface Member extends Span {
  readonly key: string;
  readonly keyStart: number;
}

/**
 * The text with the value of each top-level member `key` replaced. Numbers beyond 2^53, spacing and unknown fields
 * survive, which a parse and a stringify would not grant. `text` must be a valid JSON object.
 */
export function replaceMember(text: string, key: string, value: string): string {
  let result = '';
  let copiedTo = 0;
  for (const span of memberSpans(text, key)) {
    result += text.slice(copiedTo, span.start) + JSON.stringify(value);
    copiedTo = span.end;
  }
  return result + text.slice(copiedTo);
}

/** The text of the value of top-level member `key`; of several the last, as JSON.parse has it. */
export function memberText(text: string, key: string): string | undefined {
  const span = memberSpans(text, key).at(-1);
  return span && text.slice(span.start, span.end);
}

/**
 * The text with top-level members set to a value, or removed where the value is undefined; those that are set come first.
 * Every other member stays byte for byte. `text` must be a valid JSON object.
 */
export function editMembers(text: string, edits: Readonly<Record<string, boolean | undefined>>): string {
  const set = Object.entries(edits).flatMap(([key, value]) =>
    value === undefined ? [] : [`${JSON.stringify(key)}:${String(value)}`],
  );
  const kept = members(text)
    .filter(({ key }) => !Object.hasOwn(edits, key))
    .map(({ keyStart, end }) => text.slice(keyStart, end));
  return `{${[...set, ...kept].join(',')}}`;
}

function memberSpans(text: string, key: string): readonly Span[] {
  return members(text).filter((member) => member.key === key);
}

function members(text: string): Member[] {
  const found: Member[] = [];
  let at = skipSpace(text, 0) + 1;
  for (;;) {
    const keyStart = skipSpace(text, at);
    if (text[keyStart] !== '"') return found;
    const keyEnd = stringEnd(text, keyStart);
    const key = String(JSON.parse(text.slice(keyStart, keyEnd)));
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, start);
    found.push({ key, keyStart, start, end });
    at = skipSpace(text, end) + 1;
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at += 1;
  return at;
}

/** The index behind the closing quote of the string that opens at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function valueEnd(text: string, from: number): number {
  if (text[from] === '"') return stringEnd(text, from);
  let depth = 0;
  for (let at = from; at < text.length; ) {
    const char = text[at];
    if (char === '"') {
      at = stringEnd(text, at);
      continue;
    }
    if (depth === 0 && (char === ',' || char === '}' || char === ']')) return trimmedEnd(text, at);
    if (char === '{' || char === '[') depth += 1;
    if (char === '}' || char === ']') depth -= 1;
    at += 1;
    if (depth === 0 && (char === '}' || char === ']')) return at;
  }
  return text.length;
}

function trimmedEnd(text: string, end: number): number {
  let at = end;
  while (text[at - 1] === ' ' || text[at - 1] === '\n' || text[at - 1] === '\t' || text[at - 1] === '\r') at -= 1;
  return at;
}
