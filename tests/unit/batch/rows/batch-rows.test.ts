import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../../src/core/random.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { type RowProcessOptions, startRowProcess } from '../../../support/row-process.ts';
import { type BatchFields, RowWorld } from '../../../support/row-world.ts';

const MAX_TURNS = 2_000;

function newWorld() {
  const clock = new FakeClock();
  return { clock, world: new RowWorld({ clock }) };
}

/** Lets time pass until the condition holds. */
async function drive(clock: FakeClock, condition: () => boolean | Promise<boolean>, stepMs = 100): Promise<void> {
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    if (await condition()) return;
    await clock.advance(stepMs);
  }
  throw new Error('it never came to that');
}

const pendingOf = async (world: RowWorld, id: string) => (await world.states.totals(id)).pending;

async function runWhole(fields: BatchFields, options: RowProcessOptions = {}) {
  const { clock, world } = newWorld();
  const process = startRowProcess(world, options);
  const doc = await world.addBatch(fields);
  await process.rows.supply(doc);
  await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
  await drive(clock, () => world.live.size === 0);
  return { clock, world, process, doc, rows: await world.outcome(doc.id), totals: await world.states.totals(doc.id) };
}

const codeOf = (line: string): string => (JSON.parse(line) as { error: { code: string } }).error.code;

describe('a batch', () => {
  test('has each row run once and recorded under its own id', async () => {
    const { world, rows, totals, doc } = await runWhole({ rows: 137 });
    expect(totals).toMatchObject({ pending: 0, completed: 137, failed: 0 });
    expect(totals.usage).toEqual({ inputTokens: 685, cachedTokens: 137, outputTokens: 274, reasoningTokens: 0 });
    expect([...world.tries.values()]).toEqual(Array.from({ length: 137 }, () => 1));
    for (const [place, { state, line }] of rows.entries()) {
      expect(state).toBe('completed');
      const id = `batch_req_1_${place + 1}`;
      expect(JSON.parse(line)).toEqual({
        id,
        custom_id: `ticket-${place}`,
        response: { status_code: 200, request_id: id, body: { answer: `to ${id}` } },
        error: null,
      });
    }
    expect(doc.plan?.runnable).toBe(137);
  });

  test('is supplied again when its states went back, whoever was told of that', async () => {
    const { clock, world } = newWorld();
    const engine: RowProcessOptions['engine'] = async () => {
      await clock.sleep(500);
      return { status: 200 };
    };
    const process = startRowProcess(world, { engine, window: 10 });
    const doc = await world.addBatch({ rows: 120 });
    await process.rows.supply(doc);
    await drive(clock, async () => (await pendingOf(world, doc.id)) < 30);
    await world.states.drop(doc.id);
    await world.states.open(doc.id, 120, 'open');
    await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
    expect([...world.tries.keys()]).toHaveLength(120);
  });

  test('reaches the engine with the body as it was written', async () => {
    const bodies: string[] = [];
    await runWhole(
      { rows: 3 },
      {
        engine: ({ body }) => {
          bodies.push(body);
          return { status: 200 };
        },
      },
    );
    expect(bodies[1]).toBe('{"model":"chat","messages":[{"role":"user","content":"ticket 1 \\"quoted\\" {["}]}');
  });

  test('tells its attempts when that was asked for', async () => {
    const engine: RowProcessOptions['engine'] = ({ tries }) => (tries < 3 ? { status: 503 } : { status: 200 });
    const { rows } = await runWhole({ rows: 1, includeRowMeta: true }, { engine });
    expect(JSON.parse(rows[0]?.line ?? '')).toMatchObject({
      pilotlight: { attempts: 3, waited_ms: 3, last_error: 'The model server answered with status 503.' },
    });
  });

  test.each([
    ['a refusal is final at the first try', { status: 400, body: '{"error":{"message":"no"}}' }, 1],
    ['a 429 is tried five times', { status: 429 }, 5],
    ['an engine that answers with an error is tried five times', { fails: 'upstream_error' as const }, 5],
    ['an answer that is too large is final', { fails: 'upstream_response_too_large' as const }, 1],
  ])('%s', async (_name, behaviour, tries) => {
    const { rows, totals, world } = await runWhole({ rows: 2 }, { engine: () => behaviour });
    expect(totals).toMatchObject({ completed: 0, failed: 2 });
    expect([...world.tries.values()]).toEqual([tries, tries]);
    const line = JSON.parse(rows[0]?.line ?? '') as Record<string, unknown>;
    if ('status' in behaviour) expect(line).toMatchObject({ response: { status_code: behaviour.status }, error: null });
    else expect(line).toMatchObject({ response: null, error: { code: behaviour.fails } });
  });

  test('a row that was handed back is run again and uses no attempt', async () => {
    const engine: RowProcessOptions['engine'] = ({ tries }) =>
      tries < 12 ? { handedBack: 'lease_lost' } : { status: 200 };
    const { totals } = await runWhole({ rows: 2 }, { engine });
    expect(totals.completed).toBe(2);
  });

  test('a row that breaks engines runs alone at last and is then given up; its neighbours end well', async () => {
    let running = 0;
    let companyOfLast = -1;
    const engine: RowProcessOptions['engine'] = async ({ id, tries }) => {
      const isPoison = id.endsWith('_5');
      if (isPoison) companyOfLast = running;
      running += 1;
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return isPoison && tries > 0 ? { fails: 'upstream_aborted' } : { status: 200 };
    };
    const { rows, world } = await runWhole({ rows: 60 }, { engine, rowAttempts: 9 });
    expect(rows.filter(({ state }) => state === 'completed')).toHaveLength(59);
    expect(codeOf(rows[4]?.line ?? '')).toBe('row_quarantined');
    expect(world.tries.get('batch_req_1_5')).toBe(4);
    expect(companyOfLast).toBe(0);
  });

  test('a line that is not what was validated ends as an error of its own', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world);
    const doc = await world.addBatch({ rows: 3 });
    const [part] = doc.inputFile.parts;
    const text = await world.store.readAll(part?.key ?? '');
    text?.fill(0x20, 0, 20);
    await world.store.delete(part?.key ?? '');
    await world.store.put(part?.key ?? '', Readable.from([text]));
    await process.rows.supply(doc);
    await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
    const rows = await world.outcome(doc.id);
    expect(rows.map(({ state }) => state)).toEqual(['failed', 'completed', 'completed']);
    expect(codeOf(rows[0]?.line ?? '')).toBe('invalid_file');
  });

  test('rows of several objectives go their own ways', async () => {
    const { totals, process } = await runWhole({ rows: 40, objectives: ['nightly', 'urgent'] });
    expect(totals.completed).toBe(40);
    expect(process.ledger.bulks.size).toBe(0);
  });
});

