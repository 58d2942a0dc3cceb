import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rowRecords } from '../../../../src/batch/adapters/rows/row-records.ts';
import { answeredLine, failedLine, lineOfRowId, rowId } from '../../../../src/batch/policy/lines.ts';
import type { RowEnd } from '../../../../src/batch/ports.ts';
import { PilotlightError } from '../../../../src/core/errors.ts';
import { BATCH, customIdOf, FinaliseRig, type RowFate } from '../support/finalise-rig.ts';

interface Line {
  readonly id: string;
  readonly custom_id: string | null;
  readonly response: { readonly body: { readonly n: number } } | null;
  readonly error: { readonly code: string } | null;
}

function linesOf(rig: FinaliseRig, kind: 'output' | 'error'): readonly Line[] {
  const [, text = ''] = [...rig.outputs].find(([id]) => id.endsWith(`-${kind}`)) ?? [];
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

const rowsIn = (text: string): readonly (number | undefined)[] =>
  [...text.matchAll(/"id":"(batch_req_[^"]+)"/g)].map(([, id = '']) => lineOfRowId(id));
const rowsOf = (lines: readonly Line[]): readonly (number | undefined)[] => lines.map(({ id }) => lineOfRowId(id));
const linesWith = (fates: readonly RowFate[], isWanted: (fate: RowFate) => boolean): readonly number[] =>
  fates.flatMap((fate, line) => (isWanted(fate) ? [line] : []));

/** Ends of rows as a batch may have them: what has not run has expired, or was cancelled. */
const anyFates = fc
  .tuple(
    fc.constantFrom('expired', 'cancelled'),
    fc.array(fc.constantFrom('completed', 'failed', 'wrong', 'rest'), { minLength: 1, maxLength: 60 }),
  )
  .map(([rest, fates]) => fates.map((fate): RowFate => (fate === 'rest' ? (rest as RowFate) : (fate as RowFate))))
  .filter((fates) => fates.some((fate) => fate !== 'wrong'));

describe('the files of a batch', () => {
  it('have each row exactly once, in the order of the input', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyFates,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 8 }),
        async (fates, segments, models) => {
          const rig = await FinaliseRig.create(fates, { segments, models });
          const { counts } = await rig.finalise();
          const output = linesOf(rig, 'output');
          const errors = linesOf(rig, 'error');
          expect(rowsOf(output)).toEqual(linesWith(fates, (fate) => fate === 'completed'));
          expect(rowsOf(errors)).toEqual(linesWith(fates, (fate) => fate !== 'completed'));
          expect(counts).toEqual({ total: fates.length, completed: output.length, failed: errors.length });
          for (const { id, custom_id } of [...output, ...errors])
            expect(custom_id).toBe(customIdOf(lineOfRowId(id) ?? -1));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('say why a row did not run', async () => {
    const rig = await FinaliseRig.create(['completed', 'expired', 'wrong', 'failed']);
    const final = await rig.finalise();
    expect(linesOf(rig, 'error').map(({ error }) => error?.code)).toEqual([
      'batch_expired',
      'invalid_value',
      'upstream_error',
    ]);
    expect(linesOf(rig, 'output')[0]?.response?.body.n).toBe(0);
    expect(final).toMatchObject({
      outputFileId: expect.stringMatching(/^file-b-[0-9a-f]{12}-output$/) as string,
      errorFileId: expect.stringMatching(/^file-b-[0-9a-f]{12}-error$/) as string,
      usage: { inputTokens: 4, outputTokens: 2 },
    });
  });

  it('have a line without an id for rows that never ran when the input file is gone', async () => {
    const rig = await FinaliseRig.create(['completed', 'cancelled', 'wrong', 'cancelled']);
    const { createOutput } = rig.deps().files;

    async function* read(): AsyncGenerator<Uint8Array, void, void> {
      await Promise.resolve();
      throw new PilotlightError('file_not_found', 'No such File object: file-in');
    }
    const { counts } = await rig.finalise({ files: { read, createOutput } });
    expect(counts).toEqual({ total: 4, completed: 1, failed: 3 });
    expect(linesOf(rig, 'error').map(({ id, custom_id, error }) => [lineOfRowId(id), custom_id, error?.code])).toEqual([
      [1, null, 'batch_cancelled'],
      [2, customIdOf(2), 'invalid_value'],
      [3, null, 'batch_cancelled'],
    ]);
  });

  it('exist only where they have lines', async () => {
    expect(await (await FinaliseRig.create(['completed'])).finalise()).toMatchObject({ errorFileId: null });
    expect(await (await FinaliseRig.create(['cancelled'])).finalise()).toMatchObject({ outputFileId: null });
  });

  it('are the same when they are made again', async () => {
    const rig = await FinaliseRig.create(['completed', 'failed', 'completed', 'expired']);
    const first = await rig.finalise();
    const before = new Map(rig.outputs);
    rig.outputs.clear();
    expect(await rig.finalise()).toEqual(first);
    expect(rig.outputs).toEqual(before);
  });
});

describe('Redis lost while a batch is finalised', () => {
  /** Its rows have other records, of runs that lost before: after a loss these may be found first. */
  async function endOtherwise(rig: FinaliseRig, states: readonly ('completed' | 'failed')[]): Promise<void> {
    const log = rig.store.openLog(`batches/${BATCH}/rows/`);
    const ends: RowEnd[] = [];
    for (const [place, state] of states.entries()) {
      const head = { id: rowId(BATCH, place), customId: customIdOf(place) };
      const answer = { statusCode: 200, requestId: 'r', body: Buffer.from('{"n":7}') };
      const failure = { code: 'upstream_error', message: 'm' } as const;
      const line = state === 'completed' ? answeredLine(head, answer) : failedLine(head, failure);
      const end = { place, state, attempt: 1, usage: null };
      ends.push({ ...end, record: await log.append(rowRecords.encode({ ...end, batchId: BATCH }, line)) });
    }
    await log.close();
    rig.states.lose();
    await rig.states.open(BATCH, states.length, 'open');
    await rig.states.commit(BATCH, ends);
  }

  it('a file that was made before holds no row of the files that are published', async () => {
    const rig = await FinaliseRig.create(['completed', 'completed'], { models: 1 });
    await rig.finalise();
    await endOtherwise(rig, ['failed', 'completed']);
    const { outputFileId, errorFileId, counts } = await rig.finalise();
    const published = [outputFileId, errorFileId].map((id) => rowsIn(rig.outputs.get(id ?? '') ?? ''));
    expect({ published, counts }).toEqual({ published: [[1], [0]], counts: { total: 2, completed: 1, failed: 1 } });
  });

  it('between two files: nothing is published of two outcomes, although their counts are equal', async () => {
    const rig = await FinaliseRig.create(['completed', 'failed'], { models: 1 });
    const base = rig.deps().files;
    const files: typeof base = {
      ...base,
      createOutput: async (file, source, signal) => {
        const made = await base.createOutput(file, source, signal);
        if (file.id.endsWith('-output')) await endOtherwise(rig, ['failed', 'completed']);
        return made;
      },
    };
    await expect(rig.finalise({ files })).rejects.toMatchObject({ code: 'queue_unavailable' });
    expect([...rig.outputs.keys()].filter((id) => id.endsWith('-error'))).toEqual([]);
  });
});

describe('nothing short is published', () => {
  it('while a row has not ended', async () => {
    const rig = await FinaliseRig.create(['completed', 'pending']);
    await expect(rig.finalise()).rejects.toThrow('1 of 2 rows have ended, 1 are pending');
    expect(rig.outputs.size).toBe(0);
  });

  it('when totals and states disagree', async () => {
    const rig = await FinaliseRig.create(['completed', 'completed', 'failed']);
    const states = {
      words: rig.states.words.bind(rig.states),
      totals: async () => ({ ...(await rig.states.totals(BATCH)), completed: 3, failed: 0 }),
    };
    await expect(rig.finalise({ states })).rejects.toThrow('output file would have 2 lines instead of 3');
    expect(rig.outputs.size).toBe(0);
  });

  it.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
    ['is damaged', (bytes) => Buffer.from(bytes).fill(0x78, bytes.length - 3), /damaged record/],
    ['is cut short', (bytes) => bytes.subarray(0, bytes.length - 1), /is cut short/],
  ])('when a record %s', async (_name, damage, message) => {
    const rig = await FinaliseRig.create(['completed', 'completed'], { segments: 1, models: 1 });
    const key = rig.store.keys.find((name) => name.includes('/rows/')) ?? '';
    const blob = rig.store.blobs.get(key);
    if (!blob) throw new Error('there is a segment');
    blob.bytes = damage(blob.bytes);
    await expect(rig.finalise()).rejects.toThrow(message);
    expect(rig.outputs.size).toBe(0);
  });

  it('when a record is that of another row', async () => {
    const rig = await FinaliseRig.create(['completed', 'completed'], { models: 1 });
    const states = {
      totals: rig.states.totals.bind(rig.states),
      words: async (id: string, first: number, count: number) =>
        [...(await rig.states.words(id, first, count))].reverse(),
    };
    await expect(rig.finalise({ states })).rejects.toThrow('has the record of another');
  });

  it('when segment or plan are gone', async () => {
    const rig = await FinaliseRig.create(['completed']);
    for (const key of rig.store.keys) {
      const blob = rig.store.blobs.get(key);
      await rig.store.delete(key);
      await expect(rig.finalise()).rejects.toMatchObject({ code: 'store_unavailable' });
      if (blob) rig.store.blobs.set(key, blob);
    }
  });

  it('when it is aborted, or the store fails', async () => {
    const rig = await FinaliseRig.create(['completed', 'expired']);
    const aborted = AbortSignal.abort(new Error('not now'));
    await expect(rig.finalise({}, aborted)).rejects.toThrow('not now');
    rig.store.fault = (_operation, key) => {
      if (key.includes('/rows/')) throw new PilotlightError('store_unavailable', 'The disk is gone.');
    };
    await expect(rig.finalise()).rejects.toThrow('The disk is gone.');
    expect(rig.outputs.size).toBe(0);
  });
});

