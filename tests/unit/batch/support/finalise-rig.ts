import { decodeRowRecord, rowRecords } from '../../../../src/batch/adapters/rows/row-records.ts';
import { createFinalise, type FinaliseDeps } from '../../../../src/batch/finalise/finalise.ts';
import { createReadRows } from '../../../../src/batch/finalise/read-rows.ts';
import { answeredLine, failedLine, rowId } from '../../../../src/batch/policy/lines.ts';
import { PLAN_ENTRY_BYTES, readPlanEntries } from '../../../../src/batch/policy/plan-entry.ts';
import type { BatchDoc, BatchPlan, RowState } from '../../../../src/batch/ports.ts';
import { MemoryRowStates } from '../../../../src/batch/rows/memory-row-states.ts';
import { createValidate } from '../../../../src/batch/validation/validate.ts';
import type { ByteRange, SegmentLog } from '../../../../src/core/blobs.ts';
import { serveValidation } from '../../../../src/batch/validation/serve-validation.ts';
import type { FromThread, ToThread, ValidationThread } from '../../../../src/batch/validation/ports.ts';
import { checkRowBody } from '../../../../src/roles/batch-worker.ts';
import { MemoryBlobStore } from '../../../support/memory-blob-store.ts';
import { row } from './batch-file.ts';
import { IDENTITY, inChunks, LIMITS, resolve, storedFile, validationInput } from './validation-rig.ts';

export const BATCH = 'batch_b';
const utf8 = new TextEncoder();

/** What is to become of each line; a wrong row is left out by validation. */
export type RowFate = RowState | 'wrong';

/** A batch of these rows, validated, whose rows have come to what is wanted; records spread over several segments. */
export class FinaliseRig {
  readonly store = new MemoryBlobStore();
  readonly states = new MemoryRowStates();
  readonly outputs = new Map<string, string>();
  readonly doc: BatchDoc;
  readonly #input: Uint8Array;

  private constructor(input: Uint8Array, doc: BatchDoc) {
    this.#input = input;
    this.doc = doc;
  }

  static async create(
    fates: readonly RowFate[],
    options: { readonly segments?: number; readonly models?: number } = {},
  ): Promise<FinaliseRig> {
    const { segments = 3, models = 3 } = options;
    const lines = fates.map((fate, line) =>
      row(customIdOf(line), fate === 'wrong' ? { method: 'PUT' } : {}, { model: `m${line % models}` }),
    );
    const input = utf8.encode(lines.join('\n'));
    const rig = new FinaliseRig(input, docOf(input.length));
    const plan = await rig.#validate();
    Object.assign(rig.doc, { plan });
    await rig.#run(fates, plan, segments);
    return rig;
  }

