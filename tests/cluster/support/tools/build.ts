import { mkdtemp, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findOnPath } from '../../../../src/platform/local-redis/binary.ts';
import { runCommand } from '../../../../src/platform/local-redis/run-command.ts';
import type { GoBuild } from './catalogue.ts';

const MODULES = fileURLToPath(new URL('../../binaries/', import.meta.url));
const BUILD_TIMEOUT_MS = 20 * 60_000;

/** Builds the program and moves it to `path` in one step. Returns what went wrong, or null. Rejects only on abort. */
export async function buildWithGo(
  build: GoBuild,
  path: string,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string | null> {
  // Go's own installer puts it there and leaves the PATH to the user.
  const go = await findOnPath(['go'], `${environment['PATH'] ?? ''}:/usr/local/go/bin`);
  if (go === undefined) return 'no go on the PATH';
  const draft = await mkdtemp(join(dirname(path), '.building-'));
  try {
    const program = join(draft, basename(path));
    const flags = ['-ldflags', `-s -w ${build.kind === 'module' ? (build.ldflags ?? '') : ''}`];
    const args =
      build.kind === 'module'
        ? ['build', '-C', join(MODULES, build.folder), ...flags, '-o', program, build.package]
        : ['install', ...flags, build.package];
    const env = { ...environment, CGO_ENABLED: '0', GOBIN: draft };
    const built = await runCommand(go, args, { env, timeoutMs: BUILD_TIMEOUT_MS, signal });
    if (!built.ok) return built.problem;
    await rename(program, path);
    return null;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
