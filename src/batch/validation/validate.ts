import type { BatchError } from '../../core/batches.ts';
import type { BlobStore } from '../../core/blobs.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { JsonLimits } from '../../core/json-bounds.ts';
import { wrongRowsKey } from '../policy/plan-entry.ts';
import type { FileFindings } from '../policy/validation/file-check.ts';
import type { FileCabinet, Validate, ValidationInput, ValidationResult } from '../ports.ts';
import { BlobStream } from './blob-stream.ts';
import { FilePump } from './file-pump.ts';
import type { ResolveRow, ThreadRules, ValidationThread } from './ports.ts';
import { Routes } from './routes.ts';

export interface ValidationLimits {
  readonly batchFileBytes: number;
  readonly rows: number;
  readonly lineBytes: number;
  readonly models: number;
  readonly customIdBytes: number;
  /** Inputs of all embedding calls together; null = not limited. */
  readonly inputs: number | null;
  readonly json: JsonLimits;
}

export interface ValidationDeps {
  readonly store: Pick<BlobStore, 'put' | 'readAll'>;
  readonly files: Pick<FileCabinet, 'read'>;
  readonly startThread: () => ValidationThread;
  readonly resolve: ResolveRow;
  readonly limits: ValidationLimits;
}

/** Validation in a thread of its own: here the bytes only pass. */
export function createValidate(deps: ValidationDeps): Validate {
  return async (input, { signal, onProgress }) => {
    const { batchFileBytes } = deps.limits;
    const { bytes } = input.file;
    if (bytes > batchFileBytes) {
      const message = `The file has ${bytes} bytes; a batch file may have ${batchFileBytes}. Split it.`;
      return { kind: 'invalid', errors: [ofFile('file_too_large', message)] };
    }
    signal.throwIfAborted();
    const onlyLines = input.onlyRowsKey === null ? null : await readOnlyLines(deps.store, input.onlyRowsKey);
    const validation = new Validation(deps, input, onProgress);
    try {
      return await validation.run(onlyLines, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof PilotlightError && error.code === 'file_not_found') {
        return { kind: 'invalid', errors: [ofFile(error.code, error.message)] };
      }
      throw error;
    }
  };
}

async function readOnlyLines(store: Pick<BlobStore, 'readAll'>, key: string): Promise<Uint8Array> {
  const lines = await store.readAll(key);
  if (lines) return lines;
  throw new PilotlightError('store_unavailable', `The list of rows to run again (${key}) is not in the store.`);
}

class Validation {
  readonly #deps: ValidationDeps;
  readonly #input: ValidationInput;
  readonly #onProgress: (percent: number) => void;
  readonly #routes: Routes;
  readonly #thread: ValidationThread;
  readonly #pump: FilePump;
  readonly #streams = new Map<string, BlobStream>();
  readonly #over = new AbortController();
  #readBytes = 0;
  #percent = -1;

  constructor(deps: ValidationDeps, input: ValidationInput, onProgress: (percent: number) => void) {
    this.#deps = deps;
    this.#input = input;
    this.#onProgress = onProgress;
    this.#routes = new Routes(input, deps.resolve);
    this.#thread = deps.startThread();
    this.#pump = new FilePump((message, transfer) => this.#thread.post(message, transfer));
  }

  async run(onlyLines: Uint8Array | null, callerSignal: AbortSignal): Promise<ValidationResult> {
    const signal = AbortSignal.any([callerSignal, this.#over.signal]);
    const wantsPlan = this.#input.planKey !== null;
    this.#thread.post({ kind: 'start', rules: this.#rules(), onlyLines, wantsPlan }, []);
    const pumped = this.#pumpFile(signal);
    try {
      const findings = await Promise.race([this.#serveThread(signal), onlyFailure(pumped)]);
      // The thread may be done before the file's end, with a file that is refused.
      const sentBytes = findings.valid ? await pumped : this.#input.file.bytes;
      if (sentBytes !== this.#input.file.bytes) return modified(sentBytes, this.#input.file.bytes);
      if (!findings.valid) return { kind: 'invalid', errors: findings.errors };
      for (const stream of this.#streams.values()) await stream.end();
      return { kind: 'valid', plan: this.#plan(findings), errors: findings.errors };
    } finally {
      this.#over.abort(new Error('the validation is over'));
      await this.#thread.stop();
      await Promise.allSettled([pumped, ...[...this.#streams.values()].map((stream) => stream.cancel())]);
    }
  }

  async #pumpFile(signal: AbortSignal): Promise<number> {
    return this.#pump.run(this.#deps.files.read(this.#input.file, undefined, signal), signal);
  }

  async #serveThread(signal: AbortSignal): Promise<FileFindings> {
    for (;;) {
      const message = await this.#thread.next(signal);
      switch (message.kind) {
        case 'read':
          this.#pump.giveBack(message.buffer);
          this.#tellProgress(message.bytes);
          break;
        case 'route':
          this.#thread.post({ kind: 'answer', answer: this.#routes.answer(message.route) }, []);
          break;
        case 'piece':
          await this.#write(message.of, message.bytes, signal);
          this.#thread.post({ kind: 'answer', answer: null }, []);
          break;
        case 'done':
          return message.findings;
      }
    }
  }

  async #write(of: 'plan' | 'wrong', bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { planKey } = this.#input;
    if (planKey === null) return;
    const key = of === 'plan' ? planKey : wrongRowsKey(planKey);
    const stream = this.#streams.get(key) ?? new BlobStream(this.#deps.store, key, signal);
    this.#streams.set(key, stream);
    await stream.write(bytes);
  }

  #tellProgress(bytes: number): void {
    this.#readBytes += bytes;
    const percent = Math.floor((this.#readBytes / Math.max(1, this.#input.file.bytes)) * 100);
    if (percent === this.#percent) return;
    this.#percent = percent;
    this.#onProgress(Math.min(100, percent));
  }

  #rules(): ThreadRules {
    const { rows, lineBytes, models, customIdBytes, inputs, json } = this.#deps.limits;
    const { batchId, endpoint, wishes } = this.#input;
    return {
      batchId,
      endpoint,
      rows,
      lineBytes,
      models,
      customIdBytes,
      inputs,
      json,
      onInvalidRow: wishes.onInvalidRow,
    };
  }

  #plan(findings: FileFindings): (ValidationResult & { kind: 'valid' })['plan'] {
    const { runnable, rows, inputBytes, longestRowBytes } = findings;
    const planKey = this.#input.planKey ?? '';
    return { runnable, total: rows, planKey, groups: this.#routes.groups(findings), inputBytes, longestRowBytes };
  }
}

/** Never resolves. */
async function onlyFailure(work: Promise<unknown>): Promise<never> {
  await work;
  return new Promise<never>(() => undefined);
}

function modified(readBytes: number, fileBytes: number): ValidationResult {
  const message = `The file had ${fileBytes} bytes when it was stored and ${readBytes} when it was read. Upload it again.`;
  return { kind: 'invalid', errors: [ofFile('input_modified', message)] };
}

function ofFile(code: string, message: string): BatchError {
  return { code, message, param: 'input_file_id', line: null };
}
