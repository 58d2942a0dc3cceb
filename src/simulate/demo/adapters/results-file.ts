import { once } from 'node:events';
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { asError, PilotlightError } from '../../../core/errors.ts';
import type { ResultLine } from '../job-result.ts';

/** JSON lines, one for each job that is over. */
export class ResultsFile {
  readonly path: string;
  readonly #stream: WriteStream;

  private constructor(path: string, stream: WriteStream) {
    this.path = path;
    this.#stream = stream;
  }

  /** Creates the file, or empties the one that is there. Throws a PilotlightError when it cannot be written. */
  static async open(path: string): Promise<ResultsFile> {
    const stream = createWriteStream(path, { mode: 0o600 });
    try {
      await once(stream, 'open');
    } catch (thrown) {
      throw new PilotlightError('config_invalid', `--out: ${asError(thrown).message}`, { param: '--out' });
    }
    return new ResultsFile(path, stream);
  }

  /** Resolves when the system has taken the line. */
  write(line: ResultLine): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(`${JSON.stringify(line)}\n`, (error) => (error ? reject(error) : resolve()));
    });
  }

  async close(): Promise<void> {
    this.#stream.end();
    if (!this.#stream.closed) await once(this.#stream, 'close');
  }

  /** The ids in the file, in its order, repeated ones included. */
  async readIds(): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const line of createInterface({ input: createReadStream(this.path, 'utf8') })) {
      ids.push((JSON.parse(line) as ResultLine).id);
    }
    return ids;
  }
}
