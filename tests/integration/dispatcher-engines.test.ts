import { afterEach, describe, expect, test } from 'vitest';
import type { DispatchResult } from '../../src/core/dispatch.ts';
import { seededRandom } from '../../src/core/random.ts';
import { ModelSim } from '../../src/model-sim/model-sim.ts';
import { modelSimOptions } from '../../src/model-sim/options.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { RecordingSink } from '../unit/dispatcher/support.ts';
import { DispatcherWorld } from './dispatcher-world.ts';

/** Simulated vLLM servers die under load: whatever counts as completed must be whole, letter by letter. */

const TOKENS = 60;
const CALLS = 24;

const sims: ModelSim[] = [];
const worlds: DispatcherWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
  for (const sim of sims.splice(0)) {
    sim.halt();
    await sim.done;
  }
});

/** Tokens cost about half a second for each answer: time enough to die in the middle of it. */
async function start(decodeBaseMs = 8): Promise<ModelSim> {
  const options = modelSimOptions({ port: 0, decodeBaseMs, decodePerSequenceMs: 0, prefillTokensPerSecond: 0 });
  const sim = new ModelSim(options, { clock: systemClock, random: seededRandom(1), announce: () => undefined });
  sims.push(sim);
  await sim.boot();
  return sim;
}

const inject = (url: string, faults: Readonly<Record<string, unknown>>): Promise<Response> =>
  fetch(`${url}/sim/faults`, { method: 'POST', body: JSON.stringify(faults) });

const bodyOf = (topic: number, stream: boolean): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({
      model: 'sim',
      messages: [{ role: 'user', content: `Ticket ${topic}` }],
      max_tokens: TOKENS,
      ignore_eos: true,
      stream,
    }),
  );

/** The generated text of a plain answer, or of all events of a stream together. */
function textOf(answer: string): string {
  if (answer.startsWith('{')) {
    return (JSON.parse(answer) as { choices: { message: { content: string } }[] }).choices[0]?.message.content ?? '';
  }
  const events = [...answer.matchAll(/^data: (\{.*\})$/gmu)].map(
    ([, data = '{}']) => JSON.parse(data) as { choices: { delta: { content?: string } }[] },
  );
  return events.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
}

/** What the model says to each ticket; it says the same on every endpoint. */
async function wholeTexts(): Promise<readonly string[]> {
  const { url } = await start(0);
  const headers = { 'content-type': 'application/json' };
  const ask = async (topic: number): Promise<string> => {
    const answer = await fetch(`${url ?? ''}/v1/chat/completions`, {
      method: 'POST',
      headers,
      body: bodyOf(topic, false),
    });
    return textOf(await answer.text());
  };
  return Promise.all(Array.from({ length: CALLS }, (_, topic) => ask(topic)));
}

async function isRunning(url: string): Promise<boolean> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return /num_requests_running\S* [1-9]/u.test(metrics);
}

describe.each<{
  name: string;
  die: (sim: ModelSim) => void;
  faults?: Record<string, unknown>;
  kinds: readonly boolean[];
}>([
  { name: 'SIGTERM without time to drain: 200 and "abort"', die: (sim) => sim.shutdown(), kinds: [true, false] },
  { name: 'the engine core dies: error events, 500, then gone', die: (sim) => sim.killEngine(), kinds: [true, false] },
  { name: 'the process crashes', die: (sim) => sim.crash(9), kinds: [true, false] },
  {
    name: 'SIGTERM with KV events: silence on open connections',
    die: (sim) => sim.shutdown(),
    faults: { hangOnShutdown: true },
    kinds: [true],
  },
])('$name', ({ die, faults, kinds }) => {
  test.each(kinds.map((stream) => ({ stream })))('stream: $stream', async ({ stream }) => {
    const whole = await wholeTexts();
    const [dying, living] = [await start(), await start()];
    const urls = [dying.url ?? '', living.url ?? ''] as const;
    if (faults) await inject(urls[0], faults);
    const world = new DispatcherWorld(urls);
    worlds.push(world);
    const sinks = Array.from({ length: CALLS }, () => new RecordingSink());
    const runs = sinks.map((sink, topic) => world.run({ stream, body: bodyOf(topic, stream) }, sink));
    const begun = (): boolean | Promise<boolean> =>
      stream ? sinks.some((sink) => sink.text !== '') : isRunning(urls[0]);
    await expect.poll(begun, { timeout: 10_000 }).toBe(true);
    die(dying);
    const results = await Promise.all(runs);
    for (const [topic, result] of results.entries()) {
      const text = textOf(sinks[topic]?.text ?? '');
      if (result.kind === 'completed') {
        expect(text).toBe(whole[topic]);
        continue;
      }
      expect(result).toMatchObject({ kind: 'failed', begun: true, outcome: { kind: 'failed' } });
      expect(whole[topic]?.startsWith(text)).toBe(true);
    }
    if (!stream) expect(results.every(({ kind }) => kind === 'completed')).toBe(true);
    const touched = results.filter((result) => result.kind === 'failed' || isRepeated(result));
    expect(touched.length).toBeGreaterThan(0);
  });
});

function isRepeated(result: DispatchResult): boolean {
  return result.kind === 'completed' && result.outcome.attempts > 1;
}
