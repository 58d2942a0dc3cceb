/**
 * Waking a sleeping pool: how long its first call takes beyond the boot of the model server itself.
 *
 *   npm run bench -- wake [--times 20] [--save NAME] [--redis URL]
 *
 * `pilotlight serve` with one pool at zero whose replica is a local command that is ready almost at once. Each time: the
 * pool sleeps, a plain chat is sent, and every process tells when it did what. Taken off is the boot: from the start of
 * the model server's process, as it sees it itself, to the moment when it listens. What remains is Pilotlight's own:
 *
 * - spawn: from the sending of the request to the start of the process: queue, decision, fork and exec
 * - notice: from listening to the look at its readiness path that sees it (25 ms apart at first)
 * - call: from there to the call's arrival at the model server: slot opened, offer, take
 * - answer: from there to the first byte at the client
 */
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { chatBody } from './support/chat.ts';
import { HttpConnection, postRequest } from './support/http-connection.ts';
import type { Stamps } from './support/model-server.ts';
import { circumstances, redisVersion, saveResult } from './support/results.ts';
import { MAIN, Stage } from './support/stage.ts';
import { spreadOf } from './support/statistics.ts';

const { values: flags } = parseArgs({
  options: { times: { type: 'string', default: '20' }, save: { type: 'string' }, redis: { type: 'string' } },
});
const times = Number(flags.times);
const POOL = 'sleepy';
const ASLEEP_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 100;

/** One wake-up, in milliseconds. */
interface Wake {
  readonly total: number;
  readonly boot: number;
  /** `total` less `boot`. */
  readonly added: number;
  readonly spawn: number;
  readonly notice: number;
  readonly call: number;
  readonly answer: number;
}

async function untilAsleep(stage: Stage): Promise<void> {
  const deadlineMs = performance.now() + ASLEEP_WITHIN_MS;
  for (;;) {
    const [pool] = (await stage.status()).pools;
    if (pool?.phase === 'Asleep' && pool.replicas.length === 0) return;
    if (performance.now() > deadlineMs) throw new Error(`the pool does not fall asleep: ${pool?.phase ?? 'unknown'}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

async function wakeOnce(stage: Stage): Promise<Wake> {
  await untilAsleep(stage);
  const url = new URL(`${stage.apiUrl}/v1/chat/completions`);
  const connection = new HttpConnection(url);
  const request = postRequest(url, chatBody(false, POOL));
  const sentAtEpochMs = performance.timeOrigin + performance.now();
  const { status, firstByteAtMs } = await connection.exchange(request);
  connection.close();
  if (status !== 200) throw new Error(`the call was answered with status ${status}`);
  const firstByteAtEpochMs = performance.timeOrigin + firstByteAtMs;
  const [pool] = (await stage.status()).pools;
  const seenReadyAtEpochMs = pool?.replicas[0]?.readyAtEpochMs ?? Number.NaN;
  const answer = await fetch(`${await stage.modelServer(POOL)}/stamps`);
  const { startedAtEpochMs, readyAtEpochMs, firstCallAtEpochMs } = (await answer.json()) as Stamps;
  const total = firstByteAtEpochMs - sentAtEpochMs;
  const boot = readyAtEpochMs - startedAtEpochMs;
  return {
    ...{ total, boot, added: total - boot },
    spawn: startedAtEpochMs - sentAtEpochMs,
    notice: seenReadyAtEpochMs - readyAtEpochMs,
    call: firstCallAtEpochMs - seenReadyAtEpochMs,
    answer: firstByteAtEpochMs - firstCallAtEpochMs,
  };
}

async function main(): Promise<void> {
  const stage = await Stage.open({
    main: MAIN,
    pools: [{ name: POOL, slots: 8, minReplicas: 0 }],
    redisUrl: flags.redis,
    nodeFlags: [],
  });
  const redis = new Redis(stage.redis.url);
  try {
    const about = circumstances(await redisVersion(redis));
    await wakeOnce(stage);
    const wakes: Wake[] = [];
    for (let time = 0; time < times; time += 1) wakes.push(await wakeOnce(stage));
    const of = (name: keyof Wake) =>
      spreadOf(
        wakes.map((wake) => wake[name]),
        1,
      );
    const summary = {
      total: of('total'),
      boot: of('boot'),
      added: of('added'),
      spawn: of('spawn'),
      notice: of('notice'),
      call: of('call'),
      answer: of('answer'),
    };
    console.table(summary);
    const result = {
      bench: 'wake',
      command: `npm run bench -- wake --times ${times}`,
      ...about,
      unit: 'ms',
      summary,
      wakes,
    };
    if (flags.save !== undefined) process.stdout.write(`Saved ${saveResult(flags.save, result)}\n`);
  } finally {
    redis.disconnect();
    await stage.close();
  }
}

await main();