describe('a batch that cannot go on', () => {
  test('is failing when its last rows were all refused alike, and says so once', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => ({ status: 422 }), failingRows: 20 });
    const doc = await world.addBatch({ rows: 100 });
    const said: string[] = [];
    process.rows.onFailing(({ batchId, message }) => {
      said.push(`${batchId}: ${message}`);
      const pause = { reason: 'failing' as const, message, sinceEpochMs: 0 };
      void world.states.setGate(doc.id, 'paused');
      void process.rows.supply(world.change(doc.id, { pause }));
    });
    await process.rows.supply(doc);
    await drive(clock, () => said.length > 0);
    await clock.advance(10_000);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('The last 20 rows that ended were all refused with status 422');
    expect(await pendingOf(world, doc.id)).toBeGreaterThan(50);
    expect(world.items.size).toBe(0);
    expect(process.ledger.bulks.size).toBe(0);
  });

  test('starts no row after the end of its window', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => ({ status: 503 }) });
    const doc = await world.addBatch({ rows: 5, expiresAtEpochMs: clock.epochMs() + 5_000 });
    await process.rows.supply(doc);
    await clock.advance(60_000);
    const tries = [...world.tries.values()];
    expect(Math.max(...tries)).toBeLessThan(5);
    expect(await pendingOf(world, doc.id)).toBe(5);
    expect(process.ledger.bulks.size).toBe(0);
  });

  test('paused, lets running rows finish and starts none; resumed, runs the rest', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => clock.sleep(1_000).then(() => ({ status: 200 })) });
    const doc = await world.addBatch({ rows: 60 });
    await process.rows.supply(doc);
    await drive(clock, () => world.live.size === 8);
    await world.states.setGate(doc.id, 'paused');
    const pause = { reason: 'paused' as const, message: 'by hand', sinceEpochMs: 0 };
    await process.rows.supply(world.change(doc.id, { pause }));
    await clock.advance(20_000);
    const pending = await pendingOf(world, doc.id);
    expect(pending).toBeGreaterThan(30);
    expect([world.live.size, world.items.size, process.ledger.bulks.size]).toEqual([0, 0, 0]);
    await clock.advance(20_000);
    expect(await pendingOf(world, doc.id)).toBe(pending);
    await world.states.setGate(doc.id, 'open');
    await process.rows.supply(world.change(doc.id, { pause: null }));
    await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
    expect([...world.tries.values()].every((tries) => tries === 1)).toBe(true);
  });

  test('aborted, stops its running rows and leaves them pending', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => new Promise<never>(() => undefined) });
    const doc = await world.addBatch({ rows: 30 });
    await process.rows.supply(doc);
    await drive(clock, () => world.live.size === 8);
    await world.states.setGate(doc.id, 'closing');
    await process.rows.withdraw(doc);
    process.rows.abort(doc.id);
    await drive(clock, () => world.live.size === 0 && process.rows.running(doc.id) === 0);
    await clock.advance(5_000);
    expect([world.live.size, await pendingOf(world, doc.id), process.ledger.bulks.size]).toEqual([0, 30, 0]);
  });
});

