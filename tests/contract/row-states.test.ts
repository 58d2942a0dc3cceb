import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { RedisRowStates } from '../../src/batch/adapters/rows/redis-row-states.ts';
import { type RowEnd, type RowStates, RowStatesLost } from '../../src/batch/ports.ts';
import { MemoryRowStates } from '../../src/batch/rows/memory-row-states.ts';
import { seededRandom } from '../../src/core/random.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const BATCH = 'batch_1';
const USAGE = { inputTokens: 7, cachedTokens: 1, outputTokens: 3, reasoningTokens: 2 };
const NO_USAGE = { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 };
const random = seededRandom(1);
let round = 0;

function endOf(place: number, fields: Partial<RowEnd> = {}): RowEnd {
  const record = { key: `batches/${BATCH}/rows/r1/s1.seg`, offsetBytes: 100 * place, lengthBytes: 100 };
  return { place, state: 'completed', attempt: 1, record, usage: USAGE, ...fields };
}

beforeEach(() => {
  round += 1;
});

describe.each([
  ['memory', (): RowStates => new MemoryRowStates()],
  ['Redis', (): RowStates => new RedisRowStates(redis.client, `${redis.prefix}-${round}`, random)],
])('row states in %s', (_name, create) => {
  test('a batch that was opened has only pending rows, and opening it again changes nothing', async () => {
    const states = create();
    await states.open(BATCH, 3, 'paused');
    await states.commit(BATCH, [endOf(1)]);
    await states.open(BATCH, 3, 'open');
    expect(await states.totals(BATCH)).toEqual({
      pending: 2,
      completed: 1,
      failed: 0,
      expired: 0,
      cancelled: 0,
      usage: USAGE,
      gate: 'paused',
    });
    expect((await states.words(BATCH, 0, 3)).map(({ state }) => state)).toEqual(['pending', 'completed', 'pending']);
  });

  test('the first terminal state of a row wins, and the same end again still stands without counting twice', async () => {
    const states = create();
    await states.open(BATCH, 4, 'open');
    const first = endOf(2, { attempt: 3 });
    const other = { key: `batches/${BATCH}/rows/r2/s9.seg`, offsetBytes: 5_000_000_000, lengthBytes: 77 };
    const second = endOf(2, { state: 'failed', record: other });
    expect((await states.commit(BATCH, [first, endOf(3, { state: 'failed', usage: null })])).counted).toEqual([
      true,
      true,
    ]);
    const again = await states.commit(BATCH, [second, first, endOf(0, { record: other })]);
    expect(again.counted).toEqual([false, true, true]);
    expect(again.totals).toMatchObject({ pending: 1, completed: 2, failed: 1, usage: { inputTokens: 14 } });
    expect(await states.words(BATCH, 0, 4)).toEqual([
      { state: 'completed', attempt: 1, record: other },
      { state: 'pending', attempt: 0, record: null },
      { state: 'completed', attempt: 3, record: first.record },
      { state: 'failed', attempt: 1, record: endOf(3).record },
    ]);
  });

  test('closing ends what is pending, and nothing is taken afterwards', async () => {
    const states = create();
    await states.open(BATCH, 50_000, 'open');
    await states.commit(BATCH, [endOf(0), endOf(49_999)]);
    const totals = await states.closePending(BATCH, 'expired');
    expect(totals).toMatchObject({ pending: 0, completed: 2, expired: 49_998, gate: 'closed' });
    expect(await states.closePending(BATCH, 'cancelled')).toEqual(totals);
    const late = await states.commit(BATCH, [endOf(5), endOf(0)]);
    expect(late).toMatchObject({ counted: [false, true], totals });
    expect(await states.words(BATCH, 4, 2)).toEqual([
      { state: 'expired', attempt: 0, record: null },
      { state: 'expired', attempt: 0, record: null },
    ]);
    await states.setGate(BATCH, 'open');
    expect((await states.totals(BATCH)).gate).toBe('closed');
  });

  test('nothing is taken by a closed gate, everything by the others', async () => {
    const states = create();
    await states.open(BATCH, 3, 'open');
    for (const [place, gate] of (['open', 'paused', 'closing'] as const).entries()) {
      await states.setGate(BATCH, gate);
      expect((await states.commit(BATCH, [endOf(place)])).counted).toEqual([true]);
    }
    expect((await states.totals(BATCH)).pending).toBe(0);
  });

  test('crashes of a row are counted', async () => {
    const states = create();
    await states.open(BATCH, 3, 'open');
    expect(await states.crashes(BATCH, 1, false)).toBe(0);
    expect([await states.crashes(BATCH, 1, true), await states.crashes(BATCH, 1, true)]).toEqual([1, 2]);
    expect(await states.crashes(BATCH, 1, false)).toBe(2);
    expect(await states.crashes(BATCH, 2, false)).toBe(0);
  });

  test('a batch that was never opened, or was dropped, is lost', async () => {
    const states = create();
    await states.open(BATCH, 3, 'open');
    await states.drop(BATCH);
    const asked = [
      states.totals(BATCH),
      states.words(BATCH, 0, 1),
      states.commit(BATCH, [endOf(0)]),
      states.setGate(BATCH, 'open'),
      states.closePending(BATCH, 'expired'),
      states.crashes(BATCH, 0, true),
    ];
    for (const answer of asked) await expect(answer).rejects.toBeInstanceOf(RowStatesLost);
  });

  test('a batch without rows can be opened and closed', async () => {
    const states = create();
    await states.open(BATCH, 0, 'open');
    expect(await states.words(BATCH, 0, 0)).toEqual([]);
    expect(await states.commit(BATCH, [])).toMatchObject({ counted: [], totals: { pending: 0 } });
    expect(await states.closePending(BATCH, 'expired')).toMatchObject({ pending: 0, usage: NO_USAGE });
  });

  test('a place outside the batch is a defect and is named', async () => {
    const states = create();
    await states.open(BATCH, 3, 'open');
    await expect(states.commit(BATCH, [endOf(3)])).rejects.toMatchObject({ code: 'internal_error' });
  });

  test('more ends than one script takes are all taken', async () => {
    const states = create();
    await states.open(BATCH, 2_500, 'open');
    const { counted, totals } = await states.commit(
      BATCH,
      Array.from({ length: 2_500 }, (_, place) => endOf(place)),
    );
    expect(counted.filter(Boolean)).toHaveLength(2_500);
    expect(totals).toMatchObject({ pending: 0, completed: 2_500, usage: { inputTokens: 17_500 } });
  });
});

