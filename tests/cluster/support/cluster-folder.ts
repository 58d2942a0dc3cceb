import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning, type ProcessId, processIdentity } from '../../../src/platform/local-redis/process-identity.ts';

const PREFIX = 'pilotlight-cluster-';
const OWNER = 'owner.json';
const LOOKED_WITHIN_MS = 30_000;

/** A folder for one control plane. Folders of processes that were killed before they could remove them go now. */
export async function makeClusterFolder(): Promise<string> {
  const signal = AbortSignal.timeout(LOOKED_WITHIN_MS);
  await removeAbandoned(signal);
  const folder = await mkdtemp(join(tmpdir(), PREFIX));
  const owner: ProcessId = { pid: process.pid, identity: (await processIdentity(process.pid, signal)) ?? '' };
  await writeFile(join(folder, OWNER), JSON.stringify(owner));
  return folder;
}

/** A folder without an owner yet is one that is being made. */
async function removeAbandoned(signal: AbortSignal): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    const owner = await readFile(join(folder, OWNER), 'utf8').catch(() => null);
    if (owner === null || (await isRunning(JSON.parse(owner) as ProcessId, signal))) continue;
    await rm(folder, { recursive: true, force: true });
  }
}