  deps(changes: Partial<FinaliseDeps> = {}): FinaliseDeps {
    return {
      store: this.store,
      states: this.states,
      decodeRecord: decodeRowRecord,
      files: {
        read: (_file, range) => inChunks(cut(this.#input, range), 777),
        createOutput: async (file, source) => {
          let text = '';
          for await (const chunk of source) text += Buffer.from(chunk).toString();
          this.outputs.set(file.id, text);
          return storedFile(text.length, { id: file.id, tenant: file.tenant, filename: file.filename });
        },
      },
      ...changes,
    };
  }

  finalise(changes: Partial<FinaliseDeps> = {}, signal = new AbortController().signal) {
    return createFinalise(this.deps(changes))(this.doc, { signal, onProgress: () => undefined });
  }

  readRows(afterRow: number, limit: number) {
    return createReadRows(this.deps())(this.doc, afterRow, limit);
  }

  async #validate(): Promise<BatchPlan> {
    const validate = createValidate({
      store: this.store,
      files: { read: () => inChunks(this.#input, 5_000) },
      startThread: threadInPlace,
      resolve,
      limits: { ...LIMITS, models: 1_000 },
    });
    const wishes = { ...validationInput(0).wishes, onInvalidRow: 'skip' as const };
    const input = validationInput(this.#input.length, { wishes });
    const result = await validate(input, { signal: new AbortController().signal, onProgress: () => undefined });
    if (result.kind === 'valid') return result.plan;
    throw new Error(JSON.stringify(result.errors));
  }

  /** Ends the rows in an order that is not that of the file. */
  async #run(fates: readonly RowFate[], plan: BatchPlan, segments: number): Promise<void> {
    await this.states.open(BATCH, plan.runnable, 'open');
    const entries = readPlanEntries(Buffer.from((await this.store.readAll(plan.planKey)) ?? []));
    const logs = Array.from({ length: segments }, () => this.store.openLog(`batches/${BATCH}/rows/`));
    const order = entries.slice(0, plan.runnable).map(({ line }, place) => ({ line, place }));
    order.sort((a, b) => ((a.line * 7_919) % 101) - ((b.line * 7_919) % 101));
    for (const { line, place } of order) {
      const fate = fates[line];
      const log = logs[line % logs.length];
      if ((fate === 'completed' || fate === 'failed') && log) await this.#end(log, line, place, fate);
    }
    for (const fate of ['expired', 'cancelled'] as const) {
      if (fates.includes(fate) && !fates.includes('pending')) await this.states.closePending(BATCH, fate);
    }
    await Promise.all(logs.map((log) => log.close()));
    if (PLAN_ENTRY_BYTES * plan.total !== this.store.blobs.get(plan.planKey)?.bytes.length)
      throw new Error('a plan of another length');
  }

  async #end(log: SegmentLog, line: number, place: number, state: 'completed' | 'failed'): Promise<void> {
    const head = { id: rowId(BATCH, line), customId: customIdOf(line) };
    const body = utf8.encode(`{"n":${line}}`);
    const written =
      state === 'completed'
        ? answeredLine(head, { statusCode: 200, requestId: 'r', body })
        : failedLine(head, { code: 'upstream_error', message: 'm' });
    const usage = { inputTokens: 2, cachedTokens: 0, outputTokens: 1, reasoningTokens: 0 };
    const record = await log.append(rowRecords.encode({ batchId: BATCH, place, attempt: 1, state, usage }, written));
    await this.states.commit(BATCH, [{ place, state, attempt: 1, record, usage }]);
  }
}

export function customIdOf(line: number): string {
  return `row ${line}`;
}

function cut(bytes: Uint8Array, range: ByteRange | undefined): Uint8Array {
  return range ? bytes.subarray(range.firstByte, range.lastByte + 1) : bytes;
}

/** The thread's work, done here: quicker to start. */
function threadInPlace(): ValidationThread {
  const messages: FromThread[] = [];
  let wake = (): void => undefined;
  let listener: (message: ToThread) => void = () => undefined;
  const post = (message: FromThread): void => {
    messages.push(message);
    wake();
  };
  void serveValidation({ post, onMessage: (listen) => (listener = listen) }, checkRowBody);
  return {
    post: (message) => listener(message),
    next: async () => {
      while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const message = messages.shift();
      if (!message) throw new Error('there is a message');
      return message;
    },
    stop: () => Promise.resolve(),
  };
}

function docOf(bytes: number): BatchDoc {
  return {
    id: BATCH,
    generation: 1,
    identity: IDENTITY,
    inputFile: storedFile(bytes),
    onlyRowsKey: null,
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata: null,
    outputExpiresAfterMs: null,
    wishes: validationInput(0).wishes,
    createdAtEpochMs: 0,
    expiresAtEpochMs: 86_400_000,
    retryOf: null,
    retriedBy: null,
    status: 'finalizing',
    stamps: {
      inProgressAtEpochMs: 0,
      finalizingAtEpochMs: 0,
      completedAtEpochMs: null,
      failedAtEpochMs: null,
      expiredAtEpochMs: null,
      cancellingAtEpochMs: null,
      cancelledAtEpochMs: null,
    },
    errors: null,
    plan: null,
    pause: null,
    ending: null,
    final: null,
  };
}
