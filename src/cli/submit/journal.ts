import { CliError, EXIT } from '../exit-codes.ts';
import { JsonlFile } from './jsonl-file.ts';

/** What is being submitted, and to whom; the first line of a journal. */
export interface JournalHead {
  readonly input_sha256: string;
  readonly url: string;
  readonly objective: string | null;
}

interface AcceptedLine {
  readonly line: number;
  readonly id: string;
}

/** Which lines of an input are jobs already: what makes the same command go on where an earlier run of it stopped. */
export class Journal {
  readonly path: string;
  /** Job id by line. */
  readonly ids = new Map<number, string>();
  readonly #file: JsonlFile<JournalHead | AcceptedLine>;

  /** Throws a CliError when the file belongs to another input. */
  constructor(path: string, head: JournalHead) {
    this.path = path;
    this.#file = new JsonlFile(path);
    const [first, ...accepted] = this.#file.records as [JournalHead | undefined, ...AcceptedLine[]];
    if (first === undefined) this.#file.append(head);
    else if (JSON.stringify(first) !== JSON.stringify(head)) {
      const why = `"${path}" belongs to another input, address or objective`;
      throw new CliError(EXIT.USAGE, `${why}; delete it to submit everything anew, or restore what it was made for`);
    }
    for (const { line, id } of accepted) this.ids.set(line, id);
  }

  accept(line: number, id: string): void {
    this.ids.set(line, id);
    this.#file.append({ line, id });
  }

  close(): void {
    this.#file.close();
  }
}