describe('the pool going to sleep', () => {
  test('hands waiting chunks back, lets running rows finish, and costs no attempt', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => clock.sleep(500).then(() => ({ status: 200 })) });
    const doc = await world.addBatch({ rows: 200 });
    await process.rows.supply(doc);
    await drive(clock, async () => (await pendingOf(world, doc.id)) < 150);
    process.ledger.setWindows({});
    await drive(
      clock,
      () => world.live.size === 0 && [...world.items.values()].every(({ state }) => state === 'waiting'),
    );
    const pending = await pendingOf(world, doc.id);
    await clock.advance(600_000);
    expect(await pendingOf(world, doc.id)).toBe(pending);
    expect([...process.ledger.bulks.values()].map(({ requests }) => requests)).toEqual([pending]);
    process.ledger.setWindows({ nightly: 8 });
    await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
    expect([...world.tries.values()].every((tries) => tries === 1)).toBe(true);
  });
});

describe('batches that share a pool', () => {
  const placesOf = (world: RowWorld, id: string) =>
    world.opened.flatMap((chunk, turn) => (chunk.startsWith(`${id}.`) ? [turn] : []));

  test('of one tenant: the earlier deadline is opened first, whichever came first', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, {
      engine: () => clock.sleep(2_000).then(() => ({ status: 200 })),
      window: 4,
    });
    const late = await world.addBatch({ rows: 100, deadlineEpochMs: clock.epochMs() + 7_200_000 });
    const soon = await world.addBatch({ rows: 100, deadlineEpochMs: clock.epochMs() + 3_600_000 });
    await process.rows.supply(late);
    await process.rows.supply(soon);
    await drive(clock, async () => (await pendingOf(world, late.id)) + (await pendingOf(world, soon.id)) === 0);
    const lastOfSoon = Math.max(...placesOf(world, soon.id));
    const before = placesOf(world, late.id).filter((turn) => turn < lastOfSoon);
    // What the later one had in the backlog, or opened, when the earlier one came.
    expect(before.length).toBeLessThanOrEqual(4);
  });

  test('of two tenants: neither waits for the other to end', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => clock.sleep(500).then(() => ({ status: 200 })), window: 4 });
    const big = await world.addBatch({ rows: 400, tenant: 'big' });
    const small = await world.addBatch({ rows: 40, tenant: 'small' });
    await process.rows.supply(big);
    await process.rows.supply(small);
    await drive(clock, async () => (await pendingOf(world, small.id)) === 0);
    expect(await pendingOf(world, big.id)).toBeGreaterThan(250);
    await drive(clock, async () => (await pendingOf(world, big.id)) === 0);
  });
});

describe('demand', () => {
  test('is told in absolute numbers while rows end, and taken out at the end', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => clock.sleep(2_000).then(() => ({ status: 200 })) });
    const doc = await world.addBatch({ rows: 40, deadlineEpochMs: clock.epochMs() + 3_600_000 });
    await process.rows.supply(doc);
    await drive(clock, () => process.ledger.bulks.size > 0);
    expect([...process.ledger.bulks.values()]).toEqual([
      {
        id: `${doc.id}.0`,
        objective: 'nightly',
        priority: -10,
        requests: 40,
        bytes: doc.plan?.inputBytes,
        costTokens: 1_200,
        deadlineEpochMs: doc.wishes.deadlineEpochMs,
        acceptedAtEpochMs: doc.createdAtEpochMs,
      },
    ]);
    await drive(clock, async () => (await pendingOf(world, doc.id)) <= 24);
    await clock.advance(1_000);
    expect([...process.ledger.bulks.values()][0]?.requests).toBeLessThanOrEqual(24);
    await drive(clock, () => process.ledger.bulks.size === 0);
  });

  test('of a batch that missed its deadline is as urgent as work without one, and its rows run on until the window ends', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => clock.sleep(2_000).then(() => ({ status: 200 })) });
    const doc = await world.addBatch({ rows: 60, deadlineEpochMs: clock.epochMs() + 5_000 });
    const told = () => [...process.ledger.bulks.values()].map(({ deadlineEpochMs }) => deadlineEpochMs);
    await process.rows.supply(doc);
    await drive(clock, () => process.ledger.bulks.size > 0);
    expect(told()).toEqual([doc.wishes.deadlineEpochMs]);
    await clock.advance(6_000);
    expect(told()).toEqual([null]);
    await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
  });

  test('is told again after the ledger was lost', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { window: 0 });
    const doc = await world.addBatch({ rows: 40 });
    await process.rows.supply(doc);
    await drive(clock, () => process.ledger.bulks.size > 0);
    world.items.clear();
    process.ledger.lose();
    await drive(clock, () => process.ledger.bulks.size > 0 && world.items.size > 0);
    process.ledger.setWindows({ nightly: 8 });
    await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
  });
});