describe('rows of a batch that runs', () => {
  const fates: readonly RowFate[] = ['completed', 'pending', 'failed', 'wrong', 'pending', 'completed'];

  it('are read in input order, from any row on', async () => {
    const rig = await FinaliseRig.create(fates);
    const rows = async (after: number, limit: number) => {
      const { items, hasMore } = await rig.readRows(after, limit);
      return [items.map(({ row }) => row), hasMore];
    };
    expect(await rows(-1, 10)).toEqual([[0, 2, 3, 5], false]);
    expect(await rows(-1, 2)).toEqual([[0, 2], true]);
    expect(await rows(2, 2)).toEqual([[3, 5], false]);
    expect(await rows(5, 2)).toEqual([[], false]);
  });

  it('give each row once over all pages', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<RowFate>('completed', 'pending', 'wrong'), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 7 }),
        async (some, limit) => {
          const rig = await FinaliseRig.create(['completed', ...some], { models: 4 });
          const seen: number[] = [];
          for (let after = -1, more = true; more; ) {
            const { items, hasMore } = await rig.readRows(after, limit);
            seen.push(...items.map(({ row }) => row));
            after = seen.at(-1) ?? after;
            more = hasMore;
          }
          expect(seen).toEqual(linesWith(['completed', ...some], (fate) => fate !== 'pending'));
        },
      ),
      { numRuns: 30 },
    );
  });
});
