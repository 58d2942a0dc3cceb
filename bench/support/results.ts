import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { inspectRedis } from '../../src/platform/redis/inspect.ts';

const FOLDER = new URL('../results/', import.meta.url);

/** What the figures of a run depend on, without anything that names the machine. */
export function circumstances(redisVersion: string): Record<string, unknown> {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8', cwd: root() }).trim();
  return {
    commit: git('rev-parse', '--short', 'HEAD'),
    // Of the program itself: notes and tests do not matter.
    hasLocalChanges: git('status', '--porcelain', '--', 'src', 'package-lock.json') !== '',
    at: new Date().toISOString(),
    node: process.version,
    redis: redisVersion,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    /** Before the run: what else the machine does. */
    load: loadavg().map((load) => Number(load.toFixed(1))),
  };
}

/** "valkey 9.1.2" */
export async function redisVersion(client: Redis): Promise<string> {
  const { flavour, version } = await inspectRedis(client);
  return `${flavour} ${version ?? 'of unknown version'}`;
}

/** Writes results/<date>-<name>.json and returns that name. */
export function saveResult(name: string, result: unknown): string {
  mkdirSync(FOLDER, { recursive: true });
  const file = `${new Date().toISOString().slice(0, 10)}-${name}.json`;
  writeFileSync(new URL(file, FOLDER), `${JSON.stringify(result, null, 2)}\n`);
  return `bench/results/${file}`;
}

function root(): string {
  return fileURLToPath(new URL('../../', import.meta.url));
}
