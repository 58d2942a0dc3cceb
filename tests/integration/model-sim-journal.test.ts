import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import type { JournalLine } from '../../src/model-sim/adapters/call-journal.ts';
import { ModelSim } from '../../src/model-sim/model-sim.ts';
import { modelSimOptions } from '../../src/model-sim/options.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { until } from '../support/until.ts';

async function journalled() {
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-journal-'));
  const journal = join(folder, 'journal');
  const sim = new ModelSim(modelSimOptions({ port: 0, journal }), {
    clock: systemClock,
    random: seededRandom(1),
    announce: () => undefined,
  });
  onTestFinished(async () => {
    sim.halt();
    await sim.done;
    await rm(folder, { recursive: true, force: true });
  });
  await sim.boot();
  const lines = async () => (await readFile(journal, 'utf8')).split('\n').filter((line) => line !== '');
  return { sim, lines: async () => (await lines()).map((line) => JSON.parse(line) as JournalLine) };
}

function ask(sim: ModelSim, tokens: number, signal?: AbortSignal): Promise<Response> {
  return fetch(`${sim.url ?? ''}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'asked' },
    body: JSON.stringify({
      model: 'sim',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: tokens,
      ignore_eos: true,
      stream: true,
    }),
    ...(signal && { signal }),
  });
}

test('a call that is answered has begun, spoken and ended, before its client reads the end', async () => {
  const { sim, lines } = await journalled();
  await (await ask(sim, 3)).text();
  const seen = await lines();
  expect(seen.map(({ event, open, why }) => [event, open, why])).toEqual([
    ['began', 1, undefined],
    ['first', 1, undefined],
    ['ended', 0, 'length'],
  ]);
  expect(new Set(seen.map(({ call, pid, seed }) => `${call} ${pid} ${seed}`)).size).toBe(1);
  expect(seen[0]?.call).toContain('asked');
  expect(JSON.stringify(seen)).not.toContain('"hi"');
});

test('a call whose client has gone ends as left, once', async () => {
  const { sim, lines } = await journalled();
  const leaving = new AbortController();
  const answer = await ask(sim, 20_000, leaving.signal);
  leaving.abort();
  await answer.text().catch(() => undefined);
  await until(async () => (await lines()).some(({ why }) => why === 'left'), 'it is seen that the client left');
  expect((await lines()).filter(({ event }) => event === 'ended').map(({ why, open }) => [why, open])).toEqual([
    ['left', 0],
  ]);
});
