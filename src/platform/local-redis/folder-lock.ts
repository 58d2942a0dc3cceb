import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { systemClock } from '../clock.ts';
import { isRunning, type ProcessId, processIdentity } from './process-identity.ts';

const POLL_MS = 50;

export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Holds `path` for this process, so that of two that start at once only one starts a server. A lock whose process has
 * ended is taken over. Waits up to `timeoutMs` for a live holder, then throws.
 */
export async function takeFolderLock(path: string, timeoutMs: number, signal: AbortSignal): Promise<FolderLock> {
  const identity = (await processIdentity(process.pid, signal)) ?? '';
  const mine = JSON.stringify({ pid: process.pid, identity } satisfies ProcessId);
  const untilMs = systemClock.monotonicMs() + timeoutMs;
  while (!(await createLock(path, mine))) {
    const held = await readFile(path, 'utf8').catch(() => undefined);
    if (held === undefined) continue;
    const holder = parseHolder(held);
    if (!holder || !(await isRunning(holder, signal))) await removeIfStill(path, held);
    else if (systemClock.monotonicMs() < untilMs) await systemClock.sleep(POLL_MS, signal);
    else throw new Error(`process ${holder.pid} has been starting the same Redis for too long and still holds ${path}`);
  }
  return { release: () => rm(path, { force: true }) };
}

/** Whether the lock is ours now. Linked into place with its content, so nobody reads it half written. */
async function createLock(path: string, content: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, content, { mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Two that find the same dead lock may both come here: what was moved away is read again, and a live one is put back. */
async function removeIfStill(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, 'utf8')) !== stale) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function parseHolder(content: string): ProcessId | undefined {
  try {
    const { pid, identity } = JSON.parse(content) as Partial<ProcessId>;
    return pid === undefined || identity === undefined ? undefined : { pid, identity };
  } catch {
    return undefined;
  }
}
