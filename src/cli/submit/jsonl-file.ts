import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { asError } from '../../core/errors.ts';
import { CliError, EXIT } from '../exit-codes.ts';

/** A file of one JSON record a line that grows while a command runs and is picked up by the next run of it. */
export class JsonlFile<T> {
  readonly path: string;
  /** What earlier runs wrote. */
  readonly records: readonly T[];
  readonly #file: number;

  /** Opens or creates it. The torn last line of a run that was killed is cut off. Throws a CliError. */
  constructor(path: string) {
    this.path = path;
    try {
      const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      this.records = whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as T]));
      this.#file = openSync(path, 'a');
      ftruncateSync(this.#file, Buffer.byteLength(whole));
    } catch (thrown) {
      const why = asError(thrown).message;
      throw new CliError(EXIT.USAGE, `"${path}" cannot be used: ${why}; move it away, or name another file`);
    }
  }

  /** The record is with the operating system when this returns: it survives the end of the process. */
  append(record: T): void {
    writeSync(this.#file, `${JSON.stringify(record)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}
