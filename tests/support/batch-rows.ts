import OpenAI, { toFile } from 'openai';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { expectedText } from './expected-text.ts';

/** What a row asks, and what the simulator must answer to it and to no other. */
export interface BatchRow {
  readonly customId: string;
  readonly body: { readonly model: string; readonly max_tokens: number; readonly [field: string]: unknown };
}

interface OutputLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: { readonly choices?: readonly { readonly message: { readonly content: string } }[] };
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export interface BatchFiles {
  readonly output: readonly OutputLine[];
  readonly errors: readonly OutputLine[];
}

/** Distinct chats, as many as wanted. */
export function batchRows(count: number, fields: Record<string, unknown> = {}): readonly BatchRow[] {
  return Array.from({ length: count }, (_, index) => ({
    customId: `ticket-${index}`,
    body: {
      model: MODEL,
      max_tokens: 24,
      ignore_eos: true,
      messages: [{ role: 'user', content: `Summarise ticket ${index}.` }],
      ...fields,
    },
  }));
}

export function rowLine({ customId, body }: BatchRow): string {
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body });
}

export function rowsFile(rows: readonly BatchRow[]): string {
  return `${rows.map(rowLine).join('\n')}\n`;
}

export function sdk(apiUrl: string, apiKey = 'none', options: { maxRetries?: number } = {}): OpenAI {
  return new OpenAI({ baseURL: `${apiUrl}/v1`, apiKey, ...options });
}

/** Uploads the rows and creates a batch of them, as a user of the SDK does. */
export async function startBatch(
  client: OpenAI,
  rows: readonly BatchRow[],
  extra: Record<string, unknown> = {},
): Promise<OpenAI.Batch> {
  const file = await client.files.create({
    file: await toFile(Buffer.from(rowsFile(rows)), 'rows.jsonl'),
    purpose: 'batch',
  });
  return client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    ...extra,
  });
}

/** Both files of a batch; one that does not exist is empty. */
export async function batchFiles(client: OpenAI, batch: OpenAI.Batch): Promise<BatchFiles> {
  return {
    output: await linesOf(client, batch.output_file_id ?? null),
    errors: await linesOf(client, batch.error_file_id ?? null),
  };
}

async function linesOf(client: OpenAI, fileId: string | null): Promise<readonly OutputLine[]> {
  if (fileId === null) return [];
  const text = await (await client.files.content(fileId)).text();
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as OutputLine]));
}

/** What is wrong with the files of a batch of these rows: rows that are missing, doubled, strange, or have a wrong answer. */
export function problemsOf(rows: readonly BatchRow[], { output, errors }: BatchFiles): readonly string[] {
  const problems: string[] = [];
  const expected = new Map(rows.map((row) => [row.customId, row]));
  const seen = new Set<string>();
  for (const line of [...output, ...errors]) {
    if (!expected.has(line.custom_id)) problems.push(`${line.custom_id} was never asked for`);
    if (seen.has(line.custom_id)) problems.push(`${line.custom_id} is there twice`);
    seen.add(line.custom_id);
  }
  for (const { customId } of rows) if (!seen.has(customId)) problems.push(`${customId} is missing`);
  for (const { custom_id: customId, response } of output) {
    const row = expected.get(customId);
    const text = response?.body.choices?.[0]?.message.content;
    if (row && text !== expectedText(row.body)) problems.push(`${customId} has the answer to something else`);
  }
  const places = new Map(rows.map(({ customId }, place) => [customId, place]));
  for (const { lines, name } of [
    { lines: output, name: 'output' },
    { lines: errors, name: 'errors' },
  ]) {
    const order = lines.map(({ custom_id: customId }) => places.get(customId) ?? 0);
    if (order.some((place, index) => index > 0 && place < (order[index - 1] ?? 0))) {
      problems.push(`${name} is not in input order`);
    }
  }
  return problems;
}
