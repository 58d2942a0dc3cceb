import { createReadStream } from 'node:fs';
import { CliError, EXIT } from '../exit-codes.ts';

/** As far as the first line is looked for its end. */
const MAX_LINE_BYTES = 8 * 1024 ** 2;

/** The url of the first row: the endpoint of the batch. Throws a CliError when there is none. */
export async function firstRowUrl(path: string): Promise<string> {
  const line = await firstLine(path);
  const url = urlOf(line);
  if (url !== null) return url;
  const shape = '{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{…}}';
  throw new CliError(EXIT.USAGE, `"${path}": the first line is not a batch row like ${shape}; or name --endpoint`);
}

async function firstLine(path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      const end = chunk.indexOf('\n');
      chunks.push(end < 0 ? chunk : chunk.subarray(0, end));
      bytes += chunk.length;
      if (end >= 0 || bytes > MAX_LINE_BYTES) break;
    }
  } catch (thrown) {
    throw new CliError(EXIT.USAGE, `"${path}" cannot be read; check that it is there and readable`, { cause: thrown });
  }
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
}

function urlOf(line: string): string | null {
  try {
    const row = JSON.parse(line) as { readonly url?: unknown } | null;
    return typeof row?.url === 'string' ? row.url : null;
  } catch {
    return null;
  }
}
