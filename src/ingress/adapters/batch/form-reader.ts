import type { IncomingMessage } from 'node:http';
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import type { Clock } from '../../../core/clock.ts';
import { PilotlightError } from '../../../core/errors.ts';
import { formatBytes } from '../../../core/units.ts';
import type { FormReader, FormTaker, ReadForm } from '../../ports.ts';
import { pumpBody } from './pump-body.ts';

/** Far above what the SDKs send. */
const LIMITS = {
  fields: 20,
  fieldSize: 4_096,
  fieldNameSize: 128,
  files: 1,
  parts: 21,
  headerPairs: 16,
  headerSize: 8_192,
};
/** What the frame of a form adds to its file at most. */
const FRAME_BYTES = 262_144;
/** Of the file, between the socket and the store. */
const BUFFER_BYTES = 65_536;

export interface FormReaderOptions {
  readonly clock: Clock;
  /** A sender that sends next to nothing for this long is given up. */
  readonly stallTimeoutMs: number;
}

/** Forms as `multipart/form-data`, with their fields before or after the file. */
export function formReader(req: IncomingMessage, options: FormReaderOptions): FormReader {
  return {
    async read(fileField, maxBytes, taker, signal) {
      const declaredBytes = Number(req.headers['content-length'] ?? 0);
      if (declaredBytes > maxBytes + FRAME_BYTES) throw tooLarge(maxBytes);
      const reading = new Reading(req, fileField, taker, signal);
      try {
        await pumpBody(req, reading.parser, { ...options, signal: reading.ended });
        return await reading.result();
      } catch (thrown) {
        await reading.giveUp(thrown);
        throw thrown;
      }
    },
  };
}

/** One form while it is read. Whatever goes wrong first ends all of it. */
class Reading<T> {
  readonly parser: BusboyInstance;
  readonly #fileField: string;
  readonly #taker: FormTaker<T>;
  readonly #failed = new AbortController();
  readonly #finished = Promise.withResolvers<undefined>();
  readonly #fields = new Map<string, string>();
  /** Aborts with what went wrong. */
  readonly ended: AbortSignal;
  #filename: string | null = null;
  #stream: BusboyFileStream | null = null;
  #taking: Promise<T> | null = null;
  /** Whether the taker stopped before the end of its bytes. */
  #hasLeft = false;

  constructor(req: IncomingMessage, fileField: string, taker: FormTaker<T>, signal: AbortSignal) {
    this.#fileField = fileField;
    this.#taker = taker;
    this.ended = AbortSignal.any([signal, this.#failed.signal]);
    this.parser = parserFor(req, fileField)
      .on('file', (_name, stream, filename: string | undefined) => this.#takeFile(stream, filename))
      .on('field', (name, value, nameCut, valueCut) => this.#takeField(name, value, nameCut || valueCut))
      .on('fieldsLimit', () => this.#fail(badForm(`has more than ${LIMITS.fields} fields (the limit)`)))
      .on('partsLimit', () => this.#fail(badForm(`has more than ${LIMITS.parts} parts (the limit)`)))
      .on('filesLimit', () => this.#fail(badForm(`has more than one '${fileField}'`)))
      .on('error', () => this.#broken())
      .on('finish', () => this.#finished.resolve(undefined));
    this.#finished.promise.catch(() => undefined);
    this.ended.addEventListener('abort', () => this.#finished.reject(this.ended.reason));
  }

  async result(): Promise<ReadForm<T>> {
    await this.#finished.promise;
    if (!this.#taking) throw missingFile(this.#fileField);
    const file = await this.#taking;
    this.ended.throwIfAborted();
    return { fields: this.#fields, filename: this.#filename, file };
  }

  /** Nothing of the form remains once this resolves. */
  async giveUp(reason: unknown): Promise<void> {
    this.#fail(reason);
    this.parser.destroy();
    const taken = await this.#taking?.then(
      (file) => ({ file }),
      () => null,
    );
    if (taken) await this.#taker.drop(taken.file);
  }

  #takeFile(stream: BusboyFileStream, filename: string | undefined): void {
    this.#stream = stream;
    this.#filename = filename === undefined || filename === '' ? null : filename;
    // The parser tells of a broken form here without ending the stream: its reader would wait for ever.
    stream.on('error', () => this.#broken());
    this.#taking = this.#taker.take(this.#bytesOf(stream), this.ended);
    this.#taking.catch((thrown: unknown) => this.#fail(thrown));
  }

  async *#bytesOf(stream: BusboyFileStream): AsyncIterable<Uint8Array> {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      let isTaken = false;
      try {
        yield chunk;
        isTaken = true;
      } finally {
        if (!isTaken) this.#hasLeft = true;
      }
    }
  }

  /** A taker that gives up closes the stream, which the parser takes for a broken form: then the taker says why. */
  #broken(): void {
    if (!this.#hasLeft) this.#fail(badForm('is damaged, or ends too early'));
  }

  #takeField(name: string | undefined, value: string, isCut: boolean): void {
    if (name === undefined) this.#fail(badForm('has a field without a name'));
    else if (isCut) this.#fail(badForm(`has a field that is longer than ${LIMITS.fieldSize} bytes (the limit)`));
    else if (this.#fields.has(name)) this.#fail(badForm('has a field twice'));
    else this.#fields.set(name, value);
  }

  #fail(reason: unknown): void {
    this.#failed.abort(reason);
    if (this.#stream && !this.#stream.destroyed) this.#stream.destroy(this.ended.reason as Error);
  }
}

function parserFor(req: IncomingMessage, fileField: string): BusboyInstance {
  const type = req.headers['content-type'] ?? '';
  if (!/^multipart\/form-data\b/i.test(type)) {
    const message = `The body must be a form with the field '${fileField}'; send it as 'Content-Type: multipart/form-data'.`;
    throw new PilotlightError('unsupported_media_type', message, { param: 'content-type' });
  }
  if (req.headers['content-encoding'] !== undefined && req.headers['content-encoding'] !== 'identity') {
    const message = 'A file is sent without a content encoding.';
    throw new PilotlightError('unsupported_media_type', message, { param: 'content-encoding' });
  }
  try {
    return new Busboy({
      headers: { ...req.headers, 'content-type': type },
      isPartAFile: (name) => name === fileField,
      fileHwm: BUFFER_BYTES,
      highWaterMark: BUFFER_BYTES,
      limits: LIMITS,
    });
  } catch (cause) {
    const message = "The header 'Content-Type: multipart/form-data' has no boundary; let your HTTP client write it.";
    throw new PilotlightError('invalid_value', message, { param: 'content-type', cause });
  }
}

function badForm(problem: string): PilotlightError {
  return new PilotlightError('invalid_value', `The form ${problem}.`, { param: 'body' });
}

function missingFile(name: string): PilotlightError {
  return new PilotlightError('missing_required_parameter', `Missing required parameter: '${name}'.`, { param: name });
}

function tooLarge(maxBytes: number): PilotlightError {
  const message = `File is too large. The limit is ${formatBytes(maxBytes)}.`;
  return new PilotlightError('file_too_large', message, { param: 'file' });
}
