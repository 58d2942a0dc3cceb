import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { APIError, type OpenAI, toFile } from 'openai';
import { expect, test } from 'vitest';
import { type Random, seededRandom } from '../../src/core/random.ts';
import { batchFiles, batchRows, problemsOf, rowsFile, sdk, startBatch } from '../support/batch-rows.ts';
import { brownOut } from '../support/flaky-proxy.ts';
import { findMoto } from '../support/moto.ts';
import { type BatchWorld, openBatchWorld } from './support/batch-world.ts';
import { eventually } from './support/eventually.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { applyCrds, simPool } from './support/sim-pool.ts';

const ROWS = Number(process.env['TEST_BATCH_CHAOS_ROWS'] ?? 20_000);
const SEED = Number(process.env['TEST_CHAOS_SEED'] ?? randomInt(2 ** 31));
const MAX_REPLICAS = 3;
/** Nobody is killed before this many rows are done, so that the run is under way. */
const FIRST_ROWS = 200;
const GAP_MS = { least: 1_000, spread: 1_000 };
const BROWN_OUT_MS = 5_000;
/** Longer than every lease: what it kept and ran is somebody else's when it goes on. */
const FREEZE_MS = 20_000;
/** A second batch, made and then cancelled in the middle of it all; its window is shorter, so that it runs at once. */
const CANCELLED = { rows: 2_000, madeBeforeEvent: 1, cancelledBeforeEvent: 3, window: '8h' } as const;
const END_DEADLINE_MS = 300_000;

const moto = await findMoto();

describeCluster('a batch on shared storage while everything that runs it is killed', () => {
  const namespace = useNamespace({ nodes: [{ gpus: MAX_REPLICAS + 1 }] });

  test.skipIf(moto.kind === 'missing')(
    `${ROWS} rows: output and errors are all rows, none twice, each with its own answer`,
    async () => {
      const random = seededRandom(SEED);
      await applyCrds(namespace().cluster);
      const behaviour = { 'backoff-ms': '200' };
      await namespace().apply(simPool({ slots: 32, maxReplicas: MAX_REPLICAS, sim: ['--speed=20'], behaviour }));
      const world = await openBatchWorld(namespace(), { gateways: 3, controllers: 2 });
      const happened: string[] = [];
      const describe = () => [`seed ${SEED} (TEST_CHAOS_SEED)`, ...happened].join('\n');

      const client = (): OpenAI => sdk(pick(world.gateways, random).apiUrl, 'none', { maxRetries: 0 });
      await Promise.all(world.gateways.map((gateway) => gateway.untilModel('sim')));
      const rows = batchRows(ROWS, { max_tokens: 8 });
      const { id } = await startBatch(client(), rows, { metadata: { 'pilotlight-objective': 'nightly' } });
      const look = () =>
        client()
          .batches.retrieve(id)
          .catch(() => null);
      const rowsDone = async () => (await look())?.request_counts?.completed ?? 0;
      await eventually(async () => (await rowsDone()) >= FIRST_ROWS, 'the batch is under way', END_DEADLINE_MS);

      let last: OpenAI.Batch | null = null;
      const hasEnded = async (): Promise<boolean> => {
        last = (await look()) ?? last;
        return last !== null && ['completed', 'failed', 'expired', 'cancelled'].includes(last.status);
      };
      const plan = [...PLAN].sort(() => random.next() - 0.5);
      const second = new CancelledBatch(client);
      for (const [place, event] of plan.entries()) {
        if (await hasEnded()) break;
        if (place === CANCELLED.madeBeforeEvent) await second.make();
        if (place === CANCELLED.cancelledBeforeEvent) await second.cancel();
        happened.push(`${(await look())?.request_counts?.completed ?? '?'} rows done: ${event}`);
        await HOW[event](world, random);
        await sleep(GAP_MS.least + random.next() * GAP_MS.spread);
      }
      world.s3.misbehave(() => 'pass');
      await eventually(hasEnded, 'the batch has ended', END_DEADLINE_MS).catch(async (error: unknown) => {
        const logs = await Promise.all(world.gateways.map((gateway) => gateway.log()));
        throw new Error([String(error), describe(), JSON.stringify(last, null, 1), ...logs].join('\n'));
      });

      const batch = await client().batches.retrieve(id);
      expect(batch, describe()).toMatchObject({ status: 'completed', request_counts: { total: ROWS } });
      const files = await batchFiles(client(), batch);
      expect(problemsOf(rows, files), describe()).toEqual([]);
      expect(files.errors.slice(0, 5), describe()).toEqual([]);
      await second.check(describe);
      for (const one of [...world.gateways, ...world.controllers]) expect(await one.stop(), describe()).toBe(0);
    },
    END_DEADLINE_MS * 2 + 120_000,
  );
});

/** Whatever gateway is asked and however often: one batch of its own, cancelled once, whole in the end. */
class CancelledBatch {
  readonly #rows = batchRows(CANCELLED.rows, { max_tokens: 8 });
  readonly #client: () => OpenAI;
  #id: string | null = null;

  constructor(client: () => OpenAI) {
    this.#client = client;
  }

