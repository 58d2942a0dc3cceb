import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asError, PilotlightError } from '../../../core/errors.ts';

/** Writes the lines as they are made, however many. Resolves with the bytes. */
export async function writeLines(path: string, lines: Iterable<string>): Promise<number> {
  let bytes = 0;
  await pipeline(
    Readable.from(withBreaks(lines), { highWaterMark: 16 }),
    async function* (pieces: AsyncIterable<string>) {
      for await (const piece of pieces) {
        const chunk = Buffer.from(piece);
        bytes += chunk.length;
        yield chunk;
      }
    },
    createWriteStream(path, { mode: 0o600 }),
  );
  return bytes;
}

/** The lines of a file, one at a time. */
export function readLines(path: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
}

/** Creates the file, or empties the one that is there. Throws a PilotlightError when it cannot be written. */
export async function checkWritable(path: string): Promise<void> {
  try {
    await (await open(path, 'w', 0o600)).close();
  } catch (thrown) {
    throw new PilotlightError('config_invalid', `--out: ${asError(thrown).message}`, { param: '--out' });
  }
}

function* withBreaks(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${line}\n`;
}
