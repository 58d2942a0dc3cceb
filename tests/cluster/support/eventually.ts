import { setTimeout as sleep } from 'node:timers/promises';

/** Many tests ask one API server on few cores: more often would slow down what they wait for. */
const POLL_MS = 40;

/** `until` for conditions that ask the API server: fails after a deadline that a healthy run never meets. */
export async function eventually(holds: () => Promise<boolean>, what: string, deadlineMs = 30_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`);
    await sleep(POLL_MS);
  }
}
