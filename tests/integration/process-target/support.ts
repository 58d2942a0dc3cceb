import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listProcesses } from '../../../src/autoscaler/adapters/process-target/process-table.ts';
import { LocalProcesses } from '../../../src/autoscaler/adapters/process-target/process-target.ts';
import type { ProcessTarget } from '../../../src/core/objects.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { scaleTarget } from '../../unit/autoscaler/support/builders.ts';

/** A model server of thirty lines: loads for a while, answers /health and /env, does what its flags say. */
const ENGINE = `
const { createServer } = require('node:http');
const { spawn } = require('node:child_process');
const [port, ...flags] = process.argv.slice(2);
const has = (flag) => flags.includes(flag);
const value = (name) => flags.find((flag) => flag.startsWith(name + '='))?.slice(name.length + 1);
if (has('exit-at-boot')) { console.error('weights not found'); process.exit(7); }
if (has('ignore-term')) process.on('SIGTERM', () => undefined);
if (has('stubborn-grandchild')) {
  spawn(process.execPath, ['-e', "process.on('SIGTERM', () => undefined); setInterval(() => undefined, 1000)"], { stdio: 'inherit' });
}
if (has('noise')) setInterval(() => process.stdout.write('x'.repeat(100_000) + '\\n'), 20);
const started = Date.now();
let healthy = true;
createServer((request, response) => {
  if (request.url === '/crash') process.exit(9);
  if (request.url === '/sick') healthy = false;
  if (request.url === '/env') return response.end(JSON.stringify(process.env));
  const loading = Date.now() - started < Number(value('load-ms') ?? 0);
  response.statusCode = loading || has('never-ready') || !healthy ? 503 : 200;
  response.end();
}).listen(Number(port), '127.0.0.1');
`;

export interface Workplace {
  readonly folder: string;
  readonly dataDir: string;
  /** A target that runs the small engine with these flags. */
  engine(flags?: readonly string[], over?: Partial<ProcessTarget>): ReturnType<typeof scaleTarget>;
  open(over?: Partial<ConstructorParameters<typeof LocalProcesses>[0]>): LocalProcesses;
  close(): Promise<void>;
}

export function workplace(): Workplace {
  const folder = mkdtempSync(join(tmpdir(), 'pilotlight-process-target-'));
  const dataDir = join(folder, 'data');
  const enginePath = join(folder, 'engine.cjs');
  writeFileSync(enginePath, ENGINE);
  const opened: LocalProcesses[] = [];
  return {
    folder,
    dataDir,
    engine: (flags = [], over = {}) =>
      scaleTarget({
        process: {
          command: [process.execPath, enginePath, '{port}', ...flags],
          env: {},
          readinessPath: '/health',
          readinessEveryMs: 200,
          ...over,
        },
      }),
    open: (over = {}) => {
      const target = new LocalProcesses({
        clock: systemClock,
        log: silentLogger,
        dataDir,
        self: [process.execPath, enginePath],
        environment: process.env,
        graceMs: 1_000,
        ...over,
      });
      opened.push(target);
      return target;
    },
    close: async () => {
      await Promise.all(opened.map((target) => target.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Polls until the condition holds; fails with its name after a generous time. */
export async function until<T>(what: string, look: () => T | undefined | null | false, withinMs = 15_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== null && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await systemClock.sleep(10);
  }
}

/** Processes of these sessions that still run; a zombie has ended and only waits for its parent. */
export function alive(sessionIds: readonly number[]): readonly number[] {
  return listProcesses()
    .filter(({ sessionId, state }) => sessionIds.includes(sessionId) && state !== 'Z')
    .map(({ pid }) => pid);
}
