import { randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
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
    if (!holder || !(await isRunning(holder, signal))) await removeDead(path, held, timeoutMs, signal);
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

/** Removing is guarded by a lock of its own: of two that saw the same dead holder, the later must not remove the earlier's new lock. */
async function removeDead(path: string, held: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const guard = await takeFolderLock(`${path}.takeover`, timeoutMs, signal);
  try {
    const holdsNow = await readFile(path, 'utf8').catch(() => undefined);
    if (holdsNow === held) await rm(path, { force: true });
  } finally {
    await guard.release();
  }
}

function parseHolder(content: string): ProcessId | undefined {
  try {
    const { pid, identity } = JSON.parse(content) as Partial<ProcessId>;
    return pid === undefined || identity === undefined ? undefined : { pid, identity };
  } catch {
    return undefined;
  }
}