  /** A call without an answer is repeated, with the same key. */
  async make(): Promise<void> {
    const file = await this.#untilAnswered('a file of its rows', async (client) =>
      client.files.create({ file: await toFile(Buffer.from(rowsFile(this.#rows)), 'rows.jsonl'), purpose: 'batch' }),
    );
    const body = {
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: CANCELLED.window,
      metadata: { 'pilotlight-objective': 'nightly' },
    } as unknown as OpenAI.BatchCreateParams;
    const headers = { 'idempotency-key': 'the-batch-that-is-cancelled' };
    const made = await this.#untilAnswered('it is made', (client) => client.batches.create(body, { headers }));
    const again = await this.#untilAnswered('it is made again', (client) => client.batches.create(body, { headers }));
    expect(again.id).toBe(made.id);
    this.#id = made.id;
  }

  async cancel(): Promise<void> {
    const id = this.#id;
    if (id === null) throw new Error('it is not made yet');
    await this.#untilAnswered('it is cancelled', async (client) => {
      const isDone = async () => ((await client.batches.retrieve(id)).finalizing_at ?? null) !== null;
      if (await isDone()) return null;
      return client.batches.cancel(id).catch(async (error: unknown) => {
        // Its last row may have ended in between.
        if (error instanceof APIError && error.status === 409 && (await isDone())) return null;
        throw error;
      });
    });
  }

  async check(describe: () => string): Promise<void> {
    const id = this.#id;
    if (id === null) return;
    let batch: OpenAI.Batch | null = null;
    const hasEnded = async (): Promise<boolean> => {
      batch = await this.#client()
        .batches.retrieve(id)
        .catch(() => null);
      return batch !== null && ['completed', 'cancelled'].includes(batch.status);
    };
    await eventually(hasEnded, `the cancelled batch has ended\n${describe()}`, END_DEADLINE_MS);
    const ended = await this.#client().batches.retrieve(id);
    const files = await batchFiles(this.#client(), ended);
    expect(problemsOf(this.#rows, files), describe()).toEqual([]);
    expect(ended.request_counts, describe()).toEqual({
      total: CANCELLED.rows,
      completed: files.output.length,
      failed: files.errors.length,
    });
    const codes = new Set(files.errors.map(({ error }) => error?.code));
    expect([...codes], describe()).toEqual(files.errors.length === 0 ? [] : ['batch_cancelled']);
    const { data } = await this.#client().batches.list({ limit: 10 });
    expect(data.length, describe()).toBe(2);
  }

  async #untilAnswered<T>(what: string, ask: (client: OpenAI) => Promise<T>): Promise<T> {
    const answers: T[] = [];
    const refusals: unknown[] = [];
    const isAnswered = async (): Promise<boolean> => {
      try {
        answers.push(await ask(this.#client()));
      } catch (error) {
        const isRefused = error instanceof APIError && typeof error.status === 'number' && error.status < 500;
        if (isRefused) refusals.push(error);
      }
      return answers.length + refusals.length > 0;
    };
    await eventually(isAnswered, what, END_DEADLINE_MS);
    const [answer] = answers;
    if (answer === undefined) throw refusals[0];
    return answer;
  }
}

type Event =
  | 'kill a gateway'
  | 'freeze a gateway'
  | 'kill a controller'
  | 'crash an engine'
  | 'restart Redis'
  | 'lose Redis'
  | 'brown-out of S3';
const PLAN: readonly Event[] = [
  ...Array<Event>(4).fill('kill a gateway'),
  ...Array<Event>(3).fill('crash an engine'),
  'freeze a gateway',
  'kill a controller',
  'restart Redis',
  'lose Redis',
  'brown-out of S3',
];

const HOW: Readonly<Record<Event, (world: BatchWorld, random: Random) => Promise<void>>> = {
  async 'kill a gateway'(world, random) {
    const place = Math.floor(random.next() * world.gateways.length);
    await world.gateways[place]?.kill();
    world.gateways.splice(place, 1, await world.start('gateway'));
  },
  async 'freeze a gateway'({ gateways }, random) {
    const { pid } = pick(gateways, random);
    process.kill(pid, 'SIGSTOP');
    await sleep(FREEZE_MS).finally(() => process.kill(pid, 'SIGCONT'));
  },
  async 'kill a controller'(world, random) {
    const place = Math.floor(random.next() * world.controllers.length);
    await world.controllers[place]?.kill();
    world.controllers.splice(place, 1, await world.start('controller'));
  },
  async 'crash an engine'({ namespace }, random) {
    const pods = await namespace.pods('app=chat');
    if (pods.length > 0) namespace.kubelet.crash(pick(pods, random));
  },
  async 'restart Redis'({ redis }, random) {
    await redis.kill();
    await sleep(random.next() * 2_000);
    await redis.restart();
  },
  async 'lose Redis'({ redis }) {
    await redis.lose();
  },
  async 'brown-out of S3'({ s3 }, random) {
    s3.misbehave(brownOut(0.5, Math.floor(random.next() * 1_000)));
    await sleep(BROWN_OUT_MS);
    s3.misbehave(() => 'pass');
  },
};

function pick<T>(items: readonly T[], random: Random): T {
  const item = items[Math.floor(random.next() * items.length)];
  if (item === undefined) throw new Error('there is nothing to pick from');
  return item;
}
