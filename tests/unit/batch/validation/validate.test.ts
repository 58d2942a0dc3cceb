import { afterEach, describe, expect, it } from 'vitest';
import { PilotlightError } from '../../../../src/core/errors.ts';
import { startValidationThread } from '../../../../src/batch/adapters/validation/validation-thread.ts';
import { readPlanEntries, wrongRowsKey } from '../../../../src/batch/policy/plan-entry.ts';
import type { ValidationInput, ValidationResult } from '../../../../src/batch/ports.ts';
import { createValidate, type ValidationDeps } from '../../../../src/batch/validation/validate.ts';
import { BATCH_WORKER_ENTRY } from '../../../../src/roles/batch-worker.ts';
import { MemoryBlobStore } from '../../../support/memory-blob-store.ts';
import { row } from '../support/batch-file.ts';
import { inChunks, LIMITS, resolve, validationInput } from '../support/validation-rig.ts';

const PLAN = 'batches/batch_b/plan-1';
const utf8 = new TextEncoder();

interface Tried {
  readonly result: ValidationResult;
  readonly store: MemoryBlobStore;
  readonly percents: readonly number[];
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function rig(file: string | Uint8Array, deps: Partial<ValidationDeps> = {}) {
  const bytes = typeof file === 'string' ? utf8.encode(file) : file;
  const store = new MemoryBlobStore();
  const validate = createValidate({
    store,
    files: { read: () => inChunks(bytes, 10_000) },
    startThread: () => {
      const thread = startValidationThread(BATCH_WORKER_ENTRY);
      stops.push(() => thread.stop());
      return thread;
    },
    resolve,
    limits: LIMITS,
    ...deps,
  });
  const run = async (changes: Partial<ValidationInput> = {}, signal = new AbortController().signal): Promise<Tried> => {
    const percents: number[] = [];
    const input = validationInput(bytes.length, changes);
    const result = await validate(input, { signal, onProgress: (percent) => percents.push(percent) });
    return { result, store, percents };
  };
  return { run, store };
}

function manyRows(count: number): string {
  return Array.from({ length: count }, (_, index) => row(`r${index}`, {}, { model: index % 2 ? 'n' : 'm' })).join('\n');
}

describe('a batch file is validated in a thread', () => {
  it('and its plan is written, group after group', async () => {
    const { result, store, percents } = await rig(manyRows(40_000)).run();
    if (result.kind !== 'valid') throw new Error(JSON.stringify(result.errors[0]));
    expect(result.plan).toMatchObject({ runnable: 40_000, total: 40_000, planKey: PLAN });
    expect(result.plan.groups.map(({ model, firstPlace, rows }) => [model, firstPlace, rows])).toEqual([
      ['m', 0, 20_000],
      ['n', 20_000, 20_000],
    ]);
    const entries = readPlanEntries((await store.readAll(PLAN)) ?? new Uint8Array());
    expect(entries.map(({ line }) => line)).toEqual(
      Array.from({ length: 40_000 }, (_, at) => (at % 20_000) * 2 + (at < 20_000 ? 0 : 1)),
    );
    expect(percents.at(-1)).toBe(100);
    expect(percents.length).toBeGreaterThan(2);
  });

  it('names that lead to one place share a group', async () => {
    const { result } = await rig([row('a'), row('b', {}, { model: 'm-alias' })].join('\n')).run();
    expect(result.kind === 'valid' && result.plan.groups).toMatchObject([{ model: 'm', rows: 2 }]);
  });

  it('the objective of a row goes before that of its batch', async () => {
    const file = [row('a'), row('b', { pilotlight: { objective: 'night' } })].join('\n');
    const { result } = await rig(file).run({ objective: 'day' });
    expect(result.kind === 'valid' && result.plan.groups.map(({ objective }) => objective)).toEqual(['day', 'night']);
  });

  it('errors are told with their lines, and no plan is written', async () => {
    const { result, store } = await rig(`${row('a')}\n{\n${row('b', {}, { model: 'missing' })}`).run();
    expect(result.kind === 'invalid' && result.errors.map(({ code, line }) => [code, line])).toEqual([
      ['invalid_json_line', 2],
      ['model_not_found', 3],
    ]);
    expect(store.keys).toEqual([]);
    expect(store.unfinished).toBe(0);
  });

  it('a line of 9 MiB is told with its number, and the rest is checked', async () => {
    const long = row('long', {}, { user: 'x'.repeat(9 * 2 ** 20) });
    const { result } = await rig([row('a'), long, row('b', { method: 'PUT' })].join('\n')).run();
    expect(result.kind === 'invalid' && result.errors.map(({ code, line }) => [code, line])).toEqual([
      ['row_too_large', 2],
      ['invalid_value', 3],
    ]);
  });

  it('wrong rows that are left out have their lines in a blob beside the plan', async () => {
    const wishes = { ...validationInput(0).wishes, onInvalidRow: 'skip' as const };
    const { result, store } = await rig(`{\n${row('a')}\n{`).run({ wishes });
    expect(result).toMatchObject({ kind: 'valid', plan: { runnable: 1, total: 3 } });
    const lines = store.text(wrongRowsKey(PLAN)).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(['batch_req_b_1', 'batch_req_b_3']);
  });

  it('a dry run writes nothing', async () => {
    const { result, store } = await rig(manyRows(10)).run({ planKey: null });
    expect(result).toMatchObject({ kind: 'valid', plan: { runnable: 10 } });
    expect(store.keys).toEqual([]);
  });

  it('only the rows that are listed run again', async () => {
    const { run, store } = rig(manyRows(10));
    await store.put('only', inChunks(new Uint8Array(Uint32Array.of(7, 2).buffer), 8));
    const { result } = await run({ onlyRowsKey: 'only' });
    expect(result).toMatchObject({ kind: 'valid', plan: { runnable: 2 } });
    const entries = readPlanEntries((await store.readAll(PLAN)) ?? new Uint8Array());
    expect(entries.map(({ line }) => line)).toEqual([2, 7]);
  });
});

describe('a file that cannot be read as it should', () => {
  const gone = (): AsyncIterable<Uint8Array> => {
    throw new PilotlightError('file_not_found', "No such File object: 'file-in'.");
  };

  it('is invalid when it is too large', async () => {
    const limits = { ...LIMITS, batchFileBytes: 10 };
    const { result } = await rig(row('a'), { limits }).run();
    expect(result).toMatchObject({ kind: 'invalid', errors: [{ code: 'file_too_large' }] });
  });

  it('is invalid when it was deleted', async () => {
    const { result } = await rig(row('a'), { files: { read: gone } }).run();
    expect(result).toMatchObject({ kind: 'invalid', errors: [{ code: 'file_not_found', param: 'input_file_id' }] });
  });

  it('is invalid when it is not as long as it was', async () => {
    const { result } = await rig(row('a'), { files: { read: () => inChunks(utf8.encode(`${row('a')}\n`), 9) } }).run();
    expect(result).toMatchObject({ kind: 'invalid', errors: [{ code: 'input_modified' }] });
  });

  it('is no fault of the file when the store fails: while reading, and while writing the plan', async () => {
    const failing = new PilotlightError('store_unavailable', 'The disk is gone.');
    async function* half(): AsyncGenerator<Uint8Array> {
      yield* inChunks(utf8.encode(manyRows(100)), 100);
      throw failing;
    }
    await expect(rig(manyRows(101), { files: { read: half } }).run()).rejects.toBe(failing);
    const { run, store } = rig(manyRows(100));
    store.fault = (operation) => {
      if (operation === 'put') throw failing;
    };
    await expect(run()).rejects.toBe(failing);
  });
});

describe('a validation ends early', () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    const chunk = utf8.encode('x'.repeat(262_144));
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      yield chunk;
    }
  }

  it('at a line without end, and reads no further', async () => {
    const { result } = await rig('', { files: { read: endless } }).run();
    expect(result).toMatchObject({ kind: 'invalid', errors: [{ code: 'row_too_large' }] });
  });

  it('when it is aborted', async () => {
    const aborting = new AbortController();
    async function* abortingSoon(): AsyncGenerator<Uint8Array> {
      yield* inChunks(utf8.encode(`${manyRows(1_000)}\n`), 10_000);
      aborting.abort(new Error('not wanted any more'));
      yield* inChunks(utf8.encode(manyRows(1_000)), 10_000);
    }
    const { run, store } = rig('', { files: { read: abortingSoon } });
    await expect(run({}, aborting.signal)).rejects.toThrow('not wanted any more');
    expect(store.unfinished).toBe(0);
  });

  it('as a failure of ours when its thread cannot start, or dies', async () => {
    for (const entry of ['data:text/javascript,throw new Error("broken")', 'data:text/javascript,process.exit(3)']) {
      const startThread = () => startValidationThread(new URL(entry));
      await expect(rig(row('a'), { startThread }).run()).rejects.toMatchObject({ code: 'internal_error' });
    }
  });
});
