import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';

const MAIN = new URL('../../src/model-sim/main.ts', import.meta.url).href;
const OPTIONS = new URL('../../src/model-sim/options.ts', import.meta.url).href;

interface Line {
  phase: string;
  url: string | null;
  pid: number;
  simulator: boolean;
  exitCode?: number;
}

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

/** A process as `pilotlight model-sim` would be: it exits with the code that it is given. */
function startProcess(changes: Record<string, unknown>) {
  const source = `
    import { runModelSim } from ${JSON.stringify(MAIN)};
    import { modelSimOptions } from ${JSON.stringify(OPTIONS)};
    process.exit(await runModelSim(modelSimOptions(${JSON.stringify({ port: 0, ...changes })})));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines: Line[] = [];
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>;
  const ready = new Promise<Line>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as Line;
      lines.push(line);
      if (line.phase === 'ready') resolve(line);
    });
    void exited.then(() => reject(new Error('it ended before it was ready')));
  });
  ready.catch(() => undefined);
  return { child, lines, exited, ready };
}

function stream(url: string): Promise<Response> {
  const body = {
    model: 'sim',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 20_000,
    ignore_eos: true,
    stream: true,
  };
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

test('it prints a line for each phase, and SIGTERM ends it with 0', async () => {
  const { child, lines, exited, ready } = startProcess({ bootLoadMs: 20 });
  const { url } = await ready;
  expect((await fetch(`${url ?? ''}/health`)).status).toBe(200);
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(lines.map(({ phase }) => phase)).toEqual(['starting', 'loading', 'ready', 'draining', 'stopped']);
  expect(lines.every(({ pid, simulator }) => pid === child.pid && simulator)).toBe(true);
});

test('SIGTERM cuts an open stream politely when there is no time to drain', async () => {
  const { child, exited, ready } = startProcess({});
  const { url } = await ready;
  const response = await stream(url ?? '');
  child.kill('SIGTERM');
  const text = await response.text();
  expect(text).toContain('"finish_reason":"abort"');
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  expect(await exited).toEqual([0, null]);
});

test('a second signal ends a drain at once', async () => {
  const { child, lines, exited, ready } = startProcess({ shutdownTimeoutMs: 600_000 });
  const { url } = await ready;
  const response = await stream(url ?? '');
  child.kill('SIGTERM');
  while (!lines.some(({ phase }) => phase === 'draining')) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill('SIGINT');
  expect(await exited).toEqual([143, null]);
  await expect(response.text()).rejects.toThrow();
});

test('a crash at boot ends it with the code', async () => {
  const { exited, lines } = startProcess({ crashAtBoot: 7, bootLoadMs: 20 });
  expect(await exited).toEqual([7, null]);
  expect(lines.at(-1)).toMatchObject({ phase: 'crashed', exitCode: 7 });
});

test('it goes on when the reader of its lines has gone', async () => {
  const { child, exited, ready } = startProcess({});
  const { url } = await ready;
  child.stdout.destroy();
  await fetch(`${url ?? ''}/sim/faults`, { method: 'POST', body: '{"slowFactor":2}' });
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});
