import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe } from '../support/serve-process.ts';

test('the official client streams a chat through a sleeping pool, and the pool goes back to zero', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--boot-load=2s'] }));
  await serve.start();
  const client = new OpenAI({ baseURL: `${serve.apiUrl}/v1`, apiKey: 'none', maxRetries: 0 });

  expect((await client.models.list()).data.map(({ id }) => id)).toEqual([MODEL, 'sim']);
  expect(await serve.pool()).toMatchObject({ phase: 'Asleep', replicas: [] });

  const stream = await client.chat.completions.create({
    model: 'sim',
    stream: true,
    max_completion_tokens: 12,
    messages: [{ role: 'user', content: 'Why is the sky blue?' }],
  });
  let text = '';
  let finish: string | null = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
  }
  expect(text).toMatch(/^Simulated text/);
  expect(finish).toBe('length');

  const { data: plain, response } = await client.chat.completions
    .create({ model: MODEL, max_completion_tokens: 12, messages: [{ role: 'user', content: 'Why is the sky blue?' }] })
    .withResponse();
  expect(response.headers.get('x-pilotlight-queue-ms')).toMatch(/^\d+$/);
  expect(plain.choices[0]?.message.content).toBe(text);

  await serve.untilPool('the pool sleeps again', ({ phase, replicas }) => phase === 'Asleep' && replicas.length === 0);
  expect(await serve.stop()).toBe(0);
});

test('a stream that waits for a sleeping pool hears phases, its position and an ETA before the first event', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--boot-start=1500ms', '--boot-load=2s'] }));
  await serve.start();
  const answer = await fetch(`${serve.apiUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'sim', stream: true, max_tokens: 2, messages: [{ role: 'user', content: 'Hi' }] }),
  });
  expect(answer.status).toBe(200);
  const [comments = '', events] = (await answer.text()).split(/(?=^data: )/m, 2);
  const phases = [...comments.matchAll(/^: pilotlight phase=(\S+) position=0(?: eta=\S+)?$/gm)].map(
    ([, phase]) => phase,
  );
  expect(new Set(phases).size).toBeGreaterThan(1);
  expect(phases).toContain('ModelLoading');
  expect(comments).toMatch(/ eta=\d+s/);
  expect(events).toMatch(/^data: {/);
});
