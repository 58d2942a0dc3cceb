import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { once } from 'node:events';

export interface BatchFile {
  readonly rows: number;
  readonly bytes: number;
}

/** Writes distinct chats as rows of a batch, each about `rowBytes` long. */
export async function writeBatchFile(path: string, rows: number, rowBytes: number, model: string): Promise<BatchFile> {
  const out = createWriteStream(path);
  const filler = 'The customer writes that the printer in the second floor smells of smoke again. '.repeat(100);
  let bytes = 0;
  for (let index = 0; index < rows; index += 1) {
    const text = `Summarise ticket ${index}: ${filler.slice(0, Math.max(0, rowBytes - 230))}`;
    const body = { model, max_tokens: 200, messages: [{ role: 'user', content: text }] };
    const row = { custom_id: `ticket-${index}`, method: 'POST', url: '/v1/chat/completions', body };
    const line = `${JSON.stringify(row)}\n`;
    bytes += Buffer.byteLength(line);
    if (!out.write(line)) await once(out, 'drain');
  }
  out.end();
  await finished(out);
  return { rows, bytes };
}