describe('crashes', () => {
  test.each([1, 2, 3, 4, 5])(
    'a gateway killed again and again costs no row and no duplicate (seed %i)',
    async (seed) => {
      const { clock, world } = newWorld();
      const random = seededRandom(seed);
      const engine: RowProcessOptions['engine'] = async () => {
        if (random.next() < 0.5) await clock.sleep(random.next() * 400);
        if (random.next() < 0.05) return { fails: 'upstream_unreachable' };
        return { status: random.next() < 0.03 ? 400 : 200 };
      };
      const doc = await world.addBatch({ rows: 300 });
      for (let life = 0; life < 6; life += 1) {
        const process = startRowProcess(world, { engine });
        await process.rows.recover(doc, new AbortController().signal);
        await process.rows.supply(doc);
        await clock.advance(200 + random.next() * 1_500);
        process.kill();
        world.recoverDead();
        for (const item of world.items.values()) item.crashes = 0;
      }
      const last = startRowProcess(world, { engine });
      await last.rows.recover(doc, new AbortController().signal);
      await last.rows.supply(doc);
      await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
      const totals = await world.states.totals(doc.id);
      expect(totals.completed + totals.failed).toBe(300);
      expect((await world.outcome(doc.id)).every(({ line }) => line !== '')).toBe(true);
    },
  );

  test('rows of a chunk whose holders keep dying run one by one, and the one to blame is given up', async () => {
    const { clock, world } = newWorld();
    const doc = await world.addBatch({ rows: 10 });
    for (let life = 0; life < 8 && (await pendingOf(world, doc.id)) > 0; life += 1) {
      const process = startRowProcess(world, {
        engine: async ({ id }) => {
          await clock.sleep(50);
          if (id.endsWith('_4')) process.kill();
          return { status: 200 };
        },
      });
      await process.rows.recover(doc, new AbortController().signal);
      await process.rows.supply(doc);
      await clock.advance(10_000);
      world.recoverDead();
    }
    const rows = await world.outcome(doc.id);
    expect(rows.filter(({ state }) => state === 'completed')).toHaveLength(9);
    expect(codeOf(rows[3]?.line ?? '')).toBe('row_quarantined');
  });

  test('two gateways share a batch and no row runs in both', async () => {
    const { clock, world } = newWorld();
    const engine: RowProcessOptions['engine'] = () => clock.sleep(300).then(() => ({ status: 200 }));
    const [one, other] = [startRowProcess(world, { engine }), startRowProcess(world, { engine })];
    const doc = await world.addBatch({ rows: 200 });
    await one.rows.supply(doc);
    await other.rows.supply(doc);
    await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
    expect([...world.tries.values()].every((tries) => tries === 1)).toBe(true);
    expect(world.tries.size).toBe(200);
  });

  test('states that Redis lost are rebuilt from the records', async () => {
    const { clock, world } = newWorld();
    const process = startRowProcess(world, { engine: () => clock.sleep(300).then(() => ({ status: 200 })) });
    const doc = await world.addBatch({ rows: 120 });
    await process.rows.supply(doc);
    await drive(clock, async () => (await pendingOf(world, doc.id)) < 60);
    await world.states.drop(doc.id);
    await clock.advance(3_000);
    await world.states.open(doc.id, 120, 'open');
    const recovered = await process.rows.recover(doc, new AbortController().signal);
    expect(recovered).toBeGreaterThan(60);
    expect(await process.rows.recover(doc, new AbortController().signal)).toBe(0);
    await drive(clock, async () => (await pendingOf(world, doc.id)) === 0);
    expect((await world.states.totals(doc.id)).completed).toBe(120);
    await world.outcome(doc.id);
  });
});