test('memory and Redis agree on any sequence of ends', async () => {
  const rows = 12;
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('commit' as const),
      ends: fc.array(
        fc.record({
          place: fc.nat(rows - 1),
          state: fc.constantFrom('completed' as const, 'failed' as const),
          by: fc.nat(3),
        }),
        { maxLength: 6 },
      ),
    }),
    fc.record({ kind: fc.constant('gate' as const), gate: fc.constantFrom('open' as const, 'paused' as const) }),
    fc.record({
      kind: fc.constant('close' as const),
      state: fc.constantFrom('expired' as const, 'cancelled' as const),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      round += 1;
      const both = [new MemoryRowStates(), new RedisRowStates(redis.client, `${redis.prefix}-${round}`, random)];
      const seen = await Promise.all(
        both.map(async (states: RowStates) => {
          const answers: unknown[] = [];
          await states.open(BATCH, rows, 'open');
          for (const one of steps) {
            if (one.kind === 'gate') await states.setGate(BATCH, one.gate);
            else if (one.kind === 'close') answers.push(await states.closePending(BATCH, one.state));
            else {
              const ends = one.ends.map(({ place, state, by }) =>
                endOf(place, {
                  state,
                  record: { key: `batches/${BATCH}/rows/${by}-${state}`, offsetBytes: place, lengthBytes: 9 },
                }),
              );
              answers.push(await states.commit(BATCH, ends));
            }
          }
          return [answers, await states.words(BATCH, 0, rows), await states.totals(BATCH)];
        }),
      );
      expect(seen[1]).toEqual(seen[0]);
    }),
    { numRuns: 60 },
  );
});

test('segments get new numbers after Redis lost a batch, and words are read with the new ones', async () => {
  const states = new RedisRowStates(redis.client, `${redis.prefix}-${round}`, random);
  const at = (key: string) => ({ key: `batches/${BATCH}/rows/${key}`, offsetBytes: 1, lengthBytes: 2 });
  await states.open(BATCH, 2, 'open');
  await states.commit(BATCH, [endOf(0, { record: at('a') }), endOf(1, { record: at('b') })]);
  expect((await states.words(BATCH, 0, 2)).map(({ record }) => record)).toEqual([at('a'), at('b')]);
  await redis.client.unlink(`${redis.prefix}-${round}:{batch/${BATCH}}:rows`);
  await expect(states.totals(BATCH)).rejects.toBeInstanceOf(RowStatesLost);
  await states.open(BATCH, 2, 'open');
  await states.commit(BATCH, [endOf(0, { record: at('b') }), endOf(1, { record: at('a') })]);
  expect((await states.words(BATCH, 0, 2)).map(({ record }) => record)).toEqual([at('b'), at('a')]);
});

test('two hundred thousand rows cost Redis at most 4 MB', async () => {
  const prefix = `${redis.prefix}-${round}`;
  const states = new RedisRowStates(redis.client, prefix, random);
  await states.open(BATCH, 200_000, 'open');
  for (let first = 0; first < 200_000; first += 20_000) {
    const ends = Array.from({ length: 20_000 }, (_, index) =>
      endOf(first + index, {
        record: {
          key: `batches/${BATCH}/rows/run/${Math.floor(first / 400)}.seg`,
          offsetBytes: index * 700,
          lengthBytes: 700,
        },
      }),
    );
    await states.commit(BATCH, ends);
  }
  const keys = await redis.client.keys(`${prefix}:*`);
  const bytes = await Promise.all(keys.map((key) => redis.client.memory('USAGE', key, 'SAMPLES', 0)));
  expect(bytes.reduce((sum: number, one) => sum + Number(one), 0)).toBeLessThan(4_200_000);
});
