import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { type ServerProgram, serverEnvironment } from './binary.ts';
import { filesOf } from './server-files.ts';

/** `detached`: outlives this process, `kill -9` included. `with-process`: ends when this process ends, however that happens. */
export type ServerLifetime = 'detached' | 'with-process';

export interface SpawnedServer {
  /** What the server said when it ended by itself; undefined while it runs. */
  ended: () => string | undefined;
  /** Asks it to end, when it did not get ready. */
  end: () => void;
}

/**
 * Becomes the server, and leaves a watcher behind that reads our end of a pipe. The pipe closes when we die, by
 * whatever signal, and the watcher ends the server; a line through it tells the watcher that the server is gone.
 */
const END_WITH_PARENT = 'exec 3<&0; (read -r _ <&3 || kill -TERM $$) & exec "$@" 3<&- </dev/null';

/** Starts the server from the configuration in the data folder, in a session of its own: Ctrl-C reaches us, not it. */
export async function spawnServer(
  program: ServerProgram,
  dataDir: string,
  lifetime: ServerLifetime,
): Promise<SpawnedServer> {
  const files = filesOf(dataDir);
  const log = await open(files.log, 'w', 0o600);
  const options = { cwd: dataDir, env: serverEnvironment(program.libraryFolders), detached: true };
  const child =
    lifetime === 'detached'
      ? spawn(program.path, [files.config], { ...options, stdio: ['ignore', log.fd, log.fd] })
      : spawn('/bin/sh', ['-c', END_WITH_PARENT, 'sh', program.path, files.config], {
          ...options,
          stdio: ['pipe', log.fd, log.fd],
        });
  const ended = rememberEnd(child);
  child.unref();
  await log.close();
  return { ended, end: () => child.kill() };
}

function rememberEnd(child: ChildProcess): () => string | undefined {
  let end: string | undefined;
  child.once('error', (error) => {
    end = error.message;
  });
  child.once('exit', (code, signal) => {
    end = signal ?? `exit code ${code ?? 'unknown'}`;
    child.stdin?.end('\n');
  });
  // The watcher may be gone already.
  child.stdin?.on('error', () => undefined);
  return () => end;
}

/** The last lines of the server's log, for an error message. */
export async function lastLogLines(dataDir: string): Promise<string> {
  const text = await readFile(filesOf(dataDir).log, 'utf8').catch(() => '');
  return text.trim().split('\n').slice(-3).join(' / ');
}
